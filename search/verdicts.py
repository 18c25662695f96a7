"""Whether a hit helped: what people say of the answers to their own searches."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.arrival import arriving
from accounts.clearance import Viewer
from accounts.throttling import limited
from ingestion.models import Document
from search.models import Feedback, SearchEvent, Verdict


class VerdictForm(forms.Form):
    """What the buttons of a hit send. `back` is the query string of the search that it stands in."""

    search_id = forms.UUIDField()
    document_id = forms.UUIDField()
    verdict = forms.ChoiceField(choices=Verdict.choices)
    back = forms.CharField(required=False, max_length=5000)


def note_verdict(search_id: UUID, document_id: UUID, verdict: str, *, viewer: Viewer) -> None:
    """Note the verdict on a document that the viewer may see, as the answer to a search of their own; a later one
    replaces an earlier one. Raises Http404 where there is no such search or document."""
    search = get_object_or_404(SearchEvent, pk=search_id, user=viewer.user_id)
    document = get_object_or_404(Document.objects.visible_to(viewer), pk=document_id)
    Feedback.objects.update_or_create(
        search=search, document=document, defaults={"user_id": viewer.user_id, "verdict": verdict}
    )


@require_POST
@never_cache
@limited()
def verdict(request: HttpRequest) -> HttpResponse:
    """Note what the buttons of a hit say; without scripts it leads back to the answer."""
    viewer = arriving(request)
    form = VerdictForm(request.POST)
    if not form.is_valid() or viewer.user_id is None or viewer.seen_as:
        raise Http404
    said = form.cleaned_data
    note_verdict(said["search_id"], said["document_id"], said["verdict"], viewer=viewer)
    if request.headers.get("HX-Request"):
        return render(request, "search/verdict_noted.html")
    messages.info(request, _("Thank you. What you said helps to order the answers."))
    return redirect(f"{reverse('search')}?{said['back']}")
