"""Departments and a small corpus to search."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from accounts.models import Department
from ingestion.models import Document
from search.tests.corpus import count_statistics, serve


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    """Every test starts with all the requests of a minute."""
    cache.clear()


@pytest.fixture
def library(db: None) -> Department:
    return Department.objects.create(name="Library")


@pytest.fixture
def finance(db: None) -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def corpus(library: Department, finance: Department) -> dict[str, Document]:
    """Seven public documents in four languages."""
    made = {
        "loans": serve(
            "Borrowing from the library",
            "You may borrow up to twenty books at a time. Bring your library card.",
            "Loans are renewed by themselves unless another reader waits for the book.",
            department=library,
        ),
        "fines": serve("Library fines", "For each day that a book is late we charge 20 pence.", department=library),
        "travel": serve(
            "Travel expenses",
            "Claim your travel expenses with form HR-12 within thirty days. Attach every receipt.",
            department=finance,
        ),
        "reisen": serve(
            "Reisekosten",
            "Reisekosten werden mit dem Formular HR-12 innerhalb von dreißig Tagen abgerechnet.",
            department=finance,
            language="de",
        ),
        "pret": serve(
            "Prêt de livres",
            "Vous pouvez emprunter vingt livres à la fois avec votre carte de bibliothèque.",
            department=library,
            language="fr",
        ),
        "shuguan": serve(
            "图书馆借书规则", "每位读者最多可以借二十本书。请携带图书证。", department=library, language="zh"
        ),
        "parking": serve("Parking permits", "Staff may apply for a permit to park a car.", department=finance),
    }
    count_statistics()
    return made
