"""Near-duplicates: how alike texts are found to be, and whom the documents are shown to."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256

import pytest

from accounts.clearance import OPERATOR, PUBLIC_VIEWER, viewer_for
from accounts.models import Department
from ingestion.likeness import MOST_SHOWN, NEAR, alike, likeness, sketch
from ingestion.models import Document, DocumentType
from ingestion.tests.conftest import MakeLibrarian

SENTENCES = [
    f"Rule {number}: staff of group {number * 7} claim the costs of journey {number * 3} within {number + 9} days."
    for number in range(60)
]
POLICY = " ".join(SENTENCES)
CHINESE = "".join(
    f"第{number}条：因公出差的教职员工应在返回后{number + 9}天内报销第{number * 3}次旅程的费用。"
    for number in range(60)
)  # fmt: skip
THAI = "".join(
    f"ข้อ{number}เจ้าหน้าที่ที่เดินทางไปราชการต้องเบิกค่าใช้จ่ายครั้งที่{number * 3}ภายใน{number + 9}วัน" for number in range(60)
)


def share(one: str, other: str) -> float:
    first, second = sketch([one]), sketch([other])
    assert first is not None
    assert second is not None
    return likeness(first.signature, second.signature)


@pytest.mark.parametrize("text", [POLICY, CHINESE, THAI, "One."], ids=["English", "Chinese", "Thai", "one word"])
def test_the_same_words_are_fully_alike_whatever_their_pages_case_and_marks(text: str) -> None:
    middle = text.find(" ", len(text) // 2) + 1
    pages = [text[:middle], text[middle:]] if " " in text else [text]
    whole, parted = sketch([text]), sketch([f"# **{page.upper()}**\n\n" for page in pages])
    assert whole == parted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (POLICY, POLICY.replace("journey 30 ", "voyage 30 ")),
        (POLICY, POLICY + " This version was approved by Senate in May."),
        (CHINESE, CHINESE.replace("第30次旅程", "第30次差旅")),
        (THAI, THAI.replace("ครั้งที่30", "คราวที่30")),
    ],
    ids=["a word", "a sentence more", "Chinese", "Thai"],
)
def test_a_small_change_leaves_texts_near(one: str, other: str) -> None:
    assert NEAR <= share(one, other) < 1
    assert set(sketch([one]).bands) & set(sketch([other]).bands)


def test_other_texts_are_not_near() -> None:
    assert share(POLICY, " ".join(reversed(SENTENCES[:30])) + "Nothing else is the same. " * 40) < NEAR
    assert share(POLICY, CHINESE) == 0


@pytest.mark.parametrize("kept", [0.95, 0.8, 0.5])
def test_the_estimate_is_near_the_truth(kept: float) -> None:
    words = [f"word{number}" for number in range(3000)]
    shared = int(len(words) * kept)
    # Of the shingles of both, those that reach over the end of what is shared are in one only.
    truth = (shared - 2) / (2 * (len(words) - 2) - (shared - 2))
    other = words[:shared] + [f"other{number}" for number in range(len(words) - shared)]
    assert share(" ".join(words), " ".join(other)) == pytest.approx(truth, abs=0.09)


@pytest.mark.parametrize("texts", [[], [""], [" \n", "--- | ***"]])
def test_without_words_there_is_no_sketch(texts: list[str]) -> None:
    assert sketch(texts) is None


def test_signatures_that_were_made_otherwise_are_not_compared() -> None:
    signature = sketch([POLICY]).signature
    assert likeness(signature, b"\x00" + signature[1:]) == 0
    assert likeness(signature, signature[:-2]) == 0
    assert likeness(signature, b"") == 0


def test_another_process_makes_the_same_sketch() -> None:
    told = "import sys; from ingestion.likeness import sketch; made = sketch([sys.stdin.read()])"
    command = f"import django; django.setup(); {told}; print(made.signature.hex(), made.bands)"
    answer = subprocess.run([sys.executable, "-c", command], input=POLICY, capture_output=True, text=True, check=True)
    made = sketch([POLICY])
    assert answer.stdout.split(" ", 1) == [made.signature.hex(), f"{made.bands}\n"]
    # And so does another version: what is stored must stay comparable, or the mark at its beginning be raised.
    assert sha256(made.signature).hexdigest()[:16] == "5f4cd5d50a94cd8b"


@pytest.fixture
def stored(guide: DocumentType, registry: Department):
    """Stores a document with this text: `stored("title", text, department=…)`."""

    def store(title: str, text: str, **said: object) -> Document:
        made = sketch([text])
        known = {"department": registry, "doc_type": guide, "clearance": 1, "audience": "institution"}
        known |= {"sha256": sha256(title.encode()).hexdigest(), "file": title, "file_name": title, "file_size": 1}
        return Document.objects.create(**(known | said), title=title, sketch=made.signature, sketch_bands=made.bands)

    return store


@pytest.mark.django_db
def test_same_files_come_first_then_same_texts_then_near_ones(stored) -> None:
    mine = stored("mine", POLICY)
    stored("near", POLICY.replace("journey 30 ", "voyage 30 "))
    stored("same words", POLICY.upper())
    stored("same file", CHINESE, sha256=mine.sha256)
    stored("other", CHINESE)
    found = alike(mine, OPERATOR)
    assert [(one.document.title, one.kind) for one in found] == [
        ("same file", "same_file"),
        ("same words", "same_text"),
        ("near", "near"),
    ]
    assert found[0].likeness == found[1].likeness == 1.0
    assert NEAR <= found[2].likeness < 1


@pytest.mark.django_db
def test_only_what_the_viewer_manages_is_shown(
    stored, make_librarian: MakeLibrarian, registry: Department, archives: Department
) -> None:
    mine = stored("mine", POLICY)
    stored("same file elsewhere", POLICY, sha256=mine.sha256, department=archives)
    stored("same text elsewhere", POLICY, department=archives)
    stored("above the librarian", POLICY, clearance=4, audience="department")
    stored("theirs", POLICY)
    librarian = viewer_for(make_librarian("ada", registry, role="student"))
    assert [one.document.title for one in alike(mine, librarian)] == ["theirs"]
    assert len(alike(mine, OPERATOR)) == 4
    assert alike(mine, PUBLIC_VIEWER) == []


@pytest.mark.django_db
def test_a_document_that_was_not_read_yet_is_compared_by_its_file(stored) -> None:
    mine = stored("mine", POLICY)
    stored("other", POLICY)
    twin = stored("twin", POLICY, sha256=mine.sha256)
    Document.objects.filter(pk=mine.pk).update(sketch=None, sketch_bands=None)
    mine.refresh_from_db()
    assert [one.document for one in alike(mine, OPERATOR)] == [twin]


@pytest.mark.django_db
def test_no_more_are_named_than_a_page_can_show(stored) -> None:
    mine = stored("mine", POLICY)
    for number in range(MOST_SHOWN + 3):
        stored(f"copy {number}", POLICY)
    assert len(alike(mine, OPERATOR)) == MOST_SHOWN
