"""What is mine: only mine, works by plain forms, and shows only what I may see."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.clearance import viewer_for
from accounts.models import AuditEvent, Department, User
from accounts.tests.people import person, signed_in
from ingestion.models import Document
from search import history, saved
from search.models import Feedback, RememberedSearch, SavedDocument, SavedSearch, SearchEvent
from search.query import parse_query
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

PAGES = ("/mine/", "/mine/searches/", "/mine/documents/", "/mine/history/", "/mine/data/", "/accounts/profile/")


@pytest.fixture
def reader(library: Department) -> User:
    return person("reader", "staff", library)


@pytest.fixture
def paper(library: Department) -> Document:
    return serve(
        "Library fines", "For each day that a book is late we charge 20 pence.", department=library, clearance=3
    )


def save_search(owner: User, words: str = "fines", **how: Any) -> SavedSearch:
    return saved.save_search(owner, parse_query({"q": words}), **{"name": words, "alert": "off", "rhythm": "day"} | how)


class TestWhoMayComeIn:
    @pytest.mark.parametrize("address", PAGES)
    def test_nobody_who_is_not_signed_in(self, client: Client, address: str, db: None) -> None:
        answer = client.get(address)
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/accounts/login/")

    @pytest.mark.parametrize("address", PAGES)
    def test_nobody_who_looks_as_somebody_else(self, address: str, library: Department) -> None:
        root = person("root", "admin")
        save_search(root, "my own secret")
        client = signed_in(root)
        client.post("/see-as/", {"role": "student"})
        answer = client.get(address)
        assert answer.status_code == 403
        assert b"my own secret" not in answer.content
        assert b"popovertarget" not in answer.content
        assert client.post("/mine/history/forget/", {"everything": "1"}).status_code == 403

    def test_another_persons_search_does_not_exist(self, reader: User) -> None:
        theirs = save_search(person("other", "staff"))
        client = signed_in(reader)
        assert client.get(f"/mine/searches/{theirs.pk}/").status_code == 404
        assert (
            client.post(f"/mine/searches/{theirs.pk}/", {"name": "x", "alert": "off", "rhythm": "day"}).status_code
            == 404
        )
        assert client.post(f"/mine/searches/{theirs.pk}/remove/").status_code == 404
        assert SavedSearch.objects.get().name == "fines"
        assert b"fines" not in client.get("/mine/searches/").content


class TestSavedSearches:
    def test_it_is_saved_from_the_page_of_results_changed_and_removed(self, reader: User, paper: Document) -> None:
        client = signed_in(reader)
        link = "/mine/searches/new/?q=library+fines&amp;department=Library"
        assert link.encode() in client.get("/search/?q=library+fines&department=Library&page=1").content
        address = link.replace("&amp;", "&")
        assert b"library fines" in client.get(address).content
        client.post(address, {"name": "Fines", "alert": "site", "rhythm": "week"})
        kept = SavedSearch.objects.get()
        assert (kept.owner, kept.address) == (reader, "q=library+fines&department=Library")
        assert client.get(address).url == f"/mine/searches/{kept.pk}/"
        client.post(f"/mine/searches/{kept.pk}/", {"name": "Late", "alert": "off", "rhythm": "day"})
        assert "Late" in client.get("/mine/searches/").content.decode()
        client.post(f"/mine/searches/{kept.pk}/remove/")
        assert not SavedSearch.objects.exists()

    def test_the_same_is_saved_once_whatever_page_of_it_is_shown(self, reader: User) -> None:
        for query in ({"q": "fines"}, {"q": " fines", "page": "3", "page_size": "50"}):
            saved.save_search(reader, parse_query(query), name="fines", alert="off", rhythm="day")
        assert SavedSearch.objects.count() == 1

    def test_there_is_room_for_so_many(self, reader: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(saved, "MAX_SEARCHES", 1)
        save_search(reader)
        answer = signed_in(reader).post("/mine/searches/new/?q=books", {"name": "b", "alert": "off", "rhythm": "day"})
        assert answer.status_code == 400
        assert b"all there is room for" in answer.content
        assert SavedSearch.objects.count() == 1

    def test_a_search_that_is_none_leads_to_the_search(self, reader: User) -> None:
        assert signed_in(reader).get("/mine/searches/new/").url == "/search/"


class TestSavedDocuments:
    def test_it_is_saved_from_a_hit_and_from_its_page_and_back_there(self, reader: User, paper: Document) -> None:
        client = signed_in(reader)
        form = f'action="/mine/documents/{paper.pk}/"'.encode()
        for page in ("/search/?q=fines", f"/documents/{paper.pk}/"):
            assert form in client.get(page).content
        answer = client.post(f"/mine/documents/{paper.pk}/", {"keep": "1", "next": "/search/?q=fines"})
        assert answer.url == "/search/?q=fines"
        assert b"Library fines" in client.get("/mine/documents/").content
        client.post(f"/mine/documents/{paper.pk}/", {"keep": "0"})
        assert b"Library fines" not in client.get("/mine/documents/").content

    def test_htmx_gets_the_new_button(self, reader: User, paper: Document) -> None:
        answer = signed_in(reader).post(
            f"/mine/documents/{paper.pk}/", {"keep": "1", "title": "<b>"}, headers={"HX-Request": "true"}
        )
        assert b'name="keep" value="0"' in answer.content
        assert b"&lt;b&gt;" in answer.content
        assert b"<html" not in answer.content

    def test_the_way_back_leads_nowhere_else(self, reader: User, paper: Document) -> None:
        answer = signed_in(reader).post(f"/mine/documents/{paper.pk}/", {"next": "https://elsewhere.example/"})
        assert answer.url == "/mine/documents/"

    def test_what_is_not_seen_is_not_saved_and_answers_as_unknown(self, reader: User, library: Department) -> None:
        hidden = serve("Secret", "Quagga.", department=library, clearance=4)
        client = signed_in(reader)
        for keep in ("0", "1"):
            for pk in (hidden.pk, "00000000-0000-0000-0000-000000000007"):
                assert client.post(f"/mine/documents/{pk}/", {"keep": keep}).status_code == 404
        assert not SavedDocument.objects.exists()

    def test_what_is_not_seen_any_more_is_gone_without_a_trace(self, reader: User, paper: Document) -> None:
        client = signed_in(reader)
        empty = client.get("/mine/documents/").content
        client.post(f"/mine/documents/{paper.pk}/")
        client.get("/mine/documents/")
        paper.clearance = 4
        paper.save()
        assert len(client.get("/mine/documents/").content) == len(empty)

    def test_what_is_not_seen_takes_no_room(
        self, reader: User, paper: Document, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(saved, "MAX_DOCUMENTS", 1)
        assert saved.save_document(reader, paper.pk, viewer=viewer_for(reader))
        other = serve("Other", "Text.", department=library)
        with pytest.raises(saved.NotSaved):
            saved.save_document(reader, other.pk, viewer=viewer_for(reader))
        paper.clearance = 4
        paper.save()
        assert saved.save_document(reader, other.pk, viewer=viewer_for(reader))

    def test_a_curator_is_not_offered_to_save_what_they_only_manage(self, library: Department) -> None:
        librarian = person("lib", "staff", library, librarian=True)
        draft = serve("Draft", "Not yet.", department=library, visible_from=timezone.now() + timedelta(days=9))
        page = signed_in(librarian).get(f"/documents/{draft.pk}/")
        assert page.status_code == 200
        assert b'class="keep"' not in page.content


class TestHistory:
    def asked(self, owner: User) -> list[str]:
        return [one.text for one in history.remembered(owner)]

    def test_it_keeps_what_was_asked_last_first_and_once(self, reader: User) -> None:
        client = signed_in(reader)
        for words in ("fines", "parking", "fines"):
            client.get("/search/", {"q": words})
        client.get("/search/", {"q": "parking", "page": "2"})
        assert self.asked(reader) == ["fines", "parking"]
        assert b"parking" in client.get("/mine/history/").content

    def test_words_that_are_typed_on_are_one_search(self, reader: User) -> None:
        client = signed_in(reader)
        for words in ("lib", "library", "library fi", "library fines"):
            client.get("/search/", {"q": words})
        assert self.asked(reader) == ["library fines"]
        client.get("/search/", {"q": "library fines and more", "department": "Library"})
        assert self.asked(reader) == ["library fines and more", "library fines"]

    def test_nobody_elses_and_nobodys(self, reader: User, client: Client) -> None:
        client.get("/search/", {"q": "nameless"})
        signed_in(person("other", "student")).get("/search/", {"q": "theirs"})
        assert self.asked(reader) == []
        assert RememberedSearch.objects.get().text == "theirs"

    def test_one_is_forgotten_and_all_and_the_audit_trail_keeps_its_own(self, reader: User) -> None:
        client = signed_in(reader)
        for words in ("one", "two", "three"):
            client.get("/search/", {"q": words})
        other = person("other", "student")
        history_of_other = signed_in(other)
        history_of_other.get("/search/", {"q": "theirs"})
        theirs = RememberedSearch.objects.get(owner=other)
        client.post("/mine/history/forget/", {"search": str(theirs.pk)})
        client.post("/mine/history/forget/", {"search": str(RememberedSearch.objects.get(text="two").pk)})
        assert self.asked(reader) == ["three", "one"]
        client.post("/mine/history/forget/", {"everything": "1"})
        assert (self.asked(reader), self.asked(other)) == ([], ["theirs"])
        assert SearchEvent.objects.filter(user=reader).count() == 3

    def test_switched_off_nothing_is_kept_and_later_nothing_comes_back(self, reader: User) -> None:
        client = signed_in(reader)
        client.post("/mine/history/forget/", {"keeps": "0"})
        client.get("/search/", {"q": "private"})
        client.post("/mine/history/forget/", {"keeps": "1"})
        assert self.asked(reader) == []

    def test_whoever_looks_as_somebody_else_leaves_none(self, library: Department) -> None:
        root = person("root", "admin")
        client = signed_in(root)
        client.post("/see-as/", {"role": "student"})
        client.get("/search/", {"q": "looking"})
        assert self.asked(root) == []

    def test_it_is_forgotten_in_time(self, reader: User) -> None:
        signed_in(reader).get("/search/", {"q": "fines"})
        RememberedSearch.objects.update(at=timezone.now() - history.KEPT - timedelta(minutes=1))
        assert history.purge() == 1

    def test_a_long_search_in_any_script_is_kept(self, reader: User) -> None:
        signed_in(reader).get("/search/", {"q": "借" * 500})
        assert self.asked(reader) == ["借" * 500]


class TestMyData:
    def exported(self, client: Client) -> dict[str, Any]:
        answer = client.post("/mine/data/export/")
        assert answer["Content-Disposition"] == 'attachment; filename="cloister-my-data.json"'
        return json.loads(answer.content)  # type: ignore[no-any-return]

    def fill(self, reader: User, paper: Document) -> Client:
        client = signed_in(reader)
        client.get("/search/", {"q": "fines"})
        save_search(reader)
        client.post(f"/mine/documents/{paper.pk}/")
        event = SearchEvent.objects.get(user=reader)
        Feedback.objects.create(search=event, document=paper, user=reader, verdict="helpful")
        return client

    def test_the_export_has_all_of_it(self, reader: User, paper: Document) -> None:
        client = self.fill(reader, paper)
        data = self.exported(client)
        assert data["account"]["departments"] == ["Library"]
        assert data["saved_searches"][0]["address"] == "/search/?q=fines"
        assert data["saved_documents"][0]["document"] == str(paper.pk)
        assert data["search_history"][0]["address"] == "/search/?q=fines"
        assert data["feedback"][0]["verdict"] == "helpful"
        assert data["audit_trail"]["searches"][0]["query"] == "fines"
        assert "data_exported" in [act["action"] for act in data["audit_trail"]["acts"]]

    def test_it_has_nothing_of_what_is_not_seen_any_more(self, reader: User, paper: Document) -> None:
        client = self.fill(reader, paper)
        client.get(f"/documents/{paper.pk}/")
        paper.clearance = 4
        paper.save()
        said = json.dumps(self.exported(client))
        assert str(paper.pk) not in said
        assert "Library fines" not in said

    def test_an_erasure_takes_what_is_mine_and_leaves_the_trail(self, reader: User, paper: Document) -> None:
        client = self.fill(reader, paper)
        save_search(other := person("other", "student"))
        client.post("/mine/data/erase/")
        assert SavedSearch.objects.filter(owner=reader).exists(), "the box was not ticked"
        client.post("/mine/data/erase/", {"sure": "1"})
        data = self.exported(client)
        assert not any(data[name] for name in ("saved_searches", "saved_documents", "search_history", "feedback"))
        assert SearchEvent.objects.filter(user=reader).exists()
        assert SavedSearch.objects.filter(owner=other).exists()
        act = AuditEvent.objects.get(action="data_erased")
        assert (act.actor, act.subject) == (reader, "reader")

    @pytest.mark.parametrize("address", ["/mine/data/", "/mine/data/export/", "/mine/data/erase/"])
    def test_a_session_that_was_left_open_is_not_enough(self, reader: User, address: str) -> None:
        save_search(reader)
        client = signed_in(reader)
        session = client.session
        session["proven_at"] = 0
        session.save()
        answer = client.post(address, {"sure": "1"})
        assert answer.url.startswith("/accounts/confirm/")
        assert SavedSearch.objects.exists()

    def test_operators_export_and_erase_a_person_and_it_is_noted(
        self, reader: User, paper: Document, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fill(reader, paper)
        call_command("export_person", "reader")
        assert json.loads(capsys.readouterr().out)["account"]["user_name"] == "reader"
        call_command("erase_person", "reader", "--trail", "--close")
        reader.refresh_from_db()
        assert (reader.username, reader.is_active, reader.email) == (f"closed-{reader.pk}", False, "")
        assert not RememberedSearch.objects.exists()
        assert not SearchEvent.objects.filter(user=reader).exists()
        assert {"data_exported", "data_erased", "account_closed"} <= set(
            AuditEvent.objects.values_list("action", flat=True)
        )
        with pytest.raises(CommandError, match="no user"):
            call_command("export_person", "reader")


class TestMenu:
    def test_it_says_how_much_is_new(self, reader: User, paper: Document) -> None:
        one = save_search(reader, alert="site")
        assert b"popovertarget" in signed_in(reader).get("/").content
        one.found.create(document=paper, told=True)
        assert b'<span class="mine-new">1' in signed_in(reader).get("/").content
        paper.clearance = 4
        paper.save()
        assert b"mine-new" not in signed_in(reader).get("/").content

    def test_nobody_who_is_not_signed_in_has_one(self, client: Client, db: None) -> None:
        assert b"popovertarget" not in client.get("/").content
