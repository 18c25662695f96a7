"""The database itself keeps what the access rule reads: no path of writing can forget it (docs/decisions/0002).

Also: embeddings are stored PLAIN (out of line they cost the exact scan three to five times as much; DESIGN, section 3)
and `readers` MAIN (a row with 1,024 dimensions would push it out of line, at the same cost: docs/benchmarks.md),
and the document types that a university usually starts with, which the admin site edits.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

FORWARD = """
CREATE FUNCTION ingestion_document_readers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.audience = 'institution' THEN
        NEW.readers := ARRAY[0];
    ELSE
        NEW.readers := ARRAY[NEW.department_id::integer] || ARRAY(
            SELECT department_id::integer FROM ingestion_document_shared_with
            WHERE document_id = NEW.id AND department_id <> NEW.department_id ORDER BY department_id);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ingestion_document_readers BEFORE INSERT OR UPDATE ON ingestion_document
    FOR EACH ROW EXECUTE FUNCTION ingestion_document_readers();

CREATE FUNCTION ingestion_document_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Any update derives `readers` anew; audience stands in for 'touch this row'.
    UPDATE ingestion_document SET audience = audience WHERE id = COALESCE(NEW.document_id, OLD.document_id);
    RETURN NULL;
END $$;

CREATE TRIGGER ingestion_document_shared AFTER INSERT OR UPDATE OR DELETE ON ingestion_document_shared_with
    FOR EACH ROW EXECUTE FUNCTION ingestion_document_shared();

CREATE FUNCTION ingestion_document_to_chunks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ingestion_chunk SET
        clearance = NEW.clearance, readers = NEW.readers, is_searchable = NEW.is_searchable AND NOT staged,
        visible_from = NEW.visible_from, visible_until = NEW.visible_until
    WHERE document_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER ingestion_document_to_chunks AFTER UPDATE ON ingestion_document
    FOR EACH ROW WHEN (
        (OLD.clearance, OLD.readers, OLD.is_searchable, OLD.visible_from, OLD.visible_until)
        IS DISTINCT FROM
        (NEW.clearance, NEW.readers, NEW.is_searchable, NEW.visible_from, NEW.visible_until))
    EXECUTE FUNCTION ingestion_document_to_chunks();

CREATE FUNCTION ingestion_chunk_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The row lock keeps a reclassification that runs beside this insert from being missed.
    SELECT clearance, readers, is_searchable AND NOT NEW.staged, visible_from, visible_until
    INTO NEW.clearance, NEW.readers, NEW.is_searchable, NEW.visible_from, NEW.visible_until
    FROM ingestion_document WHERE id = NEW.document_id FOR SHARE;
    RETURN NEW;
END $$;

CREATE TRIGGER ingestion_chunk_access BEFORE INSERT OR UPDATE OF staged ON ingestion_chunk
    FOR EACH ROW EXECUTE FUNCTION ingestion_chunk_access();

ALTER TABLE ingestion_chunk ALTER COLUMN embedding SET STORAGE PLAIN, ALTER COLUMN readers SET STORAGE MAIN;
"""

BACKWARD = """
ALTER TABLE ingestion_chunk ALTER COLUMN embedding SET STORAGE EXTENDED, ALTER COLUMN readers SET STORAGE EXTENDED;
DROP TRIGGER ingestion_chunk_access ON ingestion_chunk;
DROP TRIGGER ingestion_document_to_chunks ON ingestion_document;
DROP TRIGGER ingestion_document_shared ON ingestion_document_shared_with;
DROP TRIGGER ingestion_document_readers ON ingestion_document;
DROP FUNCTION ingestion_chunk_access(), ingestion_document_to_chunks(), ingestion_document_shared(),
    ingestion_document_readers();
"""

TYPES = {
    "policy": "Policy",
    "guide": "Guide",
    "procedure": "Procedure",
    "faq": "Questions and answers",
    "form": "Form",
    "manual": "Manual",
    "handbook": "Handbook",
    "minutes": "Minutes",
    "report": "Report",
}


def create_types(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A first set of document types."""
    document_type = apps.get_model("ingestion", "DocumentType")
    for slug, name in TYPES.items():
        document_type.objects.get_or_create(slug=slug, defaults={"name": name})


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial")]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunPython(create_types, migrations.RunPython.noop),
    ]
