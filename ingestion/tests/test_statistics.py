"""What scores know of the corpus: counted over public chunks alone, when something has changed, by one at a time."""

from __future__ import annotations

import math
import time
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Department
from ingestion import pipeline, statistics
from ingestion.models import Chunk, Document, LanguageCentre, Term, VectorSpace
from ingestion.tests.conftest import TakeIn, UseNodes

pytestmark = pytest.mark.django_db

TEXTS = {
    "en": [
        "Students borrow up to ten books from the library for three weeks.",
        "Students pay their fees before the term begins, in one sum or in three.",
        "Students register for examinations within the first six weeks of the term.",
    ],
    "de": [
        "Studierende leihen in der Bibliothek bis zu zehn Bücher für drei Wochen aus.",
        "Studierende melden sich in den ersten sechs Wochen zu den Prüfungen an.",
    ],
}


def take_in_public(take_in: TakeIn) -> list[Document]:
    documents = []
    for language, texts in TEXTS.items():
        for number, text in enumerate(texts):
            document = take_in(text, f"{language}{number}.txt", title=f"{language} {number}", language=language)
            pipeline.ingest(document.pk)
            documents.append(document)
    return documents


def take_in_hidden(take_in: TakeIn, archives: Department) -> None:
    """Documents of all the sorts that not everyone may see, with words of their own and of the public ones."""
    tomorrow, yesterday = timezone.now() + timedelta(days=1), timezone.now() - timedelta(days=1)
    hidden = [{"clearance": level} for level in (2, 3, 4)]
    hidden += [{"audience": "department"}, {"visible_from": tomorrow}, {"visible_until": yesterday}, {}]
    for number, said in enumerate(hidden):
        text = f"Students and the secret merger number {number}, secret until the fees are settled."
        document = take_in(text, f"{number}.txt", title=f"Secret {number}", department=archives, language="en", **said)
        pipeline.ingest(document.pk)
    pipeline.archive(document)


def counted() -> tuple[list, list]:
    """Every byte of what is counted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT language, vector::text, chunks FROM ingestion_languagecentre ORDER BY language")
        centres = cursor.fetchall()
        cursor.execute("SELECT word, encode(float8send(idf), 'hex') FROM ingestion_term ORDER BY word")
        return centres, cursor.fetchall()


def forget() -> None:
    VectorSpace.objects.update(counted="")


def test_hidden_documents_change_nothing_to_the_last_byte(take_in: TakeIn, archives: Department) -> None:
    take_in_hidden(take_in, archives)
    take_in_public(take_in)
    assert statistics.refresh()
    with_hidden = counted()
    Document.objects.filter(title__startswith="Secret").delete()
    forget()
    assert statistics.refresh()

    assert len(with_hidden[0]) == 3
    assert len(with_hidden[1]) > 5
    assert counted() == with_hidden
    assert not Term.objects.filter(word__in=["secret", "merger"]).exists()


def test_hidden_documents_do_not_even_make_it_count(take_in: TakeIn, archives: Department) -> None:
    take_in_public(take_in)
    assert statistics.refresh()
    take_in_hidden(take_in, archives)

    assert not statistics.refresh()


def test_a_centre_is_the_mean_of_its_language_drawn_towards_all(take_in: TakeIn) -> None:
    take_in_public(take_in)
    statistics.refresh()
    vectors = {
        language: np.array([chunk.embedding for chunk in Chunk.objects.filter(language=language)]) for language in TEXTS
    }
    overall = np.concatenate(list(vectors.values())).mean(axis=0)

    assert LanguageCentre.objects.get(language="").vector == pytest.approx(overall, abs=1e-3)
    for language, found in vectors.items():
        centre = LanguageCentre.objects.get(language=language)
        drawn = (found.sum(axis=0) + overall * statistics.SHRINKAGE) / (len(found) + statistics.SHRINKAGE)
        assert centre.chunks == len(TEXTS[language])
        assert centre.vector == pytest.approx(drawn, abs=1e-3)


def test_a_word_is_the_rarer_the_fewer_chunks_hold_it(take_in: TakeIn) -> None:
    take_in_public(take_in)
    statistics.refresh()
    idf = dict(Term.objects.values_list("word", "idf"))

    assert idf["students"] == pytest.approx(math.log(1 + (5 - 3 + 0.5) / (3 + 0.5)))
    assert idf["term"] == pytest.approx(math.log(1 + (5 - 2 + 0.5) / (2 + 0.5)))
    assert "library" not in idf, "a word of one chunk is not kept: it is the rarest there is"


class TestWhenItCounts:
    def test_only_after_a_change(self, take_in: TakeIn) -> None:
        document = take_in_public(take_in)[0]
        assert statistics.refresh()
        assert not statistics.refresh()
        document.refresh_from_db()
        document.save()
        assert statistics.refresh()
        assert not statistics.refresh()

    def test_when_vectors_come_after_the_words_were_counted(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str]
    ) -> None:
        use_nodes()
        documents = take_in_public(take_in)
        assert statistics.refresh()
        assert Term.objects.filter(word="students").exists()
        assert not LanguageCentre.objects.exists()

        use_nodes(*healthy_nodes)
        for document in documents:
            pipeline.ingest(document.pk)
        assert statistics.refresh()
        assert LanguageCentre.objects.get(language="").chunks == 5

    def test_when_of_two_writers_the_one_with_the_older_date_commits_last(self, take_in: TakeIn) -> None:
        first, second, *_ = take_in_public(take_in)
        statistics.refresh()
        second.refresh_from_db()
        Document.objects.filter(pk=first.pk).update(updated_at=second.updated_at - timedelta(milliseconds=3))

        assert statistics.refresh()

    def test_when_a_document_is_deleted(self, take_in: TakeIn) -> None:
        document = take_in_public(take_in)[0]
        statistics.refresh()
        Document.objects.filter(pk=document.pk).delete()

        assert statistics.refresh()
        assert LanguageCentre.objects.get(language="en").chunks == 2

    def test_when_one_is_reclassified_or_archived(self, take_in: TakeIn) -> None:
        first, second, *_ = take_in_public(take_in)
        statistics.refresh()
        Document.objects.filter(pk=first.pk).update(clearance=2)
        assert statistics.refresh()
        pipeline.archive(second)
        assert statistics.refresh()
        assert LanguageCentre.objects.get(language="en").chunks == 1

    def test_when_its_time_is_over(self, take_in: TakeIn) -> None:
        document = take_in_public(take_in)[0]
        Document.objects.filter(pk=document.pk).update(visible_until=timezone.now() + timedelta(seconds=2))
        assert statistics.refresh()
        assert not statistics.refresh()
        time.sleep(2)

        assert statistics.refresh()
        assert LanguageCentre.objects.get(language="en").chunks == 2

    def test_nothing_is_left_when_nothing_is_public(self, take_in: TakeIn) -> None:
        take_in_public(take_in)
        statistics.refresh()
        Document.objects.update(clearance=2)

        assert statistics.refresh()
        assert not LanguageCentre.objects.exists()
        assert not Term.objects.exists()

    def test_an_empty_portal_counts_nothing(self) -> None:
        assert not statistics.refresh()

    def test_one_worker_counts_at_a_time(self, take_in: TakeIn) -> None:
        take_in_public(take_in)
        given = connection.settings_dict
        with psycopg.connect(
            host=given["HOST"], port=given["PORT"], user=given["USER"], password=given["PASSWORD"], dbname=given["NAME"]
        ) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", [statistics._LOCK])
            assert not statistics.refresh()
            other.rollback()
            assert statistics.refresh()


def test_rows_of_words_whose_rarity_hardly_moved_stay_as_they_are(take_in: TakeIn) -> None:
    """Else every document that comes would write every word there is anew."""
    take_in_public(take_in)
    statistics.refresh()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ingestion_term SET idf = idf + 0.001 WHERE word = 'students'")
        cursor.execute("UPDATE ingestion_term SET idf = idf + 1 WHERE word = 'term'")
    moved = dict(Term.objects.values_list("word", "idf"))
    VectorSpace.objects.update(counted="")
    assert statistics.refresh()
    now = dict(Term.objects.values_list("word", "idf"))
    assert now["students"] == moved["students"]
    assert now["term"] == pytest.approx(moved["term"] - 1)
    assert set(now) == set(moved)
