"""Doors to what is somebody's own: saved searches and what they tell, saved documents, history, and the export.

The person keeps everything that they could keep, hidden documents among it, before they look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta

from django.core import mail
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import User
from ingestion.models import Document
from portal.tests.noninterference.doors import Ask, door, filters_of, query_of
from portal.tests.noninterference.world import World
from search import alerts
from search.models import FoundDocument, SavedDocument, SavedSearch
from search.query import parse_query
from search.saved import address_of, digest_of

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:\+\d\d:\d\d)?")
TOKEN = re.compile(r"/mine/unsubscribe/\S+?/")


def _person(client: Client) -> User | None:
    return User.objects.filter(pk=client.session.get("_auth_user_id")).first()


def _watched(person: User, ask: Ask) -> SavedSearch:
    """A saved search that was asked yesterday and found nothing, so that all that it finds is new."""
    address = address_of(parse_query({"q": query_of(ask), **filters_of(ask)}))
    yesterday = timezone.localdate() - timedelta(days=1)
    return SavedSearch.objects.create(
        owner=person, name="watched", address=address, digest=digest_of(address), alert="mail", checked_on=yesterday
    )


def _keep(person: User, documents: Iterable[object], saved: SavedSearch | None = None) -> None:
    for pk in Document.objects.filter(pk__in=list(documents)).values_list("pk", flat=True):
        SavedDocument.objects.create(owner=person, document_id=pk)
        if saved is not None:
            FoundDocument.objects.create(saved=saved, document_id=pk, told=True)


@door("what saved searches tell", "mine/", writes=True)
def alerts_door(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """The mail, the page of what is new, and the number in the menu."""
    person = _person(client)
    if person is None:
        return client.get("/mine/")
    person.email = "somebody@example.ac.uk"
    person.save(update_fields=["email"])
    _watched(person, ask)
    mailed = _mail_of_this_morning()
    return mailed if ask.number == 0 else client.get("/mine/" if ask.number % 2 else "/mine/history/")


def _mail_of_this_morning() -> HttpResponse:
    """What goes out by mail, without what is signed anew for each."""
    mail.outbox = []
    with override_settings(SENDS_MAIL=True, PUBLIC_URL="https://search.example.ac.uk/"):
        alerts.run(timezone.localtime().replace(hour=9))
    return HttpResponse([TOKEN.sub("(link)", f"{one.to} {one.subject}\n{one.body}") for one in mail.outbox])


@door("what was told before", "mine/", "mine/seen/", writes=True)
def told_before(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """What was found at another time, and may be hidden since."""
    if person := _person(client):
        User.objects.filter(pk=person.pk).update(email="somebody@example.ac.uk")
        _keep(person, world.documents, _watched(person, ask))
    if person and ask.number == 2:
        return _mail_of_this_morning()
    return client.post("/mine/seen/") if ask.number == 3 else client.get("/mine/")


@door("saving a document", "mine/documents/<uuid:pk>/", writes=True, about_a_document=True)
def save_document(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    headers = {"HX-Request": "true"} if ask.number > 1 else {}
    address = f"/mine/documents/{world.document(ask.document)}/"
    return client.post(address, {"keep": str(ask.number % 2)}, headers=headers)


@door("my saved documents", "mine/documents/", writes=True)
def saved_documents(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    if person := _person(client):
        _keep(person, world.documents)
    return client.get("/mine/documents/")


@door("my data", "mine/data/", "mine/data/export/", writes=True)
def my_data(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    person = _person(client)
    if person is None or ask.number == 3:
        return client.get("/mine/data/")
    _keep(person, world.documents, _watched(person, ask))
    answer = client.post("/mine/data/export/")
    if answer.status_code != 200:
        return answer
    # What stands in the trail of what was asked before this is another matter: the searches of the other database.
    data = json.loads(answer.content)
    del data["audit_trail"]
    return HttpResponse(MOMENT.sub("(moment)", json.dumps(data)), content_type="application/json")


@door(
    "my searches",
    *("mine/searches/", "mine/searches/new/", "mine/searches/<uuid:pk>/", "mine/searches/<uuid:pk>/remove/"),
    *("mine/history/", "mine/history/forget/", "mine/data/erase/", "accounts/profile/"),
    writes=True,
)
def my_searches(client: Client, world: World, ask: Ask) -> HttpResponseBase:
    """Pages that show no document: they say the same whatever is hidden."""
    person = _person(client)
    pk = _watched(person, ask).pk if person else world.document(99)
    client.get("/search/", {"q": query_of(ask)})
    asks = (
        lambda: client.get("/mine/searches/"),
        lambda: client.get("/mine/searches/new/", {"q": "something new"}),
        lambda: client.get(f"/mine/searches/{pk}/"),
        lambda: client.post(f"/mine/searches/{pk}/remove/"),
        lambda: client.get("/mine/history/"),
        lambda: client.post("/mine/history/forget/", {"everything": "1"}),
        lambda: client.post("/mine/data/erase/", {"sure": "1"}),
        lambda: client.get("/accounts/profile/"),
    )
    return asks[(ask.number + 4 * ask.query) % len(asks)]()
