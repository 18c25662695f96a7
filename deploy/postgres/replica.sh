#!/bin/sh
# A replica: copies its primary when its folder is empty, then runs what it is given (`postgres -c …`), following it.
#   PRIMARY_HOST, PRIMARY_PORT (5432)   whom it follows
#   REPLICA_NAME                        its name, which is also that of its slot at the primary (initialise.sh)
#   REPLICATION_PASSWORD_FILE           the password of cloister_replication
#   PGDATA                              its folder
set -eu
umask 077
password="$(cat "$REPLICATION_PASSWORD_FILE")"
mkdir -p "$(dirname "$PGDATA")"
# In the folder's parent: it must outlive a new copy, and be readable by PostgreSQL alone.
PGPASSFILE="$(dirname "$PGDATA")/replication.pgpass"
export PGPASSFILE
printf '*:*:*:cloister_replication:%s\n' "$password" > "$PGPASSFILE"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A copy that was broken off has no PG_VERSION of use; made beside and renamed, there is none or a whole one.
    rm -rf "$PGDATA.new"
    pg_basebackup --pgdata="$PGDATA.new" --checkpoint=fast --wal-method=stream --slot="$REPLICA_NAME" --write-recovery-conf \
        --dbname="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=cloister_replication passfile=$PGPASSFILE application_name=$REPLICA_NAME"
    rm -rf "$PGDATA"
    mv "$PGDATA.new" "$PGDATA"
fi
exec "$@"
