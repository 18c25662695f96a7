"""Documents in an order that the database knows: by their date, or by their words beyond the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db import connection
from django.db.models.functions import Coalesce, TruncDate

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document
from search import reach
from search.matched import matched
from search.page import HitDocument
from search.query import SearchQuery
from search.ranking import PASSAGES_A_HIT, Preference, RankedDocument, rank
from search.reach import narrowed
from search.retrieval import Found, of_chunks
from search.vectors import QueryVector


@dataclass(frozen=True)
class Listed:
    """Documents in their order, and what a hit shows of them."""

    ranked: Sequence[RankedDocument] = ()
    shown: Mapping[UUID, HitDocument] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """One search, its candidates, and who asks: what any part of its pages is listed from."""

    query: SearchQuery
    viewer: Viewer
    found: Found
    vector: QueryVector | None
    preference: Preference

    def newest(self, first: int, last: int) -> Listed:
        """All that matches, or without words all that the filters leave: what was reviewed, or else came, last."""
        documents = narrowed(Document.objects.visible_to(self.viewer).order_by(), self.query)
        if self.query.text:
            documents = documents.filter(pk__in=[*self.found.shown, *self._beyond()])
        dated = Coalesce("last_reviewed", TruncDate("created_at"))
        return self._listed(list(documents.order_by(dated.desc(), "pk").values_list("pk", flat=True)[first:last]))

    def further(self, first: int, last: int) -> Listed:
        """What the words match beyond the candidates' documents, by how much the words weigh. They score as the last
        candidate does: meaning and boosts have no say there."""
        listed = self._listed(self._beyond()[first:last])
        least = min((document.score for document in rank(self.found.candidates, self.preference)), default=0.0)
        return replace(listed, ranked=[replace(document, score=least) for document in listed.ranked])

    def _beyond(self) -> list[UUID]:
        """The documents that the words match and of which no candidate is, under the filters, the weightiest first."""
        if self.found.words_exhausted or self.found.proposal is None:
            return []
        (passages, params), _ = matched(self.query, viewer=self.viewer, found=self.found)
        documents, documents_params = reach.documents(self.viewer, self.query)
        sql = f"""
            SELECT passage.document_id
            FROM ({passages}) AS passage
            JOIN ({documents}) AS document ON document.id = passage.document_id
            LEFT JOIN ingestion_wordweights AS weighed ON weighed.chunk_id = passage.id
            WHERE passage.document_id <> ALL (%s::uuid[])
            GROUP BY passage.document_id
            ORDER BY min(COALESCE(weighed.weights <#> %s::sparsevec, 0)), passage.document_id
        """  # noqa: S608  # nosec B608  # querysets' own SQL
        shown = [str(pk) for pk in self.found.shown]
        with connection.cursor() as cursor:
            cursor.execute(sql, [*params, *documents_params, shown, self.found.words.vector])
            return [pk for (pk,) in cursor.fetchall()]

    def _listed(self, ids: Sequence[UUID]) -> Listed:
        """These documents with their best passages, in this order."""
        candidates = [one for one in self.found.candidates if one.document_id in set(ids)]
        shown = {pk: self.found.shown[pk] for pk in ids if pk in self.found.shown}
        if missing := [pk for pk in ids if pk not in shown]:
            visible = Chunk.objects.visible_to(self.viewer).order_by()
            first = {"pk__in": self._best(missing)} if self.query.text else {"document__in": missing, "position": 0}
            chosen = visible.filter(**first)
            more = of_chunks(chosen, visible, self.found.words, self.vector)
            candidates += more.candidates
            shown |= more.shown
        ranked = {document.document_id: document for document in rank(candidates, self.preference)}
        return Listed([ranked[pk] for pk in ids if pk in ranked], shown)

    def _best(self, documents: Sequence[UUID]) -> list[int]:
        """The chunks of each of these documents in which the words weigh most."""
        (passages, params), _ = matched(self.query, viewer=self.viewer, found=self.found)
        sql = f"""
            SELECT id
            FROM (
                SELECT passage.id, row_number() OVER (
                    PARTITION BY passage.document_id
                    ORDER BY COALESCE(weighed.weights <#> %s::sparsevec, 0), passage.id) AS nth
                FROM ({passages}) AS passage
                LEFT JOIN ingestion_wordweights AS weighed ON weighed.chunk_id = passage.id
                WHERE passage.document_id = ANY (%s::uuid[])) AS ordered
            WHERE nth <= %s
        """  # noqa: S608  # nosec B608  # a queryset's own SQL
        with connection.cursor() as cursor:
            of = [str(pk) for pk in documents]
            cursor.execute(sql, [self.found.words.vector, *params, of, PASSAGES_A_HIT])
            return [pk for (pk,) in cursor.fetchall()]
