"""Similar documents: by all of a document's text, without the document itself said again first."""

from __future__ import annotations

from django.test import Client

from accounts.clearance import PUBLIC_VIEWER
from accounts.models import Department
from ingestion.likeness import sketch
from ingestion.models import Document
from search.nearest import nearest_documents
from search.service import similar
from search.tests.corpus import serve

LOANS = "You may borrow up to twenty books at a time with your library card."
PARKING = "Staff may apply for a permit to park a car on the campus."


def titles(document: Document, limit: int = 10) -> list[str]:
    return [one.title for one in similar(document, viewer=PUBLIC_VIEWER, limit=limit)]


def test_all_of_a_document_counts_and_not_its_first_passage_alone(library: Department) -> None:
    mixed = serve("Notes", "General.", *[f"{PARKING} Permit {number}." for number in range(4)], department=library)
    serve("Borrowing", LOANS, department=library)
    serve("In general", "General.", department=library)
    serve("Parking", "A car park needs a permit for each car.", department=library)
    assert titles(mixed)[0] == "Parking"


def test_the_same_again_comes_after_what_is_similar(library: Department) -> None:
    def drawn(*texts: str) -> dict[str, object]:
        made = sketch(texts)
        assert made is not None
        return {"sketch": made.signature, "sketch_bands": made.bands}

    rules = serve("Loans", LOANS, department=library, **drawn(LOANS))
    serve("Loans, earlier", LOANS, department=library, **drawn(LOANS))
    serve("Loans, a copy", LOANS, department=library, sha256=rules.sha256)
    serve("Returning books", "Books are to be brought back to the library in time.", department=library)
    serve("Parking", PARKING, department=library)
    rules = Document.objects.get(pk=rules.pk)
    assert titles(rules)[0] == "Returning books"
    assert set(titles(rules)[-2:]) == {"Loans, earlier", "Loans, a copy"}
    assert len(nearest_documents(rules, viewer=PUBLIC_VIEWER, limit=2)) == 2


def test_the_page_of_a_document_names_visible_ones(client: Client, library: Department) -> None:
    rules = serve("Loans", LOANS, department=library)
    other = serve("Returning books", "Books are to be brought back to the library.", department=library)
    serve("Losing books", "Books that are lost are to be paid.", department=library, clearance=3)
    page = client.get(f"/documents/{rules.pk}/").content.decode()
    assert f'<a href="/documents/{other.pk}/" dir="auto" lang="en">Returning books</a>' in page
    assert "Losing books" not in page
