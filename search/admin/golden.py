"""Golden queries in the admin site: what is asked, how the runs went, and a button for one now."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from kombu.exceptions import OperationalError as BrokerAway
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from accounts.admin import OfferedFiltersOnly, PlainChoices
from accounts.arrival import viewer_of
from accounts.audit import note
from accounts.models import User
from ingestion.models import Document
from search import golden, goldenruns, tasks
from search.chart import chart
from search.models import GoldenQuery, GoldenRun
from search.query import InvalidQuery, QueryField, parse_query

NOT_FOUND = "not found"


class GoldenQueryForm(forms.ModelForm):
    """A golden query. What can be chosen is what the person may see and manage themselves."""

    query = QueryField(
        help_text="As somebody would type it, filters such as dept:Library included.", widget=UnfoldAdminTextInputWidget
    )

    class Meta:
        model = GoldenQuery
        fields = ("query", "mode", "role", "departments", "expected", "is_active")
        widgets = {"departments": UnfoldAdminCheckboxSelectMultipleWidget()}
        help_texts = {
            "departments": "To which of your departments that person belongs.",
            "expected": "The documents that answer it, all that should stand on the first page.",
            "role": "Only kinds of people who see no more than you do.",
        }

    def clean_query(self) -> str:
        """The query as it was typed. Raises ValidationError where the search page would refuse it."""
        typed: str = self.cleaned_data["query"]
        try:
            parse_query({"q": typed})
        except InvalidQuery as error:
            raise ValidationError([said for errors in error.errors.values() for said in errors]) from None
        return typed


def _as_noted(one: GoldenQuery) -> dict[str, Any]:
    """A golden query, for the trail of acts."""
    return {
        "query": one.query,
        "mode": one.mode,
        "asked_by": one.role,
        "departments": sorted(one.departments.values_list("name", flat=True)),
        "expected": sorted(str(pk) for pk in one.expected.values_list("pk", flat=True)),  # access: the trail's own
        "active": one.is_active,
    }


@admin.register(GoldenQuery)
class GoldenQueryAdmin(OfferedFiltersOnly, PlainChoices):
    """The golden queries that a person may see; the permissions follow from that they curate."""

    form = GoldenQueryForm
    list_display = ("query", "mode", "asked_by", "is_active", "last_rank")
    list_filter = ("is_active", "mode")
    search_fields = ("query",)
    autocomplete_fields = ("expected",)
    actions = None
    change_form_template = "admin/search/goldenquery/change_form.html"
    change_list_template = "admin/search/goldenquery/change_list.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever curates."""
        return viewer_of(request).curates

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever curates; which ones, `get_queryset` says."""
        return viewer_of(request).curates

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[GoldenQuery]:
        """Those that this person may see, with the rank in the last run."""
        newest = (
            goldenruns.results_for(viewer_of(request))
            .filter(golden=OuterRef("pk"))
            .order_by("-run__started_at", "-run_id")
        )
        known = golden.golden_queries(viewer_of(request)).prefetch_related("departments")
        return known.order_by("query", "pk").annotate(
            newest=Subquery(newest.values("run")[:1]), newest_rank=Subquery(newest.values("rank")[:1])
        )

    @admin.display(description="Asked by")
    def asked_by(self, one: GoldenQuery) -> str:
        """As whom, in words."""
        return golden.described(one)

    @admin.display(description="Rank in the last run")
    def last_rank(self, one: Any) -> str:
        """Where the first right document stands."""
        if one.newest is None:
            return "not asked yet"
        return str(one.newest_rank or NOT_FOUND)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[forms.ModelForm]:
        """The form, with what this person may choose."""
        form = super().get_form(request, *args, **kwargs)
        viewer = viewer_of(request)
        fields = form.base_fields
        expected, departments = (cast(Any, fields[name]) for name in ("expected", "departments"))
        expected.queryset = Document.objects.manageable_by(viewer)
        departments.queryset = golden.departments_for(viewer).order_by("name")
        roles = set(golden.roles_for(viewer))
        role = cast(forms.ChoiceField, fields["role"])
        role.choices = [(value, label) for value, label in cast(Any, role.choices) if value in roles]
        return cast(type[forms.ModelForm], form)

    # --- Changing ------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: GoldenQuery, form: Any, change: bool) -> None:
        """Django's own; remembers what was before."""
        form.before = _as_noted(GoldenQuery.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Django's own; then notes what was done, and whether those who are asked as can see what is expected."""
        super().save_related(request, form, formsets, change)
        one = form.instance
        golden.settle(one)
        after = _as_noted(one)
        if after != form.before:
            note("golden_query_changed", actor=request.user, subject=one.query, request=request,
                 before=form.before, after=after)  # fmt: skip
        expected = Document.objects.manageable_by(viewer_of(request)).filter(pk__in=after["expected"])
        seen = Document.objects.visible_to(golden.asked_as(one)).filter(pk__in=after["expected"]).values("pk")
        if hidden := list(expected.exclude(pk__in=seen)):
            names = "; ".join(str(document) for document in hidden)
            said = f"{golden.described(one).capitalize()} cannot see this now, and so will not find it: {names}"
            self.message_user(request, said, messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: GoldenQuery) -> None:
        """Django's own, noted."""
        before = _as_noted(obj)
        super().delete_model(request, obj)
        note("golden_query_changed", actor=request.user, subject=before["query"], request=request,
             before=before, after=None)  # fmt: skip

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The queries alone: their results go with them."""
        names = [str(one) for one in objs]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), []

    # --- Runs ----------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Before the addresses that take anything for a query's id."""
        view = self.admin_site.admin_view
        return [
            path("runs/", view(self.runs_view), name="search_goldenquery_runs"),
            path("runs/begin/", view(self.begin_view), name="search_goldenquery_begin"),
            *super().get_urls(),
        ]

    def runs_view(self, request: HttpRequest) -> HttpResponse:
        """The history of the runs, and what the last one changed. While one is on its way the page asks for itself."""
        viewer = viewer_of(request)
        history = goldenruns.history(viewer)
        running = golden.unfinished()
        known = golden.golden_queries(viewer).order_by()
        asked = known.filter(pk__in=golden.to_ask().order_by().values("pk"))
        last = GoldenRun.objects.filter(finished_at__isnull=False).first()
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Quality of the search",
            "page_title": "Quality of the search",
            "history": history[::-1],
            "chart": chart([(f"{one.run.started_at:%-d %B %Y}", one.ndcg) for one in history]),
            "changes": goldenruns.changes(viewer),
            "golden_fall": goldenruns.fall_for(viewer),
            "running": running,
            "done": known.filter(results__run=running).count() if running else 0,
            "queries": asked.count(),
            "failure": last.failure if last else "",
        }
        part = bool(request.headers.get("HX-Request"))
        template = "admin/search/goldenquery/runs_part.html" if part else "admin/search/goldenquery/runs.html"
        return TemplateResponse(request, template, context)

    def begin_view(self, request: HttpRequest) -> HttpResponse:
        """Begin a run now."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run, new = golden.begin(cast(User, request.user))
        if new:
            self._queue(request, run)
        else:
            self.message_user(request, "A run is on its way already.", messages.INFO)
        return HttpResponseRedirect(reverse("admin:search_goldenquery_runs"))

    def _queue(self, request: HttpRequest, run: GoldenRun) -> None:
        """Hand the run to a worker; where the queue is away, there is none."""
        try:
            tasks.ask_golden_queries.delay(run.pk)
        except BrokerAway:
            run.delete()
            self.message_user(request, "The queue cannot be reached just now. Try again soon.", messages.ERROR)
