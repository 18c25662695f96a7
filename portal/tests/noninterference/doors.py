"""Every door of the portal: how to ask each address, in the whole database and in the one without what is hidden.

A door is a function of a client (somebody's browser, session and all), the world and an `Ask`, which says what about.
`test_doors` walks the URLconf and fails where an address has neither a door nor an exemption with its reason, so that
an address that is added later cannot be forgotten.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from accounts.models import User
from portal.tests.noninterference.world import DEPARTMENTS, QUERIES, TAGS, TYPED, TYPES, UNUSED_TAG, World

FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"department": ["Finance"]},
    {"department": ["Library", "Registry"]},
    {"campus": ["Bunker"]},
    {"campus": ["Main"]},
    {"tag": ["secret"]},
    {"tag": ["reading"]},
    {"language": ["pt"]},
    {"language": ["de", "zh"]},
    {"min_priority": 4},
    {"doc_type": ["minutes"]},
    {"reviewed_after": "2020-01-01"},
    {"reviewed_before": "2999-01-01"},
)


@dataclass(frozen=True)
class Ask:
    """What a door is asked about: places among the world's documents, the queries and the filters. `number` (0 to 3)
    chooses between the ways in which one door can be asked; where there are more, the place of the query counts on."""

    door: str
    document: int = 0
    query: int = 0
    filters: int = 0
    number: int = 0


AskDoor = Callable[[Client, World, Ask], HttpResponseBase]


@dataclass(frozen=True)
class Door:
    """An address, or several that are asked alike. `writes` where asking changes something."""

    name: str
    routes: tuple[str, ...]
    ask: AskDoor
    writes: bool = False
    about_a_document: bool = False


DOORS: dict[str, Door] = {}


def door(name: str, *routes: str, writes: bool = False, about_a_document: bool = False) -> Callable[[AskDoor], AskDoor]:
    """Enter a function as the door of these routes."""

    def enter(ask: AskDoor) -> AskDoor:
        assert name not in DOORS
        DOORS[name] = Door(name, routes, ask, writes, about_a_document)
        return ask

    return enter


def send(client: Client, method: str, path: str, body: object = None) -> HttpResponseBase:
    """A request with a JSON body."""
    answer: HttpResponseBase = getattr(client, method)(path, body, content_type="application/json")
    return answer


def query_of(ask: Ask) -> str:
    """The words of an ask."""
    return QUERIES[ask.query % len(QUERIES)]


def filters_of(ask: Ask) -> dict[str, Any]:
    """The filters of an ask."""
    return FILTERS[ask.filters % len(FILTERS)]


# --- Searching ---------------------------------------------------------------------------------------------------


@door("the search page", "", "search/")
def search_page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    headers = {"HX-Request": "true"} if ask.number % 2 else {}
    return client.get("/search/", {"q": query_of(ask), **filters_of(ask)}, headers=headers)


@door("the start page", "", "search/")
def start_page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/" if ask.number % 2 else "/search/")


@door("search by query string", "api/v1/search/")
def search_get(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    mode = ("hybrid", "semantic", "keyword")[ask.number % 3]
    page = {"page_size": 50} if ask.number % 2 else {"page": 2, "page_size": 2}
    return client.get("/api/v1/search/", {"q": query_of(ask), "mode": mode, **page, **filters_of(ask)})


@door("search by JSON", "api/v1/search/")
def search_post(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    body = {"query": query_of(ask), "filters": filters_of(ask), "page_size": 50}
    return send(client, "post", "/api/v1/search/", body)


@door("several searches", "api/v1/search/batch/")
def search_batch(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    searches = [{"query": query_of(ask), "filters": filters_of(ask)}, {"query": QUERIES[ask.number % len(QUERIES)]}]
    return send(client, "post", "/api/v1/search/batch/", {"searches": searches})


@door("suggestions", "api/v1/suggest/")
def suggest(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/api/v1/suggest/", {"q": TYPED[(ask.query + ask.number) % len(TYPED)]})


@door("suggestions in the page's field", "search/suggest/")
def suggest_in_the_field(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/search/suggest/", {"q": TYPED[(ask.query + ask.number) % len(TYPED)]})


@door("feedback", "api/v1/feedback/", writes=True, about_a_document=True)
def feedback(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    searched = client.get("/api/v1/search/", {"q": QUERIES[0]})
    search_id = json.loads(searched.content).get("search_id", str(world.document(99)))
    given = {"search_id": search_id, "document_id": str(world.document(ask.document)), "verdict": "helpful"}
    return send(client, "post", "/api/v1/feedback/", given)


@door("a verdict by the buttons of a hit", "search/verdict/", writes=True, about_a_document=True)
def verdict(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    searched = client.get("/api/v1/search/", {"q": QUERIES[0]})
    search_id = json.loads(searched.content).get("search_id", str(world.document(99)))
    given = {"search_id": search_id, "document_id": str(world.document(ask.document)), "verdict": "helpful"}
    return client.post("/search/verdict/", {**given, "back": "q=x"})


@door("the command search")
def search_command(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """`./cloister manage search QUERY --as NAME`: what an operator is shown that this person would see."""
    user = User.objects.filter(pk=client.session.get("_auth_user_id")).first()
    said = io.StringIO()
    call_command("search", query_of(ask), "--as", user.username if user else "anonymous", "--json", stdout=said)
    return HttpResponse(said.getvalue(), content_type="application/json")


@door("why a hit is here", "search/why/", about_a_document=True)
def why(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/search/why/", {"q": query_of(ask), "document": str(world.document(ask.document))})


# --- One document ------------------------------------------------------------------------------------------------


@door("the document page", "documents/<uuid:pk>/", about_a_document=True)
def document_page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/documents/{world.document(ask.document)}/", {"q": query_of(ask), "page": 1 + ask.number % 2})


@door("the file of the page", "documents/<uuid:pk>/file", about_a_document=True)
def document_file(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/documents/{world.document(ask.document)}/file")


@door("a stretch of the file", "documents/<uuid:pk>/file", about_a_document=True)
def document_stretch(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    asked = ("bytes=0-7", "bytes=3-", "bytes=-5", "bytes=999999999-")[ask.number % 4]
    return client.get(f"/documents/{world.document(ask.document)}/file", headers={"Range": asked})


@door("its citation", "documents/<uuid:pk>/cite", about_a_document=True)
def document_citation(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    wanted = ("bibtex", "ris", "text", "none")[ask.number % 4]
    return client.get(f"/documents/{world.document(ask.document)}/cite", {"format": wanted})


@door("the document in the API", "api/v1/documents/<uuid:pk>/", about_a_document=True)
def api_document(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    path = f"/api/v1/documents/{world.document(ask.document)}/"
    return (client.get, client.head, client.options)[ask.number % 3](path)


@door("its file in the API", "api/v1/documents/<uuid:pk>/file/", about_a_document=True)
def api_file(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/api/v1/documents/{world.document(ask.document)}/file/")


@door("its chunks", "api/v1/documents/<uuid:pk>/chunks/", about_a_document=True)
def api_chunks(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/api/v1/documents/{world.document(ask.document)}/chunks/", {"page_size": 1 + ask.number % 2})


@door("documents like it", "api/v1/documents/<uuid:pk>/similar/", about_a_document=True)
def api_similar(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/api/v1/documents/{world.document(ask.document)}/similar/")


CHANGES: tuple[dict[str, Any], ...] = (
    {"priority": 1},
    {"clearance": 4},
    {"clearance": 1, "audience": "institution"},
    {"department": "Finance"},
    {"tags": ["secret"]},
    {"tags": [UNUSED_TAG, "nothing"]},
    {"department": "Nowhere", "clearance": 9},
    {"shared_with": ["Finance", "Registry"]},
)


@door("changing it", "api/v1/documents/<uuid:pk>/", writes=True, about_a_document=True)
def api_patch(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    path = f"/api/v1/documents/{world.document(ask.document)}/"
    return send(client, "patch", path, CHANGES[(ask.number + 4 * ask.query) % len(CHANGES)])


@door("deleting it", "api/v1/documents/<uuid:pk>/", writes=True, about_a_document=True)
def api_delete(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return send(client, "delete", f"/api/v1/documents/{world.document(ask.document)}/")


@door("retrying it", "api/v1/documents/<uuid:pk>/retry/", writes=True, about_a_document=True)
def api_retry(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return send(client, "post", f"/api/v1/documents/{world.document(ask.document)}/retry/")


@door("restoring it", "api/v1/documents/<uuid:pk>/restore/", writes=True, about_a_document=True)
def api_restore(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return send(client, "post", f"/api/v1/documents/{world.document(ask.document)}/restore/")


@door(
    "its earlier versions",
    "api/v1/documents/<uuid:pk>/versions/",
    "api/v1/documents/<uuid:pk>/versions/<number:number>/",
    "api/v1/documents/<uuid:pk>/versions/<number:number>/restore/",
    writes=True,
    about_a_document=True,
)
def api_versions(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    versions = f"/api/v1/documents/{world.document(ask.document)}/versions/"
    if ask.number % 3:
        return client.get(versions + ("1/" if ask.number % 3 == 1 else ""))
    return send(client, "post", f"{versions}1/restore/")


@door("replacing its file", "api/v1/documents/<uuid:pk>/file/", writes=True, about_a_document=True)
def api_replace(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    contents = world.contents or [b"new"]
    file = SimpleUploadedFile("again.txt", contents[ask.query % len(contents)])
    body = encode_multipart(BOUNDARY, {"file": file})
    path = f"/api/v1/documents/{world.document(ask.document)}/file/"
    return client.put(path, body, content_type=MULTIPART_CONTENT)


# --- All documents -----------------------------------------------------------------------------------------------


LISTED: tuple[dict[str, Any], ...] = (
    {},
    {"tag": "secret"},
    {"department": "Finance"},
    {"status": ["ready", "failed"]},
    {"doc_type": "minutes", "language": ["de", "en"]},
)


@door("the list of documents", "api/v1/documents/")
def api_list(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    narrowed = LISTED[(ask.query + ask.filters) % len(LISTED)]
    first = client.get("/api/v1/documents/", ({"page_size": 3} if ask.number % 2 else {}) | narrowed)
    following = json.loads(first.content).get("next") if ask.number == 3 else None
    return client.get(following) if following else first


@door("several uploads", "api/v1/documents/bulk/", writes=True)
def api_bulk(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    contents = world.contents or [b"new"]
    files = [
        SimpleUploadedFile(f"{number}.txt", contents[(ask.document + number) % len(contents)]) for number in range(2)
    ]
    said = {"file": files, "department": DEPARTMENTS[ask.query % len(DEPARTMENTS)], "doc_type": TYPES[0]}
    return client.post("/api/v1/documents/bulk/", said, headers={"Idempotency-Key": "the same"})


@door("an upload", "api/v1/documents/", writes=True)
def api_upload(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """Somebody uploads a file that may be in the corpus already, hidden from them."""
    contents = world.contents or [b"new"]
    file = SimpleUploadedFile("again.txt", contents[ask.document % len(contents)])
    said = {
        "file": file,
        "department": DEPARTMENTS[ask.query % len(DEPARTMENTS)],
        "doc_type": TYPES[0],
        "title": "An upload",
        "tags": (TAGS[1], "nothing")[ask.number % 2],
    }
    return client.post("/api/v1/documents/", said)


@door("who am I", "api/v1/me/")
def me(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/api/v1/me/")


# --- What else there is ------------------------------------------------------------------------------------------


@door("looking as somebody else", "see-as/", writes=True)
def see_as(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """Whoever looks as somebody else is still shown nothing that they could not see themselves."""
    said = {
        "role": ("anonymous", "student", "staff", "academic")[ask.query % 4],
        "departments": [str(world.departments[place % len(world.departments)]) for place in range(ask.filters % 4)],
    }
    begun = client.post("/see-as/", said)
    if begun.status_code != HTTPStatus.FOUND:
        return begun
    pages = (
        f"/documents/{world.document(ask.document)}/",
        f"/search/?q={QUERIES[0]}",
        f"/api/v1/documents/{world.document(ask.document)}/",
        "/api/v1/documents/",
    )
    return client.get(pages[ask.number])


PLAIN = (
    "accounts/login/", "accounts/security/", "accounts/password/", "accounts/confirm/", "accounts/confirmed/",
    "see-as/", "see-as/person/", "api/v1/docs/", "api/v1/schema/", "health/live",
)  # fmt: skip
"""Addresses that say the same to everybody; that they do is asked all the same."""


@door("a page without documents", *PLAIN)
def plain_page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get("/" + PLAIN[(ask.number + 4 * ask.query) % len(PLAIN)])


EXEMPT = {
    "accounts/logout/": "ends a session and shows nothing",
    "accounts/security/sign-out-everywhere/": "ends sessions and shows nothing",
    "accounts/oidc/": "sends to the university's provider",
    "accounts/oidc/callback/": "comes back from the university's provider",
    "mine/unsubscribe/<str:token>/": "ends somebody's mails and shows nothing",
    "language/": "remembers a language in a cookie, and shows nothing",
    "see-as/end/": "makes somebody themselves again, and shows nothing",
    "api/v1/token/": "hands out an identity; test_workers signs in here",
    "api/v1/token/refresh/": "renews an identity",
    "api/v1/token/blacklist/": "takes an identity back",
    "health": "tells how the portal's own parts are at the moment, which changes between two questions",
    "health/ready": "the same in one word",
    "metrics": "for operators' networks only: counts of the whole portal, which are theirs to know",
}
"""Addresses without a door, and why."""


def routes() -> Iterator[str]:
    """Every address of the URLconf, as it is written there."""

    def walk(resolver: URLResolver, before: str) -> Iterator[str]:
        for pattern in resolver.url_patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield route
            else:
                yield from walk(pattern, route)

    yield from walk(get_resolver(), "")
