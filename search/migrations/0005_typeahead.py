"""What typing completes and what corrects it: titles and sections by their words, and every word of the corpus.

Headings are kept by the database itself, like the words' weights (ingestion/migrations/0006): nothing that writes
chunks need know of them, and processes of the release before keep them too (docs/decisions/0026).
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

FUNCTIONS = """
CREATE FUNCTION search_headings_of(chunk ingestion_chunk)
RETURNS TABLE (is_title boolean, heading text, words tsvector) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT true, ''::text, ts_filter(chunk.lexemes, '{a}') WHERE chunk.position = 0
    UNION ALL
    SELECT false, chunk.section_title, ts_filter(chunk.lexemes, '{b}') WHERE chunk.section_title <> ''
$$;
"""

DROP_FUNCTIONS = "DROP FUNCTION search_headings_of(ingestion_chunk);"

TRIGGERS = """
CREATE FUNCTION search_headings_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_heading (chunk_id, document_id, is_title, staged, text, words)
    SELECT chunk.id, chunk.document_id, found.is_title, chunk.staged, found.heading, found.words
    FROM ingestion_chunk AS chunk CROSS JOIN LATERAL search_headings_of(chunk) AS found
    WHERE chunk.id IN (SELECT id FROM written);
    RETURN NULL;
END $$;

CREATE FUNCTION search_headings_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_heading WHERE chunk_id = NEW.id;
    INSERT INTO search_heading (chunk_id, document_id, is_title, staged, text, words)
    SELECT NEW.id, NEW.document_id, found.is_title, NEW.staged, found.heading, found.words
    FROM search_headings_of(NEW) AS found;
    RETURN NULL;
END $$;

CREATE FUNCTION search_headings_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_heading USING deleted WHERE chunk_id = deleted.id;
    RETURN NULL;
END $$;

CREATE TRIGGER search_headings_written AFTER INSERT ON ingestion_chunk
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION search_headings_written();
CREATE TRIGGER search_headings_changed AFTER UPDATE OF lexemes, section_title, position, staged ON ingestion_chunk
    FOR EACH ROW WHEN ((OLD.lexemes, OLD.section_title, OLD.position, OLD.staged)
                       IS DISTINCT FROM (NEW.lexemes, NEW.section_title, NEW.position, NEW.staged))
    EXECUTE FUNCTION search_headings_changed();
CREATE TRIGGER search_headings_deleted AFTER DELETE ON ingestion_chunk
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION search_headings_deleted();

INSERT INTO search_heading (chunk_id, document_id, is_title, staged, text, words)
SELECT chunk.id, chunk.document_id, found.is_title, chunk.staged, found.heading, found.words
FROM ingestion_chunk AS chunk CROSS JOIN LATERAL search_headings_of(chunk) AS found;
"""

DROP_TRIGGERS = """
DROP TRIGGER search_headings_deleted ON ingestion_chunk;
DROP TRIGGER search_headings_changed ON ingestion_chunk;
DROP TRIGGER search_headings_written ON ingestion_chunk;
DROP FUNCTION search_headings_deleted(), search_headings_changed(), search_headings_written();
"""


def _bare(to: str) -> models.ForeignKey:
    """A reference that the triggers keep: the database need not look after it a second time."""
    return models.ForeignKey(
        db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=to
    )


class Migration(migrations.Migration):
    dependencies = [("search", "0004_query_words"), ("ingestion", "0006_word_weights")]
    operations = [
        migrations.CreateModel(
            name="Heading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chunk", _bare("ingestion.chunk")),
                ("document", _bare("ingestion.document")),
                ("is_title", models.BooleanField()),
                ("staged", models.BooleanField()),
                ("text", models.CharField(max_length=300)),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        condition=models.Q(is_title=True), fields=["words"], name="heading_title_words"
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        condition=models.Q(is_title=False), fields=["words"], name="heading_section_words"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="VocabularyWord",
            fields=[("word", models.CharField(max_length=40, primary_key=True, serialize=False))],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["word"], name="vocabulary_word_trgm", opclasses=["gin_trgm_ops"]
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="VocabularyReading",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("last_chunk", models.BigIntegerField(default=0)),
                ("whole_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(TRIGGERS, DROP_TRIGGERS),
    ]
