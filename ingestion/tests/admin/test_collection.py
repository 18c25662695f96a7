"""The collection at a glance, and all passages of a document."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Department
from ingestion.admin.chunks import LISTED
from ingestion.models import Chunk, Document
from ingestion.tests.admin.conftest import LIST, Make, text_of

pytestmark = pytest.mark.django_db

COLLECTION = f"{LIST}collection/"


def test_each_number_is_that_of_the_list_it_leads_to(
    desk: Client, make: Make, managed: list[Document], hidden: list[Document], finance: Department
) -> None:
    make("Deutsch", finance, language="de", last_reviewed=date(2019, 1, 1))
    make("Flagged", finance, error="2 of 9 pages.", error_reason="partly_read")
    make("Waiting", finance, status="queued", is_searchable=False, language="")
    context = desk.get(COLLECTION).context
    assert context["total"] == len(managed) + 3
    assert [(row.name, row.whole.number) for row in context["departments"]] == [("Finance", 7), ("Library", 1)]
    finance_row = context["departments"][0]
    assert dict(zip(context["columns"], (cell.number for cell in finance_row.cells), strict=True)) == {
        "Ready": 4,
        "Flagged": 1,
        "In progress": 1,
        "Failed": 1,
        "Archived": 1,
        "Review due": 1,
    }
    assert {cell.name: cell.number for cell in finance_row.languages} == {"English": 5, "German": 1, "not known": 1}
    cells = [
        cell
        for row in (*context["departments"], *context["types"])
        for cell in (row.whole, *row.cells, *row.others, *row.languages)
    ]
    for cell in (*cells, *context["sum"]):
        listed = desk.get(cell.address).context["cl"]
        assert listed.queryset.count() == cell.number, cell


def test_a_whole_collection_takes_a_handful_of_statements(
    admin_desk: Client, make: Make, finance: Department, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        make(f"Paper {number}", Department.objects.create(name=f"School {number}"))
    with django_assert_max_num_queries(12):
        assert "12 documents that you look after" in text_of(admin_desk, COLLECTION)


def test_an_empty_collection_leads_to_the_upload(desk: Client) -> None:
    assert "There are no documents yet" in text_of(desk, COLLECTION)


def _chunks(document: Document, number: int, **more: Any) -> None:
    Chunk.objects.bulk_create(
        Chunk(
            document=document,
            position=position,
            text=f"said before. Passage {position} <b>.",
            page_number=position // 3 + 1,
            section_title="Lamps",
            overlap=13 if position else 0,
            content_hash=b"",
            lexemes="",
            **more,
        )
        for position in range(number)
    )


def test_all_passages_are_shown_in_pages_with_what_they_repeat_and_what_finds_them(
    desk: Client, managed: list[Document]
) -> None:
    document = managed[0]
    _chunks(document, LISTED + 2)
    Chunk.objects.filter(position=0).update(embedding=[1.0] + [0.0] * (settings.EMBEDDING_DIMENSIONS - 1))
    Chunk.objects.filter(position=1).update(metadata={"unembeddable": True})
    address = f"{LIST}{document.pk}/chunks/"
    first = text_of(desk, address)
    assert f"{LISTED + 2} passages" in first
    assert first.count('id="passage-') == LISTED
    assert first.count("found by words and by meaning") == 1
    assert first.count("the model could not take it") == 1
    assert first.count('class="repeated"') == LISTED - 1
    assert "Passage 1 &lt;b&gt;." in first
    assert f"/documents/{document.pk}/?page=2" in first
    assert 'start="51"' in text_of(desk, f"{address}?page=2")
    assert 'id="passage-51"' in text_of(desk, f"{address}?page=9")


def test_passages_that_are_being_prepared_are_said_to_be_and_a_document_without_any_too(
    desk: Client, managed: list[Document]
) -> None:
    waiting, broken = managed[0], managed[2]
    _chunks(waiting, 2, staged=True)
    assert "being prepared" in text_of(desk, f"{LIST}{waiting.pk}/chunks/")
    assert "It is broken." in text_of(desk, f"{LIST}{broken.pk}/chunks/")


def test_passages_of_what_one_does_not_manage_are_as_if_there_were_none(desk: Client, hidden: list[Document]) -> None:
    for document in hidden:
        _chunks(document, 1)
        answer = desk.get(f"{LIST}{document.pk}/chunks/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_what_came_within_a_file_is_listed_by_it(
    desk: Client, make: Make, finance: Department, library: Department
) -> None:
    archive = make("Archive", finance)
    within = make("Within", finance, parent=archive, part="a.txt")
    theirs = make("Their archive", library)
    make("In theirs", finance, parent=theirs, part="b.txt")
    assert [str(one) for one in desk.get(f"{LIST}?within={archive.pk}").context["cl"].result_list] == [str(within)]
    for unknown in (theirs.pk, "nothing"):
        answer = desk.get(f"{LIST}?within={unknown}")
        assert not answer.context["cl"].result_list
        assert "Their archive" not in answer.content.decode()
