"""The scratch database of the access benchmarks, beside the one that DATABASE_URL names: made once, then asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deploy.bench._access_corpus import DIMENSIONS

SESSION = {
    # As in deploy/local/postgres.py.
    "random_page_cost": "1.1",
    "work_mem": "16MB",
    "jit": "off",
    # One core a search: under load nobody gets two.
    "max_parallel_workers_per_gather": "0",
    "hnsw.iterative_scan": "relaxed_order",
}


class Server:
    """The database server, and on it the scratch database of this name."""

    def __init__(self, database_url: str, scratch: str) -> None:
        self._url = urlsplit(database_url)
        self._scratch = scratch

    def url(self, database: str = "") -> str:
        """The address of a database, of the scratch one where none is named."""
        return self._url._replace(path=f"/{database or self._scratch}").geturl()

    @contextmanager
    def connect(self, database: str = "") -> Iterator[psycopg.Connection]:
        """A connection that commits at once and binds as Django's does: on the client, nothing prepared."""
        with psycopg.connect(
            self.url(database), autocommit=True, cursor_factory=psycopg.ClientCursor, prepare_threshold=None
        ) as connection:
            yield connection

    @contextmanager
    def beside(self) -> Iterator[psycopg.Connection]:
        """A connection to the database that DATABASE_URL names, to make others from."""
        with self.connect(self._url.path.lstrip("/")) as connection:
            yield connection

    def made(self, mark: str) -> bool:
        """Whether the scratch database holds, complete, what was marked so."""
        with self.beside() as connection:
            row = connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [self._scratch]
            ).fetchone()
        return row is not None and row[0] == mark

    def make(self, mark: str, migrate: Callable[[], None], fill: Callable[[psycopg.Connection], None]) -> None:
        """Make the scratch database anew. It is marked at the end, so that half a corpus is never measured."""
        name = sql.Identifier(self._scratch)
        with self.beside() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        migrate()
        with self.connect() as connection:
            fill(connection)
        with self.beside() as connection:
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(mark)))


def set_up_django(server: Server) -> Callable[[], None]:
    """Let the portal's models speak for the scratch database; the function that migrates it."""
    os.environ["DATABASE_URL"] = server.url()
    os.environ["EMBEDDING_DIMENSIONS"] = str(DIMENSIONS)
    # What is measured is how long answers take that nobody has asked for before.
    os.environ["SEARCH_CACHE_SECONDS"] = "0"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django
    from django.core.management import call_command
    from django.db import connection, connections
    from django.db.backends.postgresql.base import DatabaseWrapper

    django.setup()

    def migrate() -> None:
        call_command("migrate", verbosity=0)
        # A database that somebody is connected to cannot be copied.
        connection.close()
        if isinstance(wrapper := connections[connection.alias], DatabaseWrapper):
            wrapper.close_pool()

    return migrate
