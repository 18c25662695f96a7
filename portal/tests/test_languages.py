"""The readers' pages in the language of whoever reads them; the API and the desk in English."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings as laid_down
from django.test import Client
from django.utils import timezone, translation
from pytest_django.fixtures import Settings

from accounts.languages import language_of_mails
from accounts.models import Department
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row
from portal.tests.conftest import MakeDocument, MakePerson

pytestmark = pytest.mark.django_db

HEADINGS = {
    "de": ("Anmelden", "Dokumente durchsuchen", "Hier gibt es nichts für Sie"),
    "fr": ("Se connecter", "Rechercher dans les documents", "Il n’y a rien ici pour vous"),
    "es": ("Iniciar sesión", "Buscar en los documentos", "Aquí no hay nada para usted"),
    "gd": ("Clàraich a-steach", "Lorg anns na sgrìobhainnean", "Chan eil dad an seo dhut"),
}
ENGLISH = ("Sign in", "Search the documents", "There is nothing here for you")
PAGES = ("/accounts/login/", "/", "/nowhere/")


@pytest.fixture(autouse=True)
def unbuilt_static_files(settings: Settings) -> None:
    """Pages link static files by their plain names."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.PUBLIC_SEARCH = True


def _choose(client: Client, language: str, *, origin: str = "http://testserver/") -> str:
    answer = client.post("/language/", {"language": language}, headers={"referer": origin})
    assert answer.status_code == 302
    return str(answer["Location"])


class TestPages:
    @pytest.mark.parametrize("language", HEADINGS)
    def test_are_in_the_language_that_the_browser_asks_for(self, client: Client, language: str) -> None:
        for address, words, english in zip(PAGES, HEADINGS[language], ENGLISH, strict=True):
            answer = client.get(address, headers={"accept-language": f"{language}, en;q=0.5"})
            page = answer.content.decode()
            assert f'<html lang="{language}" dir="ltr">' in page
            assert words in page
            assert english not in page
            assert answer["Content-Language"] == language
            assert {"Accept-Language", "Cookie"} <= set(re.split(r", *", answer["Vary"]))

    @pytest.mark.parametrize("asked", ["", "en", "en-US", "pl, ja;q=0.8"])
    def test_are_in_english_else(self, client: Client, asked: str) -> None:
        page = client.get("/accounts/login/", headers={"accept-language": asked} if asked else {}).content.decode()
        assert '<html lang="en-gb"' in page
        assert "Sign in" in page

    def test_the_next_reader_has_their_own(self, client: Client) -> None:
        client.get("/", headers={"accept-language": "de"})
        assert "Search the documents" in client.get("/").content.decode()

    def test_what_is_found_is_told_in_each_readers_language(
        self, client: Client, document: MakeDocument, library: Department
    ) -> None:
        """The same answer is kept for both; what is kept has no language."""
        made = document("Quill rules", department=library, last_reviewed=timezone.localdate() - timedelta(days=800))
        chunk_row(made, ChunkDraft(0, "Cut it.", 1, "Quill rules")).save()
        german, french = Client(headers={"accept-language": "de"}), Client(headers={"accept-language": "fr"})
        address = "/search/?doc_type=guide"
        assert "zuletzt vor 2 Jahren geprüft" in german.get(address).content.decode()
        assert "dernière révision il y a 2 ans" in french.get(address).content.decode()
        assert "last reviewed 2 years ago" in client.get(address).content.decode()

    def test_dates_are_written_as_the_language_writes_them(self, document: MakeDocument, library: Department) -> None:
        made = document("Quill rules", department=library, last_reviewed="2024-03-05")
        for language, day in {"de": "5. März 2024", "fr": "5 mars 2024", "es": "5 de marzo de 2024"}.items():
            answer = Client(headers={"accept-language": language}).get(f"/documents/{made.pk}/")
            assert day in answer.content.decode()

    def test_a_mistake_in_a_search_is_told_in_the_language(self, client: Client) -> None:
        page = client.get("/search/?q=%3F", headers={"accept-language": "de"}).content.decode()
        assert "In dieser Anfrage steht kein Wort." in page


class TestSwitch:
    def test_stands_on_pages_with_each_language_by_its_own_name(self, client: Client) -> None:
        page = client.get("/", headers={"accept-language": "fr"}).content.decode()
        for code, name in laid_down.LANGUAGES:
            here = ' aria-current="true"' if code == "fr" else ""
            assert f'name="language" value="{code}" lang="{code}"{here}>{name}</button>' in page

    def test_what_is_chosen_wins_over_what_the_browser_asks_for(self) -> None:
        client = Client(headers={"accept-language": "de"})
        _choose(client, "gd")
        assert '<html lang="gd"' in client.get("/").content.decode()
        cookie = client.cookies[laid_down.LANGUAGE_COOKIE_NAME]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 365 * 24 * 3600)

    def test_leads_back_to_the_page_and_nowhere_else(self, client: Client) -> None:
        assert _choose(client, "de", origin="http://testserver/search/?q=quills").endswith("/search/?q=quills")
        assert _choose(client, "de", origin="https://elsewhere.example/") == "/"

    def test_takes_no_language_that_there_is_not(self, client: Client) -> None:
        _choose(client, "xx")
        assert laid_down.LANGUAGE_COOKIE_NAME not in client.cookies

    def test_is_a_form_with_its_token_and_no_link(self) -> None:
        client = Client(enforce_csrf_checks=True)
        assert client.get("/language/").status_code == 405
        assert client.post("/language/", {"language": "de"}).status_code == 403
        page = client.get("/").content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        given = {"language": "de", "csrfmiddlewaretoken": token[1]}
        assert client.post("/language/", given).status_code == 302


class TestEnglish:
    @pytest.mark.parametrize("address", ["/api/v1/search/?q=", "/api/v1/nowhere/", "/api/v1/me/", "/health/live"])
    def test_programs_are_told_the_same_in_any_language(self, address: str) -> None:
        plain = Client().get(address)
        german = Client(headers={"accept-language": "de"})
        german.cookies[laid_down.LANGUAGE_COOKIE_NAME] = "de"
        asked = german.get(address)
        assert asked.status_code == plain.status_code
        assert re.sub(rb'"request_id": ?"[^"]+"', b"", asked.content) == re.sub(
            rb'"request_id": ?"[^"]+"', b"", plain.content
        )
        assert "Accept-Language" not in asked.get("Vary", "")

    def test_so_is_the_desk(self, person: MakePerson) -> None:
        client = Client(headers={"accept-language": "de"})
        client.force_login(person("admin"))
        for address in ("/admin/", "/see-as/"):
            page = client.get(address).content.decode()
            assert '<html lang="en-gb"' in page
            assert "Abmelden" not in page


class TestMails:
    @pytest.mark.parametrize(
        ("read", "written"),
        [([], "en-gb"), (["de"], "de"), (["de", "en"], "en-gb"), (["es", "fr"], "fr"), (["ja"], "en-gb")],
    )
    def test_are_in_a_language_that_their_reader_reads(self, person: MakePerson, read: list[str], written: str) -> None:
        assert language_of_mails(person("student", languages=read)) == written

    def test_their_words_are_translated(self) -> None:
        with translation.override("de"):
            assert translation.ngettext("%(number)d new document", "%(number)d new documents", 2) == (
                "%(number)d neue Dokumente"
            )
