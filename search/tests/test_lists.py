"""Best bets and synonyms as CSV: out, and in again after a look."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.clearance import LIBRARIANS
from accounts.models import AuditEvent, Department, User
from ingestion.models import Document
from search import curation
from search.models import BestBet, SynonymGroup
from search.query import SearchQuery
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

SYNONYMS, BETS = "/admin/search/synonymgroup/", "/admin/search/bestbet/"


@pytest.fixture
def desk(library: Department) -> Client:
    user = User.objects.create_user("librarian", role="staff")
    user.departments.add(library)
    user.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
    client = Client()
    client.force_login(user)
    return client


def exported(desk: Client, where: str) -> str:
    return desk.get(f"{where}export/").content.decode("utf-8-sig")


def imported(desk: Client, where: str, table: str, **more: Any) -> Any:
    file = SimpleUploadedFile("list.csv", table.encode())
    return desk.post(f"{where}import/", {"file": file, **more})


def test_what_was_exported_comes_in_again_as_it_was(corpus: dict[str, Document], desk: Client) -> None:
    group = SynonymGroup(terms=["OPAC", "library catalogue"], one_way=True, note='=cmd|" /C calc"!A1')
    curation.settle(group)
    BestBet.objects.create(queries=["late, very late books", "fines"], document=corpus["fines"], ends_on="2030-01-31")
    for where, model in ((SYNONYMS, SynonymGroup), (BETS, BestBet)):
        table = exported(desk, where)
        before = list(model.objects.values())
        page = imported(desk, where, table).content.decode()
        assert "Nothing would change" in page
        model.objects.all().delete()
        assert "1 line would be imported" in imported(desk, where, table).content.decode()
        assert not model.objects.exists(), "it was only looked at"
        assert desk.post(f"{where}import/", {"table": table, "confirmed": "1"}).status_code == 302
        after = list(model.objects.values())
        kept = set(before[0]) - {"id", "made_at", "made_by_id"}
        assert [{name: row[name] for name in kept} for row in after] == [
            {name: row[name] for name in kept} for row in before
        ]
    assert AuditEvent.objects.filter(action__in=["synonyms_changed", "best_bet_changed"]).count() == 2


def test_no_cell_is_a_formula(db: None, desk: Client) -> None:
    curation.settle(SynonymGroup(terms=["opac", "catalogue"], note="=1+1"))
    curation.settle(SynonymGroup(terms=["a", "b"], note="-2"))
    cells = [cell for row in csv.reader(io.StringIO(exported(desk, SYNONYMS))) for cell in row]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_line_that_is_there_is_changed_and_one_that_is_wrong_stops_all(db: None, desk: Client) -> None:
    curation.settle(SynonymGroup(terms=["opac", "catalogue"]))
    table = "words,one_way,note\r\ncatalogue | OPAC,no,seen\r\nwifi|eduroam,yes,\r\n"
    page = imported(desk, SYNONYMS, table).content.decode()
    assert ("changed" in page, "2 lines would be imported" in page) == (True, True)
    wrong = table + "alone,no,\r\n"
    page = imported(desk, SYNONYMS, wrong, confirmed="1").content.decode()
    assert "1 line is wrong: nothing is imported" in page
    assert "At least two" in page
    assert SynonymGroup.objects.count() == 1
    imported(desk, SYNONYMS, table, confirmed="1")
    assert SynonymGroup.objects.get(note="seen").terms == ["catalogue", "OPAC"]
    assert curation.curated(SearchQuery(text="wifi")).synonyms == ("eduroam",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"a,b\r\n1,2\r\n", "no column"),
        (b'words\r\n"never closed', "This is no CSV"),
        (b"words\r\n" + b"a|b\r\n" * 2001, "At most 2,000 lines"),
    ],
)
def test_what_is_no_such_list_is_told(db: None, desk: Client, content: bytes, said: str) -> None:
    answer = desk.post(f"{SYNONYMS}import/", {"file": SimpleUploadedFile("list.csv", content)})
    assert answer.status_code == 200
    assert said in answer.content.decode()


def test_hidden_documents_are_neither_exported_nor_imported(
    corpus: dict[str, Document], finance: Department, desk: Client
) -> None:
    secret = serve("Merger", "Secret.", department=finance, audience="department")
    BestBet.objects.create(queries=["merger"], document=secret)
    BestBet.objects.create(queries=["mine"], document=secret, made_by=User.objects.get(username="librarian"))
    table = exported(desk, BETS)
    assert "mine" in table
    assert not [word for word in ("merger", "Merger", str(secret.pk)) if word in table]
    page = imported(desk, BETS, f"queries,document\r\nx,/documents/{secret.pk}/\r\n").content.decode()
    assert "no document that you can see" in page


@pytest.mark.parametrize("where", [SYNONYMS, BETS])
def test_others_get_neither(db: None, where: str) -> None:
    client = Client()
    client.force_login(User.objects.create_user("student", role="student"))
    assert client.get(f"{where}export/").status_code in (302, 403)
    assert client.post(f"{where}import/", {"table": "words\r\na|b\r\n", "confirmed": "1"}).status_code in (302, 403)
