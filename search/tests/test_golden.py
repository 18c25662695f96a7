"""Golden queries: what a run measures, what it says when the search finds less, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.clearance import LIBRARIANS, viewer_for
from accounts.models import AuditEvent, Department, User
from ingestion.models import Document
from search import golden, goldenalert, goldenruns, tasks
from search.models import GoldenQuery, GoldenResult, GoldenRun, SearchEvent
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db


def ask_for(text: str, *expected: Document, **more: Any) -> GoldenQuery:
    made = GoldenQuery.objects.create(query=text, **{"role": "student", "mode": "keyword"} | more)
    made.expected.set(expected)
    golden.settle(made)
    return made


def asked(days_ago: int = 0) -> GoldenRun:
    """A finished run of so many days ago."""
    run, new = golden.begin()
    assert new
    assert golden.run(run.pk) is not None
    GoldenRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(days=days_ago))
    return run


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("admin", role="admin", email="admin@example.org")


@pytest.fixture
def librarian(library: Department) -> User:
    made = User.objects.create_user("librarian", role="staff", email="librarian@example.org")
    made.departments.add(library)
    made.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
    return made


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_run_measures_every_query_over_the_first_ten_hits(corpus: dict[str, Document], admin: User) -> None:
    right = ask_for("travel expenses receipt", corpus["travel"], mode="hybrid")
    half = ask_for("library fines book late", corpus["fines"], corpus["parking"])
    wrong = ask_for("parking permit", corpus["pret"])
    ask_for("not in use", corpus["loans"], is_active=False)
    run = asked()
    found = {one.golden: one for one in GoldenResult.objects.filter(run=run)}
    assert found.keys() == {right, half, wrong}
    assert (found[right].rank, found[right].ndcg, found[right].recall) == (1, 1.0, 1.0)
    assert (found[half].rank, found[half].recall) == (1, 0.5)
    assert found[half].ndcg == pytest.approx(1 / (1 + 1 / 1.58496), abs=1e-4)
    assert (found[wrong].rank, found[wrong].ndcg, found[wrong].reciprocal_rank) == (None, 0.0, 0.0)
    measured = goldenruns.history(viewer_for(admin))
    assert [(one.run, one.queries) for one in measured] == [(run, 3)]
    assert measured[0].mrr == pytest.approx(2 / 3)
    assert not SearchEvent.objects.exists(), "nobody asked"


def test_it_is_asked_as_the_person_named_and_finds_what_they_see(
    corpus: dict[str, Document], library: Department, admin: User
) -> None:
    filtered = ask_for("library fines dept:Finance", corpus["fines"])
    secret = serve("Weeding", "Weeding of periodicals.", department=library, clearance=3, audience="department")
    as_student = ask_for("weeding periodicals", secret)
    as_staff = ask_for("weeding periodicals", secret, role="staff")
    as_staff.departments.add(library)
    golden.settle(as_staff)
    run = asked()
    assert GoldenResult.objects.get(run=run, golden=filtered).rank is None
    assert GoldenResult.objects.get(run=run, golden=as_student).rank is None
    assert GoldenResult.objects.get(run=run, golden=as_staff).rank == 1


def test_a_run_that_was_broken_off_goes_on_and_is_not_doubled(corpus: dict[str, Document]) -> None:
    first, second = ask_for("travel expenses", corpus["travel"]), ask_for("library fines", corpus["fines"])
    run, _ = golden.begin()
    assert golden.begin() == (run, False), "one at a time"
    GoldenResult.objects.create(run=run, golden=first, fingerprint="x", ndcg=0.25, reciprocal_rank=0, recall=0)
    golden.run(run.pk)
    assert GoldenResult.objects.get(run=run, golden=first).ndcg == 0.25, "asked before"
    assert GoldenResult.objects.get(run=run, golden=second).rank == 1
    assert golden.run(run.pk) is None, "it is finished"
    run, _ = golden.begin()
    GoldenRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - golden.GIVEN_UP_AFTER)
    assert golden.begin()[1], "a lost run is in nobody's way"


def test_without_meaning_nothing_is_measured_and_nothing_falls(
    corpus: dict[str, Document], admin: User, settings: Any
) -> None:
    ask_for("travel expenses", corpus["travel"], mode="semantic")
    asked(days_ago=1)
    settings.OLLAMA_URLS = ["http://127.0.0.1:9"]
    ask_for("how do i claim a journey back", corpus["travel"], mode="semantic")
    run, _ = golden.begin()
    tasks.ask_golden_queries(run.pk)
    run.refresh_from_db()
    assert "embedding" in run.failure
    assert not run.results.exists()
    assert goldenruns.fall_for(viewer_for(admin)) is None
    page = signed_in(admin).get(reverse("admin:search_goldenquery_runs"))
    assert run.failure in page.content.decode()


def test_a_fall_is_told_once_by_mail_and_stays_on_the_home_page(
    corpus: dict[str, Document], admin: User, librarian: User, settings: Any
) -> None:
    settings.SENDS_MAIL, settings.PUBLIC_URL = True, "https://search.example.org"
    ask_for("travel expenses receipt", corpus["travel"])
    ask_for("library fines", corpus["fines"])
    asked(days_ago=2)
    assert goldenalert.warn() == 0
    Document.objects.filter(pk=corpus["travel"].pk).update(is_searchable=False)
    run, _ = golden.begin()
    # The librarian manages the Library's documents, and what fell is Finance's.
    assert tasks.ask_golden_queries(run.pk) == 1
    (message,) = mail.outbox
    assert message.to == ["admin@example.org"]
    assert "travel expenses receipt: 1 -> not among the first ten" in message.body
    assert "https://search.example.org/admin/search/goldenquery/runs/" in message.body
    fall = goldenruns.fall_for(viewer_for(admin))
    assert fall is not None
    assert (fall.before, fall.now, fall.queries) == (1.0, 0.5, 2)
    home = reverse("admin:index")
    assert 'id="golden-fall"' in signed_in(admin).get(home).content.decode()
    assert 'id="golden-fall"' not in signed_in(librarian).get(home).content.decode()
    asked()
    assert goldenruns.fall_for(viewer_for(admin)) is not None, "still below the best of the week"
    assert goldenalert.warn() == 0, "it was told"
    settings.GOLDEN_FALL = 0.6
    assert goldenruns.fall_for(viewer_for(admin)) is None


def test_what_was_changed_or_is_new_is_no_fall(corpus: dict[str, Document], admin: User) -> None:
    first = ask_for("travel expenses receipt", corpus["travel"])
    asked(days_ago=1)
    ask_for("parking permit", corpus["pret"])
    asked()
    assert goldenruns.fall_for(viewer_for(admin)) is None
    first.query = "something else entirely"
    golden.settle(first)
    first.save()
    asked()
    assert goldenruns.fall_for(viewer_for(admin)) is None


def test_nobody_is_told_of_queries_about_what_they_do_not_manage(
    corpus: dict[str, Document], library: Department, finance: Department, librarian: User
) -> None:
    mine = ask_for("library fines", corpus["fines"])
    about_theirs = ask_for("unmistakable travel expenses", corpus["travel"])
    about_both = ask_for("unmistakable library travel", corpus["fines"], corpus["travel"])
    as_admin = ask_for("unmistakable administrators", corpus["fines"], role="admin")
    in_finance = ask_for("unmistakable finance", corpus["fines"], role="staff")
    in_finance.departments.add(finance)
    emptied = ask_for("unmistakable emptied")
    asked(days_ago=1)
    viewer, client = viewer_for(librarian), signed_in(librarian)
    assert list(golden.golden_queries(viewer)) == [mine]
    assert goldenruns.history(viewer)[0].queries == 1
    for name in ("runs", "changelist"):
        page = client.get(reverse(f"admin:search_goldenquery_{name}"))
        assert page.status_code == 200
        assert "unmistakable" not in page.content.decode()
    for hidden in (about_theirs, about_both, as_admin, in_finance, emptied):
        for page in ("change", "delete", "history"):
            answer = client.get(reverse(f"admin:search_goldenquery_{page}", args=[hidden.pk]), follow=True)
            assert "unmistakable" not in answer.content.decode()
    student = User.objects.create_user("student", role="student")
    assert not golden.golden_queries(viewer_for(student)).exists()
    assert signed_in(student).get(reverse("admin:search_goldenquery_runs")).status_code == 302


def test_a_librarian_chooses_only_what_they_manage_and_asks_as_nobody_above_them(
    corpus: dict[str, Document], library: Department, finance: Department, librarian: User
) -> None:
    client, add = signed_in(librarian), reverse("admin:search_goldenquery_add")
    right = {"query": " late   books ", "mode": "hybrid", "role": "student", "expected": [corpus["fines"].pk],
             "departments": [library.pk], "is_active": "on"}  # fmt: skip
    wrong: tuple[dict[str, Any], ...] = (
        {"expected": [corpus["travel"].pk]},
        {"expected": []},
        {"departments": [finance.pk]},
        {"role": "academic"},
        {"role": "admin"},
        {"query": "..."},
    )
    for change in wrong:
        assert client.post(add, right | change).status_code == 200
        assert not GoldenQuery.objects.exists(), change
    assert client.post(add, right).status_code == 302
    made = GoldenQuery.objects.get()
    assert (made.query, len(made.fingerprint)) == ("late books", 64)
    act = AuditEvent.objects.get(action="golden_query_changed")
    assert (act.actor, act.details["before"]) == (librarian, None)
    assert act.details["after"]["expected"] == [str(corpus["fines"].pk)]
    offered = client.get(
        reverse("admin:autocomplete"),
        {"app_label": "search", "model_name": "goldenquery", "field_name": "expected", "term": "travel"},
    )
    assert offered.json()["results"] == []
    change = reverse("admin:search_goldenquery_change", args=[made.pk])
    client.post(change, right | {"query": "other words", "role": "staff"})
    made.refresh_from_db()
    assert (made.query, made.role) == ("other words", "staff")
    assert AuditEvent.objects.filter(action="golden_query_changed").count() == 2
    client.post(reverse("admin:search_goldenquery_delete", args=[made.pk]), {"post": "yes"})
    assert not GoldenQuery.objects.exists()


def test_the_page_has_the_chart_its_figures_and_what_changed(corpus: dict[str, Document], admin: User) -> None:
    ask_for("<b>travel</b> expenses", corpus["travel"])
    ask_for("library fines", corpus["fines"])
    asked(days_ago=1)
    Document.objects.filter(pk=corpus["travel"].pk).update(is_searchable=False)
    asked()
    listed = signed_in(admin).get(reverse("admin:search_goldenquery_changelist")).content.decode()
    assert listed.count(">not found<") + listed.count("not found\n") == 1, "the rank in the last run, not in the first"
    page = signed_in(admin).get(reverse("admin:search_goldenquery_runs")).content.decode()
    assert page.count("<circle") == 2
    assert "<td>1.000</td>" in page
    assert "<td>0.500</td>" in page
    assert "&lt;b&gt;travel&lt;/b&gt; expenses" in page
    assert "not found" in page
    assert page.index(">fell<") > 0


def test_the_button_begins_a_run_and_the_page_watches_it(corpus: dict[str, Document], admin: User) -> None:
    ask_for("library fines", corpus["fines"])
    client, runs = signed_in(admin), reverse("admin:search_goldenquery_runs")
    begin = reverse("admin:search_goldenquery_begin")
    assert client.get(begin).status_code == 405
    assert client.post(begin, follow=True).redirect_chain == [(runs, 302)]
    run = GoldenRun.objects.get()
    assert run.started_by == admin
    part = client.get(runs, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in part
    assert "0 of 1 queries asked" in part
    assert "<html" not in part
    client.post(begin)
    assert GoldenRun.objects.count() == 1
    golden.run(run.pk)
    assert "every 2s" not in client.get(runs).content.decode()
    assert client.get("/metrics").content.decode().count("search_golden_ndcg 1.0") == 1


@pytest.fixture
def broker_away() -> Iterator[None]:
    """A broker that nothing listens at; the pool of connections to the real one is left, and taken up again."""
    current_app.conf.broker_write_url = "redis://127.0.0.1:9/0"
    current_app._after_fork()
    yield
    current_app.conf.broker_write_url = None
    current_app._after_fork()


def test_without_the_queue_no_run_is_begun(corpus: dict[str, Document], admin: User, broker_away: None) -> None:
    ask_for("library fines", corpus["fines"])
    page = signed_in(admin).post(reverse("admin:search_goldenquery_begin"), follow=True)
    assert "The queue cannot be reached" in page.content.decode()
    assert not GoldenRun.objects.exists()
