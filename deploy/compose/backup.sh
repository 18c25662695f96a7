#!/bin/sh
# What the containers of the backup do: `log` receives the log as it is written, `daily` backs up once a day, and sends
# what is new off the site every five minutes where the secret backup_s3 names a bucket.
set -eu
BACKUP_DATABASE_URL="$(cat /run/secrets/backup_database_url)"
export BACKUP_DATABASE_URL
case "${1:-}" in
log)
    exec python -m deploy.backup.wal
    ;;
daily)
    set -a
    # Lines such as BACKUP_S3_BUCKET=…; empty at first.
    . /run/secrets/backup_s3
    set +a
    round=0
    while :; do
        # 276 rounds are 23 hours, and the backup takes its time: the alert comes after 26. A failure is in the log, and
        # BACKUP_MARK stays as it was.
        if [ $((round % 276)) -eq 0 ]; then
            python -m deploy.backup.daily || echo "the backup failed" >&2
        elif [ -n "${BACKUP_S3_BUCKET:-}" ]; then
            python -m deploy.backup.offsite || echo "the copy off the site failed" >&2
        fi
        round=$((round + 1))
        sleep 300
    done
    ;;
*)
    echo "backup.sh: log or daily" >&2
    exit 2
    ;;
esac
