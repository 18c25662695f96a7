"""Several searches in one request."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.acting import ACTING_FOR, act_for, asked_for
from accounts.arrival import viewer_of
from accounts.models import Scope
from accounts.parsing import BoundedJSONParser
from accounts.permissions import MaySearch
from accounts.throttling import count_further
from search import service
from search.api import SearchBodySerializer, SearchPageSerializer, page_json
from search.preference import as_read_by
from search.query import InvalidQuery, SearchQuery, parse_body

MOST_SEARCHES = 20


class BatchBodySerializer(serializers.Serializer[object]):
    """Searches, each as it would be asked by itself."""

    searches = serializers.ListField(child=SearchBodySerializer(), min_length=1, max_length=MOST_SEARCHES)
    acting_for = serializers.CharField(required=False, max_length=150, help_text="As in a search, for all of them.")


class BatchSerializer(serializers.Serializer[object]):
    """Their answers, in the same order."""

    results = SearchPageSerializer(many=True)


class BatchView(APIView):
    """Several searches of one person."""

    permission_classes = [MaySearch]
    required_scope = Scope.READ
    parser_classes = [BoundedJSONParser]

    @extend_schema(operation_id="search_batch", request=BatchBodySerializer, responses=BatchSerializer)
    def post(self, request: Request) -> Response:
        """Up to 20 searches, answered in their order. Each counts as a request and stands in the audit trail."""
        queries = _queries(request.data)
        if ACTING_FOR in request.query_params:
            raise serializers.ValidationError({ACTING_FOR: ["It stands in the body, beside the searches."]})
        if name := asked_for(request.data):
            act_for(request, name)
        count_further(request, len(queries) - 1)
        viewer = as_read_by(request, viewer_of(request))
        request_id = str(getattr(request, "request_id", ""))
        pages = [service.search(one, viewer=viewer, request_id=request_id, endpoint="api") for one in queries]
        return Response({"results": [page_json(page, request_id) for page in pages]})


def _queries(body: Any) -> list[SearchQuery]:
    """What is asked. Raises ValidationError, with every fault of every search."""
    searches = body.get("searches") if isinstance(body, dict) else None
    if not isinstance(searches, list) or not 0 < len(searches) <= MOST_SEARCHES:
        raise serializers.ValidationError({"searches": [f"Send a list of 1 to {MOST_SEARCHES} searches."]})
    if unknown := sorted(set(body) - {"searches", ACTING_FOR}):
        raise serializers.ValidationError({name[:100]: ["Unknown field."] for name in unknown})
    queries: list[SearchQuery] = []
    errors: dict[str, list[str]] = {}
    for place, one in enumerate(searches):
        try:
            queries.append(parse_body(one))
        except InvalidQuery as error:
            errors |= {f"searches[{place}].{name}": found for name, found in error.errors.items()}
    if errors:
        raise serializers.ValidationError(errors)
    return queries
