"""What somebody with the rights of the database's owner could do to the trail: the guards off, for tests alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.utils import CursorWrapper

GUARDED = ("accounts_auditevent", "accounts_auditseal", "accounts_auditpurge", "search_searchevent")


@contextmanager
def unguarded() -> Iterator[CursorWrapper]:
    """A cursor that nothing stops."""
    with connection.cursor() as cursor:
        # What waits for the end of the transaction would keep the tables from being altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield cursor
        finally:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in GUARDED:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_whole")
