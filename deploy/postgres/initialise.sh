#!/bin/sh
# Roles, database and extensions of a new primary. The image of PostgreSQL runs it once, when its folder is empty; by hand:
# as a superuser's PGHOST, PGPORT, PGUSER …, with the four passwords in files of this folder:
set -eu
secrets="${SECRETS_FOLDER:-/run/secrets}"
views="${MONITORING_SQL:-/docker-entrypoint-initdb.d/monitoring.psql}"

# Read by psql itself (\getenv), so that no password stands on a command line or in the log.
CLOISTER_PASSWORD="$(cat "$secrets/cloister_password")"
REPLICATION_PASSWORD="$(cat "$secrets/replication_password")"
MONITOR_PASSWORD="$(cat "$secrets/monitor_password")"
BACKUP_PASSWORD="$(cat "$secrets/backup_password")"
export CLOISTER_PASSWORD REPLICATION_PASSWORD MONITOR_PASSWORD BACKUP_PASSWORD

psql -X -q -v ON_ERROR_STOP=1 -d postgres <<'SQL'
\getenv cloister CLOISTER_PASSWORD
\getenv replication REPLICATION_PASSWORD
\getenv monitor MONITOR_PASSWORD
\getenv backup BACKUP_PASSWORD
CREATE ROLE cloister LOGIN PASSWORD :'cloister';
CREATE ROLE cloister_replication LOGIN REPLICATION PASSWORD :'replication';
CREATE ROLE cloister_monitor LOGIN PASSWORD :'monitor';
GRANT pg_monitor TO cloister_monitor;
CREATE ROLE cloister_backup LOGIN REPLICATION PASSWORD :'backup';
GRANT pg_read_all_data TO cloister_backup;
CREATE DATABASE cloister OWNER cloister;
-- One for each replica: the primary keeps what it has not fetched yet, up to max_slot_wal_keep_size.
SELECT pg_create_physical_replication_slot('replica_1');
\connect cloister
CREATE EXTENSION vector;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION unaccent;
CREATE EXTENSION btree_gin;
CREATE EXTENSION fuzzystrmatch;
SQL
psql -X -q -v ON_ERROR_STOP=1 -d cloister -f "$views"
