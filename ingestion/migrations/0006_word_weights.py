"""BM25 by inner product: what each word weighs in each chunk, kept by the database itself (docs/decisions/0022).

Chunks that are there already get theirs in search/migrations/0004, in a transaction of its own: nothing that is written
meanwhile is missed, and writers wait for the triggers only.
"""

import django.db.models.deletion
import pgvector.django.sparsevec
from django.db import migrations, models

FUNCTIONS = """
CREATE FUNCTION ingestion_word_dimension(word text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((hashtextextended(word, 0) & 9223372036854775807) % 1000000000 + 1)::integer
$$;

CREATE FUNCTION ingestion_has_stems(language text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT language IN ('ar', 'ca', 'da', 'de', 'el', 'en', 'es', 'et', 'eu', 'fi', 'fr', 'ga', 'hi', 'hu', 'hy', 'id',
        'it', 'lt', 'ne', 'nl', 'no', 'pt', 'ro', 'ru', 'sr', 'sv', 'ta', 'tr', 'yi')
$$;

CREATE FUNCTION ingestion_word_weights(lexemes tsvector, language text) RETURNS sparsevec
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- BM25 with k1 = 1.2, b = 0.75 and 180 words as the length of a usual chunk, in thousandths. Words of the title
    -- count twice. Where the language has stems, each word of the text stands in the vector twice, as its stem and as
    -- it is written, and so counts half each time.
    SELECT COALESCE('{' || string_agg(dimension || ':' || (2200 * often / (often + 0.3 + 0.005 * length))::integer, ',')
                    || '}/1000000000', '{}/1000000000')::sparsevec
    FROM (
        SELECT dimension, share * sum(often) AS often, share * sum(sum(counted)) OVER () AS length
        FROM (
            SELECT ingestion_word_dimension(lexeme) AS dimension, cardinality(positions) AS often,
                   cardinality(positions) AS counted
            FROM unnest(lexemes)
            UNION ALL
            SELECT ingestion_word_dimension(lexeme), cardinality(positions), 0 FROM unnest(ts_filter(lexemes, '{a}'))
        ) AS occurrence
        CROSS JOIN (SELECT CASE WHEN ingestion_has_stems(language) THEN 0.5::float8 ELSE 1 END AS share) AS counting
        GROUP BY dimension, share
    ) AS word
$$;
"""

DROP_FUNCTIONS = """
DROP FUNCTION ingestion_word_weights(tsvector, text), ingestion_has_stems(text), ingestion_word_dimension(text);
"""

TRIGGERS = """
CREATE FUNCTION ingestion_chunk_words_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_wordweights (chunk_id, weights)
    SELECT id, ingestion_word_weights(lexemes, language) FROM written
    ON CONFLICT (chunk_id) DO UPDATE SET weights = EXCLUDED.weights;
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_chunk_words_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ingestion_wordweights (chunk_id, weights)
    VALUES (NEW.id, ingestion_word_weights(NEW.lexemes, NEW.language))
    ON CONFLICT (chunk_id) DO UPDATE SET weights = EXCLUDED.weights;
    RETURN NULL;
END $$;

CREATE FUNCTION ingestion_chunk_words_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ingestion_wordweights USING deleted WHERE chunk_id = deleted.id;
    RETURN NULL;
END $$;

CREATE TRIGGER ingestion_chunk_words_written AFTER INSERT ON ingestion_chunk
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION ingestion_chunk_words_written();
CREATE TRIGGER ingestion_chunk_words_changed AFTER UPDATE OF lexemes, language ON ingestion_chunk FOR EACH ROW
    WHEN ((OLD.lexemes, OLD.language) IS DISTINCT FROM (NEW.lexemes, NEW.language))
    EXECUTE FUNCTION ingestion_chunk_words_changed();
CREATE TRIGGER ingestion_chunk_words_deleted AFTER DELETE ON ingestion_chunk
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION ingestion_chunk_words_deleted();

ALTER TABLE ingestion_wordweights ALTER COLUMN weights SET STORAGE EXTERNAL;
"""

DROP_TRIGGERS = """
DROP TRIGGER ingestion_chunk_words_deleted ON ingestion_chunk;
DROP TRIGGER ingestion_chunk_words_changed ON ingestion_chunk;
DROP TRIGGER ingestion_chunk_words_written ON ingestion_chunk;
DROP FUNCTION ingestion_chunk_words_deleted(), ingestion_chunk_words_changed(), ingestion_chunk_words_written();
"""


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0005_second_vector_space")]
    operations = [
        migrations.CreateModel(
            name="WordWeights",
            fields=[
                (
                    "chunk",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="word_weights",
                        serialize=False,
                        to="ingestion.chunk",
                    ),
                ),
                ("weights", pgvector.django.sparsevec.SparseVectorField(dimensions=1_000_000_000)),
            ],
        ),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(TRIGGERS, DROP_TRIGGERS),
    ]
