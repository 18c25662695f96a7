"""A query's words as a tsquery: any word may match, stop words of the institution's languages left out."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION search_tsquery(raw text[], plain text[], configs regconfig[]) RETURNS tsquery
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH stop AS (
        -- A stop word vanishes in the configuration of its language.
        SELECT DISTINCT ordinal
        FROM unnest(raw) WITH ORDINALITY AS word(text, ordinal), unnest(configs) AS config
        WHERE to_tsvector(config, word.text) = ''
    ), kept AS (
        SELECT raw[ordinal] AS raw, plain[ordinal] AS plain FROM generate_subscripts(raw, 1) AS ordinal
        WHERE ordinal NOT IN (SELECT ordinal FROM stop) OR (SELECT count(*) FROM stop) = cardinality(raw)
    ), terms AS (
        SELECT unnest(tsvector_to_array(to_tsvector(config, kept.raw))) AS term FROM kept, unnest(configs) AS config
        UNION
        SELECT unnest(tsvector_to_array(to_tsvector('simple', kept.plain))) FROM kept
    )
    SELECT COALESCE(
        string_agg('''' || replace(replace(term, '\', '\\'), '''', '''''') || '''', ' | '), ''
    )::tsquery FROM terms
$$;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("ingestion", "0002_access_triggers")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION search_tsquery(text[], text[], regconfig[])")]
