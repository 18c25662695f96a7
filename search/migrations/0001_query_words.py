"""A query's words: the forms that the index may hold each in, and how rare it is."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION search_words(raw text[], plain text[], configs regconfig[])
RETURNS TABLE (alternatives text, idf double precision)
LANGUAGE sql STABLE AS $$
    WITH stop AS (
        -- A stop word vanishes in the configuration of its language.
        SELECT DISTINCT ordinal
        FROM unnest(raw) WITH ORDINALITY AS word(text, ordinal), unnest(configs) AS config
        WHERE to_tsvector(config, word.text) = ''
    ), kept AS (
        SELECT ordinal FROM generate_subscripts(raw, 1) AS ordinal
        WHERE ordinal NOT IN (SELECT ordinal FROM stop) OR (SELECT count(*) FROM stop) = cardinality(raw)
    ), form AS (
        SELECT ordinal, unnest(tsvector_to_array(to_tsvector(config, raw[ordinal]))) AS word
        FROM kept, unnest(configs) AS config
        UNION
        SELECT ordinal, unnest(tsvector_to_array(to_tsvector('simple', plain[ordinal]))) FROM kept
    )
    SELECT string_agg(concat('''', replace(replace(form.word, '\', '\\'), '''', ''''''), ''''), ' | '),
           -- A word is as frequent as its most frequent form; one that stands in no two public chunks is rarest.
           min(COALESCE(term.idf, ln(1 + (COALESCE(centre.chunks, 0) + 0.5) / 0.5)))
    FROM form
    LEFT JOIN ingestion_term AS term USING (word)
    LEFT JOIN ingestion_languagecentre AS centre ON centre.language = ''
    GROUP BY form.ordinal
$$;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("ingestion", "0003_statistics")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION search_words(text[], text[], regconfig[])")]
