"""The doors of the admin site: documents, and all pages about anything else."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http.response import HttpResponseBase
from django.test import Client

from ingestion.models import BulkChange, DocumentType
from portal.tests.noninterference.doors import Ask, door, query_of, routes
from portal.tests.noninterference.world import DEPARTMENTS, TAGS, UNUSED_TAG, World

DOCUMENTS = "admin/ingestion/document/"

LISTS = (
    {}, {"q": "borrow"}, {"q": "zebra"}, {"state": "archived"}, {"state": "ready"}, {"clearance": "4"},
    {"reason": "any"}, {"state": "flagged"}, {"within": "0"},
    {"language": "pt"}, {"review": "never"}, {"campus": "none"}, {"o": "-1"}, {"o": "4.-6"}, {"audience": "department"},
)  # fmt: skip
"""Ways to ask for the list of documents; what filters and counts it offers stands on each page."""


@door("the librarians' list", DOCUMENTS)
def documents(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/{DOCUMENTS}", LISTS[(ask.filters + ask.number) % len(LISTS)])


@door("the librarians' list by department", DOCUMENTS)
def documents_of_department(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    return client.get(f"/{DOCUMENTS}", {"department": str(world.departments[ask.number % len(world.departments)])})


@door("an action on several documents", DOCUMENTS, writes=True, about_a_document=True)
def action(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    chosen = [str(world.document(ask.document)), str(world.document(ask.document + 1))]
    name = ("archive", "restore", "retry_failed", "delete_selected")[ask.number % 4]
    return client.post(f"/{DOCUMENTS}", {"action": name, "_selected_action": chosen, "index": "0"})


OF_A_DOCUMENT = (
    "change", "history", "delete", "original", "readers", "replace", "retry", "archive", "restore", "chunks",
    "versions", "reviewed", "personal-data",
)  # fmt: skip


@door(
    "a librarians' page about a document",
    *(f"{DOCUMENTS}<path:object_id>/{name}/" for name in OF_A_DOCUMENT[:3]),
    *(f"{DOCUMENTS}<uuid:object_id>/{name}/" for name in OF_A_DOCUMENT[3:]),
    f"{DOCUMENTS}<path:object_id>/",
    about_a_document=True,
)
def document(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    names = (*(name + "/" for name in OF_A_DOCUMENT), "")
    return client.get(f"/{DOCUMENTS}{world.document(ask.document)}/{names[(ask.number + 4 * ask.query) % len(names)]}")


@door(
    "a librarian's deed",
    *(f"{DOCUMENTS}<uuid:object_id>/{name}/" for name in ("retry", "archive", "restore", "replace", "personal-data")),
    f"{DOCUMENTS}<path:object_id>/change/",
    f"{DOCUMENTS}<path:object_id>/delete/",
    writes=True,
    about_a_document=True,
)
def deed(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    names = ("retry", "archive", "restore", "replace", "change", "delete", "personal-data")
    name = names[(ask.number + 4 * ask.query) % len(names)]
    contents = world.contents or [b"new"]
    said = {
        "replace": {"file": SimpleUploadedFile("again.txt", contents[ask.filters % len(contents)])},
        "change": {
            "title": "Renamed",
            "clearance": "1",
            "audience": "institution",
            "tags": "secret, reading",
            "_confirmed": "1",
        },
        "delete": {"post": "yes"},
    }.get(name, {})
    return client.post(f"/{DOCUMENTS}{world.document(ask.document)}/{name}/", said)


CHANGES_OF_SEVERAL = (
    {"clearance": "1", "audience": "institution"}, {"add_tags": "secret, reading"}, {"remove_tags": "reading"},
    {"sharing": "add", "shared_with": "1"}, {"priority": "5"},
    {"no_visible_until": "on", "last_reviewed": "2026-01-02"},
)  # fmt: skip


@door(
    "changing several documents",
    *(f"{DOCUMENTS}{name}" for name in ("several/", "changes/", "changes/<uuid:change_id>/")),
    f"{DOCUMENTS}<uuid:object_id>/reviewed/",
    writes=True,
    about_a_document=True,
)
def several(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """A preview, a change with the way back from it, or a review, of documents that may be hidden from the person."""
    chosen = [str(world.document(ask.document)), str(world.document(0))]
    if ask.number == 1:
        return client.post(f"/{DOCUMENTS}{chosen[0]}/reviewed/", follow=True)
    said = {"documents": " ".join(chosen), **CHANGES_OF_SEVERAL[ask.query % len(CHANGES_OF_SEVERAL)]}
    preview = client.post(f"/{DOCUMENTS}several/", {**said, "step": "preview"})
    token = re.search(r'name="token" value="(\w+)"', preview.content.decode())
    if ask.number == 0 or token is None:
        return preview
    client.post(f"/{DOCUMENTS}several/", {**said, "step": "confirm", "token": token[1]})
    change = BulkChange.objects.order_by("-made_at").first()
    # Its number is drawn, and is another in each of the two databases.
    address = f"/{DOCUMENTS}changes/{change.pk}/" if change else f"/{DOCUMENTS}changes/"
    shown = client.get(address)
    token = re.search(r'name="token" value="(\w+)"', shown.content.decode())
    return client.post(address, {"token": token[1]}, follow=True) if token and ask.number == 2 else shown


@door(
    "an earlier version of a document",
    f"{DOCUMENTS}<uuid:object_id>/versions/",
    f"{DOCUMENTS}<uuid:object_id>/versions/<int:number>/",
    f"{DOCUMENTS}<uuid:object_id>/versions/<int:number>/restore/",
    writes=True,
    about_a_document=True,
)
def version(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    address = f"/{DOCUMENTS}{world.document(ask.document)}/versions/"
    match ask.number:
        case 0:
            return client.get(address)
        case 1:
            return client.get(f"{address}1/")
        case 2:
            return client.get(f"{address}1/restore/")
    return client.post(f"{address}1/restore/")


def said_of_files(world: World, ask: Ask) -> dict[str, Any]:
    """What the upload form says of its files."""
    return {
        "department": str(world.departments[ask.query % len(DEPARTMENTS)]),
        "doc_type": str(DocumentType.objects.order_by("pk").values_list("pk", flat=True).first()),
        "clearance": "1",
        "audience": "department",
        "priority": "3",
    }


@door("the librarians' upload", f"{DOCUMENTS}upload/", f"{DOCUMENTS}add/", f"{DOCUMENTS}upload/<uuid:batch_id>/",
      writes=True)  # fmt: skip
def upload(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """The form, or files sent by it, and the page on which one watches them arrive."""
    if ask.number == 0:
        return client.get(f"/{DOCUMENTS}upload/" if ask.query % 2 else f"/{DOCUMENTS}add/")
    contents = world.contents or [b"new"]
    files = [SimpleUploadedFile(f"{place}.txt", one) for place, one in enumerate(contents[:3])]
    sent = client.post(f"/{DOCUMENTS}upload/", {"originals": files, **said_of_files(world, ask)})
    if "Location" not in sent.headers or not sent.headers["Location"].startswith(f"/{DOCUMENTS}upload/"):
        return sent
    return client.get(sent.headers["Location"], headers={"HX-Request": "true"} if ask.number == 1 else {})


@door(
    "files sent one by one",
    f"{DOCUMENTS}upload/begin/",
    f"{DOCUMENTS}upload/<uuid:batch_id>/file/",
    f"{DOCUMENTS}uploads/",
    writes=True,
)
def sending(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """An upload is begun, and a file sent for it that may be in the corpus already, hidden from the person."""
    said = said_of_files(world, ask)
    begun = client.post(f"/{DOCUMENTS}upload/begin/", {"announced": "1", **said})
    if begun.status_code != HTTPStatus.CREATED or ask.number == 0:
        return begun
    contents = world.contents or [b"new"]
    file = SimpleUploadedFile("again.txt", contents[ask.document % len(contents)])
    sent = client.post(json.loads(begun.content)["send"], {"originals": [file], **said})
    return client.get(f"/{DOCUMENTS}uploads/") if ask.number == 1 else sent


@door(
    "the librarians' pages about all documents",
    *(f"{DOCUMENTS}{name}" for name in ("uploads/", "failures/", "collection/", "upload/manifest.csv")),
)
def overview(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    name = ("failures/", "collection/", "uploads/", "upload/manifest.csv")[ask.number % 4]
    department = {"department": str(world.departments[ask.query % len(world.departments)])} if ask.filters % 2 else {}
    return client.get(f"/{DOCUMENTS}{name}", department)


@door("retrying all that failed for a reason", f"{DOCUMENTS}failures/retry/", writes=True)
def retry_group(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """The button of a group of failures, and the page that one then sees."""
    said = {"status": ("failed", "ready")[ask.number % 2], "reason": ("broken", "partly_embedded", "")[ask.query % 3]}
    return client.post(f"/{DOCUMENTS}failures/retry/", said, follow=True)


@door("a new tag", "admin/ingestion/tag/add/", writes=True)
def tag(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """Somebody guesses the name of a tag."""
    names = (*TAGS, UNUSED_TAG, "nothing")
    return client.post("/admin/ingestion/tag/add/", {"name": names[(ask.number + 4 * ask.query) % len(names)]})


AUTOCOMPLETED = (
    ("ingestion", "document", "tags"), ("ingestion", "document", "department"), ("search", "feedback", "document"),
    ("ingestion", "chunk", "document"), ("accounts", "user", "departments"), ("accounts", "phase", "people"),
)  # fmt: skip


@door("the admin site's autocomplete", "admin/autocomplete/")
def autocomplete(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    app, model, field = AUTOCOMPLETED[(ask.number + 4 * ask.query) % len(AUTOCOMPLETED)]
    asked = {"app_label": app, "model_name": model, "field_name": field, "term": query_of(ask)[:3]}
    return client.get("/admin/autocomplete/", asked)


@door(
    "a page of the admin site",
    "admin/", "admin/login/", "admin/logout/", "admin/password_change/", "admin/password_change/done/", "admin/jsi18n/",
)  # fmt: skip
def page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    names = ("", "login/", "logout/", "password_change/", "password_change/done/", "jsi18n/")
    return client.get("/admin/" + names[(ask.number + 4 * ask.query) % len(names)])


def other_admin_routes() -> list[str]:
    """The addresses of every model of the admin site but documents, and of the lists of models."""
    known = (f"admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry)
    own = tuple(path for path in known if path != DOCUMENTS)
    return [route for route in routes() if route.startswith((*own, "admin/^", "admin/("))]


@door("a page about something else")
def other_page(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """Any other page of the admin site, about one of its rows."""
    known = other_admin_routes()
    route = known[(ask.number + 4 * ask.query + 32 * ask.filters) % len(known)]
    app, _, rest = route.removeprefix("admin/").partition("/")
    if app.startswith(("^", "(")):
        return client.get(("/admin/ingestion/", "/admin/accounts/", "/admin/nowhere/")[ask.number % 3])
    rows = world.rows.get(app + "." + rest.partition("/")[0]) or [1]
    row = str(rows[(ask.number + ask.document) % len(rows)])
    path = route.replace("<path:object_id>", row).replace("<id>", row)
    return client.get("/" + path, {"q": query_of(ask)} if path.count("/") == 3 else {})
