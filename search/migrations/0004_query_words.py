"""A query's words for ranking by BM25: the forms and dimensions of each, and how rare it is; all in one value, so that
it can be read by a statement that asks for something else besides. And the weights of the chunks that are there
already (ingestion/migrations/0006)."""

from django.db import migrations

WEIGHTS = """
INSERT INTO ingestion_wordweights (chunk_id, weights)
SELECT id, ingestion_word_weights(lexemes, language) FROM ingestion_chunk ORDER BY id
ON CONFLICT (chunk_id) DO NOTHING;
"""

FORWARD = r"""
CREATE FUNCTION search_query_words(raw text[], plain text[], beginnings text[], configs regconfig[]) RETURNS json
LANGUAGE sql STABLE AS $$
    WITH word AS (
        SELECT * FROM unnest(raw, plain, beginnings) WITH ORDINALITY AS word (raw, plain, beginning, ordinal)
    ), stop AS (
        -- A stop word vanishes in the configuration of its language.
        SELECT DISTINCT ordinal FROM word, unnest(configs) AS config WHERE to_tsvector(config, word.raw) = ''
    ), public AS (
        SELECT COALESCE(max(chunks), 0) AS chunks FROM ingestion_languagecentre WHERE language = ''
    ), form AS (
        SELECT ordinal, unnest(tsvector_to_array(to_tsvector(config, word.raw))) AS word
        FROM word, unnest(configs) AS config
        UNION
        SELECT ordinal, unnest(tsvector_to_array(to_tsvector('simple', word.plain))) FROM word
        UNION
        -- One character of a script without spaces is found in the pairs that begin with it; the commonest will do.
        SELECT ordinal, pair.word FROM word, LATERAL (
            SELECT term.word FROM ingestion_term AS term
            WHERE term.word > word.beginning AND term.word < word.beginning || chr(1114111)
            ORDER BY term.idf, term.word LIMIT 30) AS pair
        WHERE word.beginning <> ''
    ), found AS (
        -- One by one, through the index: by a join the planner would read all the words that there are.
        SELECT ordinal, word, (SELECT term.idf FROM ingestion_term AS term WHERE term.word = form.word) AS idf FROM form
    ), rarity AS (
        -- What stands in no two public chunks is rarest.
        SELECT ordinal, word, ingestion_word_dimension(word) AS dimension, idf IS NOT NULL AS known,
               COALESCE(idf, ln(1 + (public.chunks + 0.5) / 0.5)) AS idf
        FROM found CROSS JOIN public
    ), asked AS (
        -- A word is as frequent as its most frequent form.
        SELECT ordinal, min(idf) AS idf, bool_or(known) AS known,
               json_agg(word ORDER BY idf, word) AS forms, json_agg(dimension ORDER BY idf, word) AS dimensions
        FROM rarity GROUP BY ordinal
    )
    SELECT json_agg(json_build_object('place', ordinal - 1, 'idf', idf, 'known', known, 'forms', forms,
                                      'dimensions', dimensions, 'stop', stop.ordinal IS NOT NULL) ORDER BY ordinal)
    FROM asked LEFT JOIN stop USING (ordinal)
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0003_audited_as"), ("ingestion", "0006_word_weights")]
    operations = [
        migrations.RunSQL(WEIGHTS, migrations.RunSQL.noop),
        migrations.RunSQL(FORWARD, "DROP FUNCTION search_query_words(text[], text[], text[], regconfig[])"),
    ]
