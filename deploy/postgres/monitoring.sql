-- Four views for operators, in a schema of their own. Run it as a superuser in the portal's database, once and after each
-- upgrade of PostgreSQL:  psql -d cloister -f deploy/postgres/monitoring.sql
-- Whoever is a member of pg_monitor may read them. None shows what people asked: statements come as their digest, or with
-- $1 in the place of values.
CREATE SCHEMA IF NOT EXISTS monitoring;
REVOKE ALL ON SCHEMA monitoring FROM PUBLIC;
GRANT USAGE ON SCHEMA monitoring TO pg_monitor;

-- Who is connected, doing what, and how much of the limit that is.
CREATE OR REPLACE VIEW monitoring.connections AS
SELECT coalesce(datname, '') AS database, coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
       coalesce(state, backend_type) AS state, count(*) AS connections,
       max(extract(epoch FROM clock_timestamp() - state_change))::double precision AS longest_seconds,
       current_setting('max_connections')::integer AS max_connections
FROM pg_stat_activity
GROUP BY 1, 2, 3, 4;

-- What has been going on for five seconds or more, and whom it keeps waiting.
CREATE OR REPLACE VIEW monitoring.long_queries AS
SELECT pid, datname AS database, usename AS role, state,
       extract(epoch FROM clock_timestamp() - query_start)::double precision AS query_seconds,
       extract(epoch FROM clock_timestamp() - xact_start)::double precision AS transaction_seconds,
       wait_event_type, wait_event, query_id, pg_blocking_pids(pid) AS waits_for
FROM pg_stat_activity
WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND clock_timestamp() - xact_start >= interval '5 seconds';

-- Every index over vectors: how large, whether it fits into memory, and whether anybody uses it.
CREATE OR REPLACE VIEW monitoring.vector_index_use AS
SELECT s.schemaname AS schema, s.relname AS table, s.indexrelname AS index, am.amname AS method,
       s.idx_scan AS scans, s.last_idx_scan AS last_scan, s.idx_tup_read AS rows_read,
       pg_relation_size(s.indexrelid) AS bytes,
       round(pg_relation_size(s.indexrelid)::numeric / pg_size_bytes(current_setting('shared_buffers')), 3)
           AS share_of_shared_buffers,
       round(io.idx_blks_hit::numeric / nullif(io.idx_blks_hit + io.idx_blks_read, 0), 4) AS hit_share,
       i.indisvalid AS valid
FROM pg_stat_all_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
JOIN pg_class c ON c.oid = s.indexrelid
JOIN pg_am am ON am.oid = c.relam
JOIN pg_statio_all_indexes io ON io.indexrelid = s.indexrelid
WHERE am.amname IN ('hnsw', 'ivfflat');

-- What the statements that compare vectors cost. It needs pg_stat_statements, both in shared_preload_libraries and as an
-- extension; without, its one row says so.
DROP VIEW IF EXISTS monitoring.vector_query_cost;
DO $$
BEGIN
    IF current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%' THEN
        CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
        CREATE VIEW monitoring.vector_query_cost AS
        SELECT s.queryid AS query_id, s.calls, s.mean_exec_time AS mean_ms, s.max_exec_time AS max_ms,
               s.total_exec_time AS total_ms, s.rows, s.shared_blks_hit AS blocks_hit, s.shared_blks_read AS blocks_read,
               s.temp_blks_written AS blocks_spilled, left(s.query, 200) AS statement, NULL::text AS problem
        FROM pg_stat_statements s
        JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()
        WHERE s.query ~ '<=>|<#>|<->|<\+>' AND s.query NOT LIKE '%pg_stat_statements%';
    ELSE
        CREATE VIEW monitoring.vector_query_cost AS
        SELECT NULL::bigint AS query_id, NULL::bigint AS calls, NULL::double precision AS mean_ms,
               NULL::double precision AS max_ms, NULL::double precision AS total_ms, NULL::bigint AS rows,
               NULL::bigint AS blocks_hit, NULL::bigint AS blocks_read, NULL::bigint AS blocks_spilled,
               NULL::text AS statement,
               'pg_stat_statements is not in shared_preload_libraries: add it, restart PostgreSQL, and run '
               'monitoring.sql again'::text AS problem;
    END IF;
END
$$;
GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO pg_monitor;
