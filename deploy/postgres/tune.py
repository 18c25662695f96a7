"""`python -m deploy.postgres.tune --memory 64GB --cores 16 [--connections 150] [--json]`: PostgreSQL's settings.

For a machine that runs PostgreSQL 18 and nothing else, on solid-state disks, with Cloister's load: many short searches
that read vectors from memory, and a few writers. Prints a configuration file, or with `--json` an object.

Where the formulas come from. *PG* is PostgreSQL 18's own manual, with the section's name; *wiki* the PostgreSQL wiki's
"Tuning Your PostgreSQL Server"; *pgvector* the README of pgvector 0.8; *benchmarks* and *decision 23* are in docs/.

- shared_buffers 25 % of memory (PG "Resource Consumption"); effective_cache_size 75 % (wiki: half to three quarters).
- work_mem: what shared_buffers leave, over three sorts or hashes for each connection, halved for parallel workers,
  between 4 and 64 MB (wiki).
- maintenance_work_mem 1/16 of memory, at most 8 GB: an HNSW index is built fast while it fits, some 3 kB a chunk
  (docs/operators.md, "Changing the embedding model"; pgvector, "Index Build Time"). 64 GB: 4 GB, 1.4 million chunks.
- max_wal_size 1/4 of memory, 1 to 16 GB: checkpoints by the clock, not by the amount written (PG "WAL Configuration").
- max_worker_processes and max_parallel_workers as many as cores; 1/8 of them for one query, 1 to 4: searches come many
  at once, and each core is wanted by another; half of them, 8 at most, to build an index (PG "Resource Consumption").
- random_page_cost 1.1, effective_io_concurrency 200 (PG "Query Planning", "Resource Consumption": solid-state).
- jit off: to compile takes longer than a search does (25 to 37 ms in the database, benchmarks "One search").
- autovacuum: from 2 % changed rows on, with ten times the default's speed: chunks are swapped whole, and dead ones stay
  in the HNSW index until vacuumed (pgvector, "Vacuuming").
- hnsw.ef_search 200 and relaxed_order: what a session of psql or a report gets; the portal sets its own for each search
  (decision 23).
- Logging without what people asked: no statement's text is written, be it slow or wrong, since it holds their words.
  The portal logs slow statements by their digest, and pg_stat_statements counts them without their values.
"""

from __future__ import annotations

import argparse
import json
import re
import sys

KIB, MIB, GIB = 1024, 1024**2, 1024**3
UNITS = {"": 1, "kB": KIB, "MB": MIB, "GB": GIB, "TB": 1024**4}

LEAST_MEMORY = 256 * MIB
"""Below it the fixed parts (connections, WAL buffers) leave nothing to share out."""

HEAD = """\
# PostgreSQL 18 for Cloister on a machine of its own with {memory} and {cores} cores. Made by
#     python -m deploy.postgres.tune --memory {memory} --cores {cores} --connections {connections}
# which says where each formula comes from. Make it anew for another machine; do not edit it.
"""


def settings(memory: int, cores: int, connections: int = 150) -> dict[str, str]:
    """PostgreSQL's settings for so many bytes of memory, cores and connections.

    Raises ValueError for a machine too small to share out.
    """
    if memory < LEAST_MEMORY or cores < 1 or connections < 20:
        raise ValueError("at least 256MB of memory, one core and 20 connections are needed")
    shared = memory // 4
    wal = _between(GIB, memory // 4, 16 * GIB)
    return {
        # Connections. docs/operators.md, "Connections", says how many.
        "listen_addresses": "*",
        "max_connections": str(connections),
        "superuser_reserved_connections": "5",
        "password_encryption": "scram-sha-256",  # nosec B105  # how it is kept, no password
        "tcp_keepalives_idle": "60",
        "idle_in_transaction_session_timeout": "60s",
        "client_connection_check_interval": "10s",
        # Memory
        "shared_buffers": _size(shared),
        "huge_pages": "try",
        "effective_cache_size": _size(memory * 3 // 4),
        "work_mem": _size(_between(4 * MIB, (memory - shared) // (connections * 3) // 2, 64 * MIB)),
        "maintenance_work_mem": _size(_between(64 * MIB, memory // 16, 8 * GIB)),
        "autovacuum_work_mem": _size(_between(32 * MIB, memory // 64, GIB)),
        # The log of changes, and those who read it: replicas, and the archive
        "wal_level": "replica",
        "wal_buffers": "16MB",
        "wal_compression": "on",
        "min_wal_size": _size(wal // 4),
        "max_wal_size": _size(wal),
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        # A replica that is away is waited for, but not until the disk is full.
        "max_slot_wal_keep_size": _size(wal * 2),
        "wal_log_hints": "on",
        "summarize_wal": "on",
        "hot_standby_feedback": "on",
        # The planner, and the cores
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "default_statistics_target": "200",
        "jit": "off",
        "max_worker_processes": str(max(8, cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(_between(1, cores // 8, 4)),
        "max_parallel_maintenance_workers": str(_between(1, cores // 2, 8)),
        # Vacuum
        "autovacuum_max_workers": str(_between(2, cores // 4, 6)),
        "autovacuum_naptime": "30s",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_cost_limit": "2000",
        # What is counted, and what is written down
        "shared_preload_libraries": "vector,pg_stat_statements",
        "pg_stat_statements.max": "5000",
        "pg_stat_statements.track_utility": "off",
        "compute_query_id": "on",
        "track_io_timing": "on",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_temp_files": "64MB",
        "log_autovacuum_min_duration": "10s",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        # Vectors
        "hnsw.ef_search": "200",
        "hnsw.iterative_scan": "relaxed_order",
    }


def configuration(memory: int, cores: int, connections: int = 150) -> str:
    """The same as a configuration file, with who made it."""
    lines = [f"{name} = '{value}'" for name, value in settings(memory, cores, connections).items()]
    return HEAD.format(memory=_size(memory), cores=cores, connections=connections) + "\n".join(lines) + "\n"


def read_size(text: str) -> int:
    """Bytes of a size as PostgreSQL writes it, such as 64GB. Raises ValueError."""
    found = re.fullmatch(r"(\d+)\s*(kB|MB|GB|TB|)", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size: write one such as 64GB")
    return int(found[1]) * UNITS[found[2]]


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))


def _size(count: int) -> str:
    """In the largest unit that leaves a whole number; below a megabyte nothing is told apart."""
    for name, unit in (("GB", GIB), ("MB", MIB)):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{name}"
    return f"{count // MIB}MB"


def main(arguments: list[str] | None = None) -> int:
    """The command line. 0, or 2 with a sentence for a machine that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m deploy.postgres.tune", description="PostgreSQL's settings.")
    parser.add_argument("--memory", required=True, help="such as 64GB: of the machine, or of its container")
    parser.add_argument("--cores", required=True, type=int)
    parser.add_argument("--connections", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        memory = read_size(given.memory)
        found = settings(memory, given.cores, given.connections)
    except ValueError as error:
        print(f"tune: {error}.", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(found))
    else:
        print(configuration(memory, given.cores, given.connections), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
