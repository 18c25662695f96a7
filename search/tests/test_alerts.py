"""Saved searches tell of what is new and visible, once, and of nothing else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.clearance import viewer_for
from accounts.models import AuditEvent, Department, User
from accounts.tests.people import person
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Document
from search import alerts, saved, service
from search.models import FoundDocument, SavedSearch, SearchEvent
from search.query import parse_query
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def mail_server(settings: Settings) -> None:
    settings.SENDS_MAIL, settings.PUBLIC_URL = True, "https://search.example.ac.uk/"


@pytest.fixture
def reader(library: Department) -> User:
    user = person("reader", "staff", library)
    user.email = "reader@example.ac.uk"
    user.save()
    return user


def watch(
    reader: User, words: str = "borrow books", *, alert: str = "mail", rhythm: str = "day", **more: Any
) -> SavedSearch:
    return saved.save_search(
        reader, parse_query({"q": words, **more}), name=words or "newest", alert=alert, rhythm=rhythm
    )


def news(reader: User) -> list[str]:
    return [str(one.document) for one in saved.news(reader, viewer=viewer_for(reader))]


def new_book(library: Department, title: str = "Borrowing books in summer", **more: Any) -> Document:
    return serve(title, "In summer you may borrow forty books at a time.", department=library, **more)


def day(number: int) -> datetime:
    return MONDAY + timedelta(days=number)


class TestWhatIsNew:
    def test_what_it_finds_at_first_is_known_and_what_comes_later_is_told_once(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        watch(reader)
        assert alerts.run(day(0)) == 0
        new_book(library)
        assert alerts.run(day(1)) == 1
        assert mail.outbox[0].to == ["reader@example.ac.uk"]
        assert "Borrowing books in summer" in mail.outbox[0].body
        assert "Borrowing from the library" not in mail.outbox[0].body
        assert news(reader) == ["Borrowing books in summer"]
        assert alerts.run(day(2)) == 0
        assert len(mail.outbox) == 1

    def test_what_they_may_not_see_is_not_told_by_mail_or_here(
        self, corpus: dict[str, Document], reader: User, library: Department, finance: Department
    ) -> None:
        watch(reader)
        alerts.run(day(0))
        new_book(library, "Books of finance", audience="department").__class__.objects.filter(
            title="Books of finance"
        ).update(department=finance)
        new_book(library, "Books of academics", clearance=4)
        assert alerts.run(day(1)) == 0
        assert (news(reader), mail.outbox) == ([], [])
        assert not FoundDocument.objects.filter(told=True).exists()

    def test_rights_are_those_of_the_moment_of_asking(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        watch(reader)
        alerts.run(day(0))
        new_book(library, clearance=3)
        User.objects.filter(pk=reader.pk).update(role="student")
        assert alerts.run(day(1)) == 0
        User.objects.filter(pk=reader.pk).update(role="staff")
        assert alerts.run(day(2)) == 1

    def test_what_ceased_to_be_visible_between_finding_and_telling_is_not_told(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        watch(reader)
        alerts.run(day(0))
        book = new_book(library)
        alerts.check_all(reader, day(1).date())
        assert news(reader) == ["Borrowing books in summer"]
        book.clearance = 4
        book.save()
        assert saved.news_count(reader, viewer=viewer_for(reader)) == 0
        assert news(reader) == []
        assert not alerts.mail(reader, day(1))
        assert mail.outbox == []

    def test_without_words_the_newest_documents_are_told(self, corpus: dict[str, Document], reader: User) -> None:
        watch(reader, "", department="Finance")
        alerts.run(day(0))
        serve("Rates of pay", "Monthly.", department=Department.objects.get(name="Finance"))
        alerts.run(day(1))
        assert news(reader) == ["Rates of pay"]

    def test_only_the_first_hits_are_told(
        self, corpus: dict[str, Document], reader: User, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By meaning every document comes somewhere: far down is no match."""
        monkeypatch.setattr(alerts, "TOLD_AMONG", 2)
        watch(reader)
        alerts.run(day(0))
        serve("Fire alarms", "The alarm is tested every Tuesday.", department=library)
        alerts.run(day(1))
        assert news(reader) == []

    def test_switched_off_and_on_again_it_begins_anew(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        one = watch(reader)
        alerts.run(day(0))
        saved.change_search(SavedSearch.objects.get(pk=one.pk), name="books", alert="off", rhythm="day")
        new_book(library)
        alerts.run(day(1))
        saved.change_search(SavedSearch.objects.get(pk=one.pk), name="books", alert="site", rhythm="day")
        alerts.run(day(2))
        assert news(reader) == []

    def test_seen_is_new_no_longer(self, corpus: dict[str, Document], reader: User, library: Department) -> None:
        watch(reader, alert="site")
        alerts.run(day(0))
        new_book(library)
        alerts.run(day(1))
        assert saved.news_count(reader, viewer=viewer_for(reader)) == 1
        saved.mark_seen(reader, viewer=viewer_for(reader))
        assert (saved.news_count(reader, viewer=viewer_for(reader)), mail.outbox) == (0, [])


class TestWhen:
    @pytest.mark.parametrize(("rhythm", "told_on"), [("day", 1), ("week", 7)])
    def test_each_in_its_rhythm(
        self, corpus: dict[str, Document], reader: User, library: Department, rhythm: str, told_on: int
    ) -> None:
        watch(reader, rhythm=rhythm)
        alerts.run(day(0))
        new_book(library)
        assert [alerts.run(day(number)) for number in range(1, 8)].index(1) + 1 == told_on

    def test_nothing_is_asked_before_six_in_the_morning(self, corpus: dict[str, Document], reader: User) -> None:
        watch(reader)
        alerts.run(MONDAY.replace(hour=5))
        assert SavedSearch.objects.get().checked_on is None

    def test_a_person_who_is_gone_gets_none(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        watch(reader)
        alerts.run(day(0))
        new_book(library)
        User.objects.filter(pk=reader.pk).update(is_active=False)
        assert alerts.run(day(1)) == 0
        assert not FoundDocument.objects.filter(told=True).exists()

    def test_when_meaning_is_away_nothing_is_asked_and_nothing_missed(
        self, corpus: dict[str, Document], reader: User, library: Department, settings: Settings
    ) -> None:
        watch(reader)
        alerts.run(day(0))
        new_book(library)
        with pytest.MonkeyPatch.context() as patch:

            def away(*_: object, **__: object) -> None:
                raise EmbeddingUnavailable("away")

            patch.setattr(service, "query_vector", away)
            assert alerts.run(day(1)) == 0
        assert alerts.run(day(1)) == 1

    def test_a_check_is_no_search_of_the_person(self, corpus: dict[str, Document], reader: User) -> None:
        watch(reader)
        alerts.run(day(0))
        assert not SearchEvent.objects.filter(user=reader).exists()


class TestMail:
    def due(self, reader: User, library: Department, *titles: str) -> None:
        watch(reader)
        alerts.run(day(0))
        for title in titles or ("Borrowing books in summer",):
            new_book(library, title)
        alerts.check_all(reader, day(1).date())

    def test_several_searches_make_one_mail(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        watch(reader, "summer books")
        self.due(reader, library)
        assert alerts.run(day(1)) == 1
        assert mail.outbox[0].body.count("Borrowing books in summer") == 1
        assert "summer books" in mail.outbox[0].body
        assert "borrow books" in mail.outbox[0].body

    def test_it_holds_titles_and_no_text(self, corpus: dict[str, Document], reader: User, library: Department) -> None:
        self.due(reader, library)
        alerts.run(day(1))
        assert "forty books" not in mail.outbox[0].body

    def test_a_worker_that_dies_while_sending_sends_nothing_twice(
        self, corpus: dict[str, Document], reader: User, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.due(reader, library)
        sent: list[EmailMessage] = []

        def die(message: EmailMessage, **_: object) -> int:
            sent.append(message)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(EmailMessage, "send", die)
            with pytest.raises(KeyboardInterrupt):
                alerts.run(day(1))
        assert len(sent) == 1
        assert alerts.run(day(1)) == 0
        assert news(reader) == ["Borrowing books in summer"]

    def test_what_is_wrong_with_one_persons_keeps_nobody_else_from_being_told(
        self, corpus: dict[str, Document], reader: User, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = person("later", "staff", library)
        User.objects.filter(pk=later.pk).update(email="later@example.ac.uk")
        watch(reader)
        watch(later)
        alerts.run(day(0))
        new_book(library)
        usual = alerts.check_all

        def check_all(who: User, today: date) -> None:
            if who == reader:
                raise ValueError("a row that nobody can read")
            usual(who, today)

        monkeypatch.setattr(alerts, "check_all", check_all)
        assert alerts.run(day(1)) == 1
        assert [one.to for one in mail.outbox] == [["later@example.ac.uk"]]

    def test_what_the_mail_server_refuses_is_tried_again(
        self, corpus: dict[str, Document], reader: User, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.due(reader, library)

        def refuse(*_: object, **__: object) -> int:
            raise SMTPRecipientsRefused({})

        with monkeypatch.context() as patch:
            patch.setattr(EmailMessage, "send", refuse)
            assert alerts.run(day(1)) == 0
        assert alerts.run(day(1)) == 1

    def test_nothing_that_anybody_wrote_becomes_a_header_or_a_line_of_its_own(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        self.due(reader, library, "Books\r\nBcc: all@example.org\n\nDear all")
        SavedSearch.objects.update(name="books\nBcc: all@example.org")
        alerts.run(day(1))
        message = mail.outbox[0].message()
        assert message["Bcc"] is None
        assert not re.search(r"^(?:Bcc|Dear all)", mail.outbox[0].body, re.MULTILINE)
        assert "- Books Bcc: all@example.org Dear all" in mail.outbox[0].body

    @pytest.mark.parametrize("address", ["", "reader@example.ac.uk\nBcc: all@example.org", "no address"])
    def test_what_is_no_address_gets_none(
        self, corpus: dict[str, Document], reader: User, library: Department, address: str
    ) -> None:
        self.due(reader, library)
        User.objects.filter(pk=reader.pk).update(email=address)
        assert alerts.run(day(1)) == 0

    def test_without_a_mail_server_it_stands_here_alone(
        self, corpus: dict[str, Document], reader: User, library: Department, settings: Settings
    ) -> None:
        settings.SENDS_MAIL = False
        self.due(reader, library)
        assert alerts.run(day(1)) == 0
        assert news(reader) == ["Borrowing books in summer"]

    def test_the_sending_is_noted(self, corpus: dict[str, Document], reader: User, library: Department) -> None:
        self.due(reader, library)
        alerts.run(day(1))
        act = AuditEvent.objects.get(action="alert_mailed")
        assert (act.subject, act.details) == ("reader", {"documents": 1})


class TestUnsubscribing:
    def address(self, reader: User) -> str:
        return f"/mine/unsubscribe/{alerts.unsubscribing(reader)}/"

    def test_the_mail_says_how_in_its_headers_and_in_its_text(
        self, corpus: dict[str, Document], reader: User, library: Department
    ) -> None:
        TestMail().due(reader, library)
        alerts.run(day(1))
        message = mail.outbox[0]
        given = re.fullmatch(
            r"<https://search\.example\.ac\.uk(/mine/unsubscribe/\S+/)>", message.extra_headers["List-Unsubscribe"]
        )
        assert given
        assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert given[1] in message.body
        answer = Client(enforce_csrf_checks=True).post(given[1], {"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert SavedSearch.objects.get().alert == "site"

    def test_looking_at_the_link_ends_nothing(self, corpus: dict[str, Document], reader: User) -> None:
        watch(reader)
        assert Client().get(self.address(reader)).status_code == 200
        assert SavedSearch.objects.get().alert == "mail"

    def test_nobody_makes_a_link_for_somebody_else(self, corpus: dict[str, Document], reader: User) -> None:
        watch(reader)
        token = alerts.unsubscribing(person("other", "student"))
        other = alerts.unsubscribing(reader).partition(":")[0] + ":" + token.partition(":")[2]
        assert Client().post(f"/mine/unsubscribe/{other}/").status_code == 400
        assert SavedSearch.objects.get().alert == "mail"


@pytest.mark.django_db(transaction=True)
def test_what_another_worker_is_claiming_is_not_sent_as_well(
    corpus: dict[str, Document], reader: User, library: Department
) -> None:
    TestMail().due(reader, library)

    def work() -> bool:
        try:
            return alerts.mail(reader, day(1))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as worker, transaction.atomic():
        # As another worker does until its claim is written.
        assert len(FoundDocument.objects.filter(told=True).select_for_update()) == 1
        assert not worker.submit(work).result(timeout=20)
    assert mail.outbox == []
    assert alerts.mail(reader, day(1))
