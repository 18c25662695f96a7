"""The chunks that a query's words match, whatever its filters are: what counts and deeper pages are made of."""

from __future__ import annotations

from typing import Any

from accounts.clearance import Viewer
from search import reach
from search.query import SearchQuery
from search.reach import Statement
from search.retrieval import Found
from search.words import LOOKED_THROUGH, SCORED_CHUNKS

COUNTED_CHUNKS = 20_000
"""Chunks that hold the words and are looked at: some 40 ms. Beyond, what is told of them is the least."""


def matched(query: SearchQuery, *, viewer: Viewer, found: Found) -> tuple[Statement, int]:
    """SQL of id and document of the visible chunks that the words match, and how many of them it gives at most.

    Of words that stand nearly everywhere (`newest`) only some of the newest chunks that the filters leave. There must
    be a proposal.
    """
    if found.proposal is None:
        raise ValueError("these words propose nothing")
    own, own_params = reach.chunks(viewer)
    conditions: list[str] = []
    params: list[Any] = []
    if found.words.required:
        conditions.append("lexemes @@ to_tsquery('simple', %s)")
        params.append(found.words.required)
    if found.words.excluded:
        conditions.append(
            f"document_id NOT IN (SELECT document_id FROM ({own}) AS other WHERE lexemes @@ to_tsquery('simple', %s))"  # noqa: S608  # nosec B608  # a queryset's own SQL
        )
        params += [*own_params, found.words.excluded]
    params.append(found.proposal.match)
    if not found.proposal.newest:
        conditions.append("lexemes @@ to_tsquery('simple', %s)")
        sql = f"SELECT id, document_id FROM ({own}) AS seen WHERE {' AND '.join(conditions)} LIMIT {COUNTED_CHUNKS}"  # noqa: S608  # nosec B608  # a queryset's own SQL
        return (sql, [*own_params, *params]), COUNTED_CHUNKS
    # What stands in one of a few chunks is found faster from the end than through the index; the function, unlike the
    # operator, keeps the planner from it.
    conditions.append("ts_match_vq(lexemes, to_tsquery('simple', %s))")
    seen, seen_params = reach.chunks(viewer, query)
    if found.words.required:
        seen = f"SELECT * FROM ({seen}) AS newest ORDER BY id DESC LIMIT {LOOKED_THROUGH}"  # noqa: S608  # nosec B608  # a queryset's own SQL
    sql = f"""
        SELECT id, document_id FROM ({seen}) AS seen WHERE {" AND ".join(conditions)}
        ORDER BY id DESC LIMIT {SCORED_CHUNKS}
    """  # noqa: S608  # nosec B608  # a queryset's own SQL
    return (sql, [*seen_params, *params]), SCORED_CHUNKS
