"""Searching by machine: search, suggest, feedback."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.acting import ACTING_FOR, act_for, asked_for
from accounts.arrival import viewer_of
from accounts.models import Scope
from accounts.parsing import BoundedJSONParser
from accounts.permissions import MaySearch
from ingestion.models import Document
from search import service
from search.models import Verdict
from search.page import Hit, Passage, SearchPage
from search.preference import as_read_by
from search.query import REPEATABLE, InvalidQuery, Mode, SearchQuery, Sort, parse_body, parse_query
from search.suggest import suggestions
from search.verdicts import note_verdict


class HitDocumentSerializer(serializers.Serializer[object]):
    """What a hit says of its document."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    department = serializers.CharField()
    campus = serializers.CharField(allow_blank=True, help_text="Empty means all campuses.")
    doc_type = serializers.CharField()
    clearance = serializers.IntegerField()
    language = serializers.CharField(allow_blank=True)
    priority = serializers.IntegerField()
    last_reviewed = serializers.DateField(allow_null=True)


HIT_DOCUMENT_FIELDS = tuple(str(name) for name in HitDocumentSerializer().fields)


class PassageSerializer(serializers.Serializer[Passage]):
    """One piece of text of a hit."""

    chunk_id = serializers.IntegerField()
    page_number = serializers.IntegerField()
    section_title = serializers.CharField(allow_blank=True)
    text = serializers.CharField()
    snippet = serializers.CharField(help_text="Escaped HTML; the query's words stand in <mark>.")
    similarity = serializers.FloatField()
    url = serializers.CharField()


class HitSerializer(PassageSerializer):
    """A document with its best passage; further ones in `passages`."""

    document = HitDocumentSerializer()
    combined_score = serializers.FloatField()
    passages = PassageSerializer(many=True)


class FacetValueSerializer(serializers.Serializer[object]):
    """A value of a filter, and how many matches have it."""

    value = serializers.CharField()
    count = serializers.IntegerField()


class FacetsSerializer(serializers.Serializer[object]):
    """Counts over the matches that the person may see."""

    department = FacetValueSerializer(many=True)
    campus = FacetValueSerializer(many=True)
    doc_type = FacetValueSerializer(many=True)
    language = FacetValueSerializer(many=True)


class SearchPageSerializer(serializers.Serializer[object]):
    """One page of results."""

    query = serializers.CharField()
    search_id = serializers.UUIDField()
    mode = serializers.ChoiceField(choices=[mode.value for mode in Mode])
    degraded = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    results = HitSerializer(many=True)
    facets = FacetsSerializer()
    did_you_mean = serializers.CharField(allow_null=True)
    response_time = serializers.FloatField(help_text="Seconds.")
    from_cache = serializers.BooleanField()
    request_id = serializers.CharField()
    timestamp = serializers.DateTimeField()


class FiltersSerializer(serializers.Serializer[object]):
    """Filters; they can only narrow."""

    department = serializers.ListField(child=serializers.CharField(), required=False)
    campus = serializers.ListField(child=serializers.CharField(), required=False)
    doc_type = serializers.ListField(child=serializers.CharField(), required=False)
    language = serializers.ListField(child=serializers.CharField(), required=False)
    tag = serializers.ListField(child=serializers.CharField(), required=False)
    min_priority = serializers.IntegerField(min_value=1, max_value=5, required=False)
    reviewed_after = serializers.DateField(required=False, help_text="Reviewed on this day or later.")
    reviewed_before = serializers.DateField(required=False, help_text="Reviewed before this day.")


class SearchBodySerializer(serializers.Serializer[object]):
    """A search as a JSON body."""

    query = serializers.CharField(max_length=500, required=False, help_text="Required where there is no filter.")
    filters = FiltersSerializer(required=False)
    mode = serializers.ChoiceField(choices=[mode.value for mode in Mode], required=False)
    sort = serializers.ChoiceField(choices=[sort.value for sort in Sort], required=False)
    page = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    page_size = serializers.IntegerField(min_value=1, max_value=50, required=False)
    acting_for = serializers.CharField(
        required=False,
        max_length=150,
        help_text="User name of a person: for API keys of the scope `act`, which then see what both may see.",
    )


def passage_json(passage: Passage) -> dict[str, Any]:
    """A passage as the contract writes it."""
    return {
        "chunk_id": passage.chunk_id,
        "page_number": passage.page_number,
        "section_title": passage.section_title,
        "text": passage.text,
        "snippet": passage.snippet,
        "similarity": passage.similarity,
        "url": passage.url,
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit as the contract writes it: its document, its best passage, and the others."""
    document = {name: getattr(hit.document, name) for name in HIT_DOCUMENT_FIELDS}
    return {
        "document": document,
        **passage_json(hit.best),
        "combined_score": hit.combined_score,
        "passages": [passage_json(passage) for passage in hit.passages],
    }


def page_json(page: SearchPage, request_id: str) -> dict[str, Any]:
    """A page of results as the contract writes it (DESIGN, section 5)."""
    return {
        "query": page.query,
        "search_id": page.search_id,
        "mode": page.mode,
        "degraded": list(page.degraded),
        "count": page.count,
        "page": page.page,
        "page_size": page.page_size,
        "results": [hit_json(hit) for hit in page.hits],
        "facets": {
            name: [{"value": one.value, "count": one.count} for one in values] for name, values in page.facets.items()
        },
        "did_you_mean": page.did_you_mean,
        "response_time": page.response_time,
        "from_cache": page.from_cache,
        "request_id": request_id,
        "timestamp": page.timestamp,
    }


QUERY_PARAMETERS = [
    OpenApiParameter("q", str, description="At most 500 characters; required where there is no filter."),
    *(OpenApiParameter(name, str, many=True) for name in REPEATABLE),
    OpenApiParameter("min_priority", int),
    OpenApiParameter("reviewed_after", {"type": "string", "format": "date"}),
    OpenApiParameter("reviewed_before", {"type": "string", "format": "date"}),
    OpenApiParameter("mode", str, enum=[mode.value for mode in Mode]),
    OpenApiParameter("sort", str, enum=[sort.value for sort in Sort]),
    OpenApiParameter("page", int),
    OpenApiParameter("page_size", int),
    OpenApiParameter("acting_for", str, description="As in a body."),
]


class SearchView(APIView):
    """Search what the person may see."""

    permission_classes = [MaySearch]
    required_scope = Scope.READ
    parser_classes = [BoundedJSONParser]

    @extend_schema(parameters=QUERY_PARAMETERS, responses=SearchPageSerializer)
    def get(self, request: Request) -> Response:
        """Search by query string."""
        return self._answer(request, parse_query, request.query_params, asked_for(request.query_params))

    @extend_schema(request=SearchBodySerializer, responses=SearchPageSerializer)
    def post(self, request: Request) -> Response:
        """Search by JSON body."""
        name, body = asked_for(request.data), request.data
        if ACTING_FOR in request.query_params:
            raise serializers.ValidationError({ACTING_FOR: ["It stands in the body, beside the query."]})
        if isinstance(body, dict):
            body = {key: value for key, value in body.items() if key != ACTING_FOR}
        return self._answer(request, parse_body, body, name)

    @staticmethod
    def _answer(request: Request, parse: Any, data: Any, acting_for: str | None) -> Response:
        if acting_for:
            act_for(request, acting_for)
        try:
            query: SearchQuery = parse(data)
        except InvalidQuery as error:
            raise serializers.ValidationError(error.errors) from None
        request_id = str(getattr(request, "request_id", ""))
        viewer = as_read_by(request, viewer_of(request))
        page = service.search(query, viewer=viewer, request_id=request_id, endpoint="api")
        return Response(page_json(page, request_id))


class SuggestView(APIView):
    """What may complete what is being typed."""

    permission_classes = [MaySearch]

    @extend_schema(
        parameters=[OpenApiParameter("q", str, required=True)],
        responses={
            200: {"type": "object", "properties": {"suggestions": {"type": "array", "items": {"type": "string"}}}}
        },
    )
    def get(self, request: Request) -> Response:
        """Up to eight titles, sections and frequent words of what the person may see that go on from what was typed."""
        found = suggestions(request.query_params.get("q", ""), viewer=viewer_of(request))
        return Response({"suggestions": found})


class SimilarSerializer(serializers.Serializer[object]):
    """Documents that are about the same."""

    results = HitDocumentSerializer(many=True)


class SimilarView(APIView):
    """Documents like this one."""

    permission_classes = [MaySearch]

    @extend_schema(responses=SimilarSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """Up to ten visible documents whose text means what this one's does, nearest first."""
        viewer = viewer_of(request)
        document = get_object_or_404(Document.objects.visible_to(viewer), pk=pk)
        return Response(SimilarSerializer({"results": service.similar(document, viewer=viewer)}).data)


class FeedbackSerializer(serializers.Serializer[object]):
    """Whether a hit helped."""

    search_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    verdict = serializers.ChoiceField(choices=Verdict.choices)


class FeedbackView(APIView):
    """What people say of their hits."""

    permission_classes = [MaySearch]
    required_scope = Scope.READ
    parser_classes = [BoundedJSONParser]

    @extend_schema(request=FeedbackSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Note the verdict on a document that the person may see, as the answer to a search of their own."""
        given = FeedbackSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        note_verdict(**given.validated_data, viewer=viewer_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
