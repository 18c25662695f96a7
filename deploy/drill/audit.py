"""Whether the audit trail loses nothing while the database cannot take it, and whether tampering is found.

    ./cloister drill audit [--json] [--seconds N]

A web server on a new database is searched over HTTP, some 20 times a second. For 30 seconds the trail is locked: reads
go on, and so must the searches. For 30 more the whole database takes no writes, as a replica does; then the web server
is stopped, and another one started when the database is itself again. Each search that was answered has an id, and
must be in the trail, once. Then the trail is changed, deleted from and swapped in, each many times and undone, and
its end is cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg
from psycopg import sql

from deploy.bench import AtLeast, Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.drill._audit_tampering import tampered
from deploy.drill._stale_servers import database_of_our_own, prepare, web_servers

SECONDS = 30.0
"""Of each outage: the issue that introduced this drill."""

THREADS, PAUSE_SECONDS = 4, 0.2
SETTLE_SECONDS = 60.0
"""In which what waits must have come."""

TAMPERED = 100
"""How often in each way."""


@dataclass
class Searches:
    """The searches of one stretch: ids of those that were answered, how long each took, and what else came back."""

    answered: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Drill, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.drill.audit")
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    seconds: float = parser.parse_known_args()[0].seconds
    before = machine()
    with tempfile.TemporaryDirectory() as folder, database_of_our_own():
        spool = Path(folder) / "spool"
        environment = prepare(Path(folder), AUDIT_SPOOL=str(spool))
        stretches: dict[str, Searches] = {}
        waited: dict[str, int] = {}
        with web_servers(environment, 1) as (address,):
            stretches["before"] = searched(address, 3.0)
            with trail_locked():
                stretches["trail locked"] = searched(address, seconds)
                waited["trail locked"] = _lines(spool)
            stretches["between"] = searched(address, 3.0)
            with no_writes():
                stretches["no writes"] = searched(address, seconds)
                waited["no writes"] = _lines(spool)
        with web_servers(environment, 1) as (address,):
            stretches["afterwards"] = searched(address, 3.0)
            settled = _settled(spool)
        figures, bars = _compared(stretches)
        proofs, more = _proven()
        from django.db import connection

        connection.close()
    figures |= {"events_that_waited": waited, "left_in_the_folder": settled, **proofs}
    return conclude(
        "audit",
        on=before,
        data=f"{sum(len(one.answered) for one in stretches.values())} searches, two outages of {seconds:g} s",
        figures=figures,
        bars=[*bars, AtLeast("events that waited in the shorter outage", min(waited.values()), 1), *more],
    )


def searched(address: str, seconds: float) -> Searches:
    """Search for so long from several sides."""
    found, lock, until = Searches(), threading.Lock(), time.monotonic() + seconds

    def ask(side: int) -> None:
        turn = 0
        while time.monotonic() < until:
            turn += 1
            query = urlencode({"q": f"side {side} turn {turn}", "mode": "keyword"})
            started, search_id, problem = time.monotonic(), "", ""
            try:
                with urllib.request.urlopen(f"{address}/api/v1/search/?{query}", timeout=30) as answer:
                    search_id = json.load(answer)["search_id"]
            except urllib.error.HTTPError as error:
                problem = str(error.code)
            except OSError as error:
                problem = type(error).__name__
            with lock:
                found.seconds.append(time.monotonic() - started)
                if search_id:
                    found.answered.append(search_id)
                else:
                    found.refused[problem] += 1
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=ask, args=(side,)) for side in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def trail_locked() -> Iterator[None]:
    """Inside, nobody writes the trail of searches; everybody reads."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE search_searchevent IN EXCLUSIVE MODE")
        yield


@contextmanager
def no_writes() -> Iterator[None]:
    """Inside, the database takes no writes from anybody who connects."""
    name = urlsplit(os.environ["DATABASE_URL"]).path.lstrip("/")

    def alter(clause: str) -> None:
        address = urlsplit(os.environ["DATABASE_URL"])._replace(path="/template1").geturl()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} " + clause).format(sql.Identifier(name)))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [name],
            )

    alter("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        alter("RESET default_transaction_read_only")


def _lines(spool: Path) -> int:
    """How many events wait in the folder."""
    files = [*spool.glob("waiting-*"), *spool.glob("taken-*")]
    return sum(len([line for line in file.read_bytes().splitlines() if line.strip()]) for file in files)


def _settled(spool: Path) -> int:
    """How many events still wait when their time is up."""
    until = time.monotonic() + SETTLE_SECONDS
    while (left := _lines(spool)) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def _compared(stretches: dict[str, Searches]) -> tuple[dict[str, object], list[Bar]]:
    """The searches that were answered beside those in the trail."""
    from django.db import connection

    from search.models import SearchEvent

    connection.close()
    noted = Counter(str(pk) for pk in SearchEvent.objects.values_list("pk", flat=True))
    answered = [one for stretch in stretches.values() for one in stretch.answered]
    figures: dict[str, object] = {
        name: {
            "answered": len(stretch.answered),
            "refused": dict(stretch.refused),
            "slowest_seconds": round(max(stretch.seconds), 2),
        }
        for name, stretch in stretches.items()
    }
    return figures, [
        Bar("answered searches that are not in the trail", len(set(answered) - set(noted)), 0),
        Bar("answered searches that are in it twice", sum(noted[one] > 1 for one in answered), 0),
        Bar("searches refused while the trail was locked", stretches["trail locked"].refused.total(), 0),
    ]


def _proven() -> tuple[dict[str, object], list[Bar]]:
    """The trail followed as it is, as tampered with, and with its end cut off."""
    from django.db import connection, transaction

    from accounts import anchors, chain

    chain.seal()
    proof = chain.verify(chain.SEARCHES)
    kept = anchors.anchor()
    tallies = tampered(TAMPERED)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("search_searchevent", "accounts_auditseal"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        # As thoroughly as somebody can who has the database, and not the anchors.
        cursor.execute(
            "WITH cut AS (DELETE FROM accounts_auditseal WHERE chain = 'searches' AND position ="
            " (SELECT head_position FROM accounts_auditchain WHERE name = 'searches') RETURNING event)"
            " DELETE FROM search_searchevent WHERE id IN (SELECT event FROM cut)"
        )
        cursor.execute(
            "UPDATE accounts_auditchain SET head_position = head_position - 1, head_link ="
            " (SELECT link FROM accounts_auditseal WHERE chain = 'searches' AND position = head_position - 1)"
            " WHERE name = 'searches'"
        )
        cut = anchors.contradictions(kept)
        transaction.set_rollback(True)
    return {"events_followed": proof.checked, "tampered_with": sum(one.tried for one in tallies.values())}, [
        Bar("the trail as it was written: broken links", int(not proof.intact), 0),
        *(Bar(f"{way} and not found, of {one.tried}", one.missed, 0) for way, one in tallies.items()),
        *(Bar(f"{way} and another link named", one.misnamed, 0) for way, one in tallies.items()),
        AtLeast("a cut-off end that an anchor tells of", len(cut), 1),
    ]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    sys.exit(main())
