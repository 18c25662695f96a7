"""Every change of what a search answers leaves a row, by which kept answers are told from those of before it.

The database notes them itself, with the change and in its transaction, so that no path of writing can forget it and no
moment lies between the two (docs/decisions/0025). A row says whose answers it changes by the access that the document
had, and by the one that it has now: nobody learns that something hidden from them has changed. Progress of a document
that is not served changes nobody's answers, and leaves none.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

FORWARD = """
ALTER TABLE ingestion_corpuschange ALTER COLUMN token SET DEFAULT hashtextextended(gen_random_uuid()::text, 0);
-- Two databases never look alike, not even empty.
INSERT INTO ingestion_corpuschange (clearance, readers) VALUES (1, '{0}');

CREATE FUNCTION ingestion_change_for_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_corpuschange (clearance, readers) VALUES (1, '{0}');
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_change_of_served() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_corpuschange (clearance, readers)
    SELECT DISTINCT clearance, readers FROM changed WHERE is_searchable;
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_change_of_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_corpuschange (clearance, readers)
    SELECT DISTINCT side.clearance, side.readers
    FROM before JOIN changed USING (id) CROSS JOIN LATERAL (VALUES
        (before.clearance, before.readers, before.is_searchable),
        (changed.clearance, changed.readers, changed.is_searchable)) AS side (clearance, readers, served)
    WHERE side.served AND (
        before.clearance, before.readers, before.is_searchable, before.visible_from, before.visible_until,
        before.title, before.file_name, before.department_id, before.campus_id, before.doc_type_id, before.language,
        before.priority, before.last_reviewed, before.written_on, before.created_at, before.chunk_count
    ) IS DISTINCT FROM (
        changed.clearance, changed.readers, changed.is_searchable, changed.visible_from, changed.visible_until,
        changed.title, changed.file_name, changed.department_id, changed.campus_id, changed.doc_type_id,
        changed.language, changed.priority, changed.last_reviewed, changed.written_on, changed.created_at,
        changed.chunk_count);
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_change_of_chunks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- `embedding` is whichever column bears the name now (ingestion.vectorspace): what is filled beside it is unseen.
    INSERT INTO ingestion_corpuschange (clearance, readers)
    SELECT DISTINCT side.clearance, side.readers
    FROM before JOIN changed USING (id) CROSS JOIN LATERAL (VALUES
        (before.clearance, before.readers, before.is_searchable),
        (changed.clearance, changed.readers, changed.is_searchable)) AS side (clearance, readers, served)
    WHERE side.served AND (
        before.is_searchable, before.clearance, before.readers, before.visible_from, before.visible_until,
        before.document_id, before.position, before.page_number, before.language, before.section_title,
        before.embedding, before.text, before.lexemes
    ) IS DISTINCT FROM (
        changed.is_searchable, changed.clearance, changed.readers, changed.visible_from, changed.visible_until,
        changed.document_id, changed.position, changed.page_number, changed.language, changed.section_title,
        changed.embedding, changed.text, changed.lexemes);
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_change_of_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_corpuschange (clearance, readers)
    SELECT DISTINCT clearance, readers FROM ingestion_document
    WHERE is_searchable AND id IN (SELECT document_id FROM changed);
    RETURN NULL;
END $$;

CREATE TRIGGER ingestion_document_change_inserted AFTER INSERT ON ingestion_document
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_served();
CREATE TRIGGER ingestion_document_change_deleted AFTER DELETE ON ingestion_document
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_served();
CREATE TRIGGER ingestion_document_change_updated AFTER UPDATE ON ingestion_document
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_documents();
CREATE TRIGGER ingestion_chunk_change_inserted AFTER INSERT ON ingestion_chunk
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_served();
CREATE TRIGGER ingestion_chunk_change_deleted AFTER DELETE ON ingestion_chunk
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_served();
CREATE TRIGGER ingestion_chunk_change_updated AFTER UPDATE ON ingestion_chunk
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_chunks();
CREATE TRIGGER ingestion_document_tags_change_inserted AFTER INSERT ON ingestion_document_tags
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_tags();
CREATE TRIGGER ingestion_document_tags_change_deleted AFTER DELETE ON ingestion_document_tags
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_of_tags();

CREATE TRIGGER ingestion_change_truncated AFTER TRUNCATE ON ingestion_document
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_truncated AFTER TRUNCATE ON ingestion_chunk
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_truncated AFTER TRUNCATE ON ingestion_document_tags
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();

-- Names that hits show and filters take. A new one belongs to no document yet.
CREATE TRIGGER ingestion_change_named AFTER UPDATE ON accounts_department
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_named AFTER UPDATE ON accounts_campus
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_named AFTER UPDATE ON ingestion_documenttype
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_named AFTER UPDATE ON ingestion_tag
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();

-- What scores are made of, counted over what everybody may see.
CREATE TRIGGER ingestion_change_counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ingestion_languagecentre
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER ingestion_change_counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ingestion_term
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
"""

BACKWARD = """
DROP FUNCTION ingestion_change_for_all(), ingestion_change_of_served(), ingestion_change_of_documents(),
    ingestion_change_of_chunks(), ingestion_change_of_tags() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0006_word_weights"), ("accounts", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="CorpusChange",
            fields=[
                ("token", models.BigIntegerField(editable=False, primary_key=True, serialize=False)),
                ("clearance", models.PositiveSmallIntegerField()),
                ("readers", django.contrib.postgres.fields.ArrayField(models.IntegerField(), size=None)),
            ],
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(
                fields=["visible_from"], condition=models.Q(visible_from__isnull=False), name="document_visible_from"
            ),
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(
                fields=["visible_until"], condition=models.Q(visible_until__isnull=False), name="document_visible_until"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
