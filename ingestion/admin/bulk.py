"""Changing several documents at once: the form, the preview, the list of such changes, and undoing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.arrival import viewer_of
from accounts.models import User
from ingestion import bulk
from ingestion.admin.acts import DocumentActs
from ingestion.audience import Difference
from ingestion.bulk_form import BulkForm, asked_in_words
from ingestion.metadata import LABELS, Names, Values
from ingestion.models import BulkChange, Document

SHOWN = 20
"""Documents shown with what changes on them; the others are counted."""
NAMED = 5
"""Documents named for each reason why some are left as they are."""
CHANGES_SHOWN = 100

CHOSEN, STEP, TOKEN, CAME_FROM = "documents", "step", "token", "came_from"  # nosec B105  # names of form fields
BACK, PREVIEW, CONFIRM = "back", "preview", "confirm"
"""The steps of the form: it is shown again, shown what it would do, or done."""


@dataclass(frozen=True)
class Line:
    """A document with what changes on it, in words."""

    document: Document
    differences: list[Difference]


@dataclass(frozen=True)
class Group:
    """Documents that are left as they are for one reason: the first of them by name."""

    reason: str
    named: list[Document]
    number: int


def lines_of(changes: list[tuple[Document, Values, Values]], names: Names) -> list[Line]:
    """The first of these changes (document, before, after), by the documents' names."""
    first = sorted(changes, key=lambda change: str(change[0]).lower())[:SHOWN]
    return [
        Line(
            document,
            [
                Difference(LABELS[name], names.in_words(name, before[name]), names.in_words(name, after[name]))
                for name in LABELS
                if name in after
            ],
        )
        for document, before, after in first
    ]


def described(plan: bulk.Plan) -> dict[str, Any]:
    """What a template needs to show a plan."""
    return {
        "plan": plan,
        "number": len(plan.changes),
        "lines": lines_of([(one.document, one.before, one.after) for one in plan.changes], Names()),
        "left_out": [Group(reason, those[:NAMED], len(those)) for reason, those in plan.reasons],
    }


class BulkPages(DocumentActs):
    """The pages on which several documents are changed at once."""

    actions: tuple[str, ...] = ("change_several", "mark_reviewed", *DocumentActs.actions)

    def get_urls(self) -> list[URLPattern]:
        """The pages, before the addresses that take anything for a document's id."""
        view = self.admin_site.admin_view
        return [
            path("several/", view(self.several_view), name="ingestion_document_several"),
            path("changes/", view(self.changes_view), name="ingestion_document_changes"),
            path("changes/<uuid:change_id>/", view(self.one_change_view), name="ingestion_document_one_change"),
            path("<uuid:object_id>/reviewed/", view(self.reviewed_view), name="ingestion_document_reviewed"),
            *super().get_urls(),
        ]

    # --- Changing --------------------------------------------------------------------------------------------------

    @admin.action(description="Change several …", permissions=["change"])
    def change_several(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """The form for what shall become different on these."""
        ids = list(documents.order_by("pk").values_list("pk", flat=True))
        if self.too_many(request, len(ids)):
            return None
        return self._form_page(request, BulkForm(viewer=viewer_of(request)), ids, back=request.get_full_path())

    def several_view(self, request: HttpRequest) -> HttpResponse:
        """The form again, what it would do, or its doing once that is confirmed."""
        if not self.has_change_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.method != "POST":
            return HttpResponseRedirect(self._list())
        ids, back = _ids(request.POST.get(CHOSEN, "")), self._came_from(request)
        form, step = BulkForm(request.POST, viewer=viewer_of(request)), request.POST.get(STEP)
        if self.too_many(request, len(ids)):
            return HttpResponseRedirect(back)
        if not form.is_valid() or step == BACK:
            return self._form_page(request, form, ids, back=back)
        asked, viewer = form.asked(), viewer_of(request)
        with transaction.atomic():
            plan = bulk.plan_change(viewer, self.held(request, ids), asked)
            if step == CONFIRM and plan.changes and request.POST.get(TOKEN) == plan.token:
                actor = cast(User, request.user)
                change = bulk.carry_out(plan, asked, viewer=viewer, actor=actor, request=request)
                self._say_done(request, plan, change)
                return HttpResponseRedirect(back)
        sent = [(name, value) for name in form.fields for value in request.POST.getlist(name) if value]
        context = {
            "title": "Change several documents",
            "asked": asked_in_words(asked, Names()),
            "chosen": " ".join(map(str, ids)),
            "sent": sent,
            "stale": step == CONFIRM,
            "back": back,
            **described(plan),
        }
        return self._page(request, "admin/ingestion/document/several_preview.html", context)

    def _form_page(self, request: HttpRequest, form: BulkForm, ids: list[UUID], *, back: str) -> HttpResponse:
        number = self.get_queryset(request).filter(pk__in=ids).count()
        context = {
            "title": "Change several documents",
            "form": form,
            "number": number,
            "chosen": " ".join(map(str, ids)),
            "back": back,
        }
        return self._page(request, "admin/ingestion/document/several_form.html", context)

    def _came_from(self, request: HttpRequest) -> str:
        """The list as the person had narrowed it down."""
        said = request.POST.get(CAME_FROM, "")
        return said if said.startswith(f"{self._list()}?") else self._list()

    @admin.action(description="Reviewed today", permissions=["change"])
    def mark_reviewed(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Note that somebody found these to be right today."""
        ids = list(documents.order_by("pk").values_list("pk", flat=True))
        if not self.too_many(request, len(ids)):
            self._mark_reviewed(request, ids)
        return None

    def reviewed_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The button of a document's page that says so of this one."""
        if self.get_object(request, str(object_id)) is None:
            return self.unknown(request, str(object_id))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._mark_reviewed(request, [object_id])
        return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))

    def _mark_reviewed(self, request: HttpRequest, ids: list[UUID]) -> None:
        viewer, asked = viewer_of(request), bulk.reviewed_on(timezone.localdate())
        with transaction.atomic():
            plan = bulk.plan_change(viewer, self.held(request, ids), asked)
            if plan.changes:
                change = bulk.carry_out(plan, asked, viewer=viewer, actor=cast(User, request.user), request=request)
                self._say_done(request, plan, change, "noted as reviewed today")
                return
        why = plan.left_out[0].reason if plan.left_out else "It was noted as reviewed today already."
        self.message_user(request, f"Nothing was changed. {why}", messages.WARNING)

    def _say_done(self, request: HttpRequest, plan: bulk.Plan, change: BulkChange, what: str = "changed") -> None:
        address = reverse("admin:ingestion_document_one_change", args=[change.pk])
        self.message_user(request, _done(plan, what, address), messages.SUCCESS)

    # --- Undoing ---------------------------------------------------------------------------------------------------

    def changes_view(self, request: HttpRequest) -> HttpResponse:
        """The changes of several documents that the person made; for administrators everybody's."""
        if not self.has_change_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        names = Names()
        # Of documents that this person does not manage any more no number speaks, as of deleted ones.
        managed = Document.objects.manageable_by(viewer_of(request)).order_by()
        number = Count("changed", filter=Q(changed__document__in=managed.values("pk")))
        made = self._changes(request).select_related("actor", "undone_by").annotate(number=number)
        context = {
            "title": "Changes of several documents",
            "changes": [
                (change, asked_in_words(change.asked, names), bulk.may_be_undone(change))
                for change in made[:CHANGES_SHOWN]
            ],
            "days": bulk.UNDONE_FOR.days,
            "of_all": viewer_of(request).every_department,
        }
        return self._page(request, "admin/ingestion/document/changes.html", context)

    def one_change_view(self, request: HttpRequest, change_id: UUID) -> HttpResponse:
        """What a change did, and what undoing it would do; or its undoing, once that is confirmed. 404 for others'."""
        if not self.has_change_permission(request):
            raise Http404
        viewer, asks = viewer_of(request), request.method == "POST"
        with transaction.atomic():
            changes = self._changes(request).select_for_update(of=("self",)).filter(pk=change_id)
            change = changes.prefetch_related("changed").first()
            if change is None:
                raise Http404
            done = {one.document_id: one for one in change.changed.all()}
            managed = self.held(request, done)
            plan = bulk.plan_undoing(viewer, change, managed)
            open_ = bulk.may_be_undone(change)
            if asks and open_ and plan.changes and request.POST.get(TOKEN) == plan.token:
                bulk.undo(plan, change, viewer=viewer, actor=cast(User, request.user), request=request)
                self.message_user(request, _done(plan, "put back as before"), messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:ingestion_document_changes"))
        names = Names()
        then = [(one, done[one.pk].before, done[one.pk].after) for one in managed]
        context = {
            "title": "Change of several documents",
            "change": change,
            "asked": asked_in_words(change.asked, names),
            "total": len(managed),
            "then": lines_of(then, names),
            "undoable": open_ and bool(plan.changes),
            "stale": asks,
            "days": bulk.UNDONE_FOR.days,
            "back": reverse("admin:ingestion_document_changes"),
            **described(plan),
        }
        return self._page(request, "admin/ingestion/document/one_change.html", context)

    @staticmethod
    def _changes(request: HttpRequest) -> QuerySet[BulkChange]:
        """Those that this person may look at."""
        changes = BulkChange.objects.order_by("-made_at", "pk")
        return changes if viewer_of(request).every_department else changes.filter(actor=cast(User, request.user))

    @staticmethod
    def _list() -> str:
        return reverse("admin:ingestion_document_changelist")


def _ids(text: str) -> list[UUID]:
    """The ids of a hidden field, each once, as they stand there. What is none is left out, like an unknown document."""
    found: dict[UUID, None] = {}
    for word in text.split():
        try:
            found[UUID(word)] = None
        except ValueError:
            continue
    return list(found)


def _done(plan: bulk.Plan, what: str, undo: str = "") -> SafeString | str:
    """What is said once it is done: how many documents, how many not and why, and where it is undone."""
    number, left = len(plan.changes), sum(len(those) for _, those in plan.reasons)
    said = f"{number} document{'' if number == 1 else 's'} {what}."
    if left:
        why = " ".join(reason for reason, _ in plan.reasons)
        said += f" {left} left as {'it is' if left == 1 else 'they are'}: {why}"
    return format_html('{} <a class="undo" href="{}">Undo</a>', said, undo) if undo else said
