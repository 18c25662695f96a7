"""What people may say of themselves, and what the portal says to them of what they see."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.conf.locale import LANG_INFO
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import get_text_list
from django.utils.translation import get_language_info, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.arrival import viewer_of
from accounts.clearance import ROLE_CLEARANCE, Clearance, Viewer
from accounts.models import Campus, Department, User
from accounts.ownpages import own_page

LEVELS = {
    Clearance.PUBLIC: gettext_lazy("public"),
    Clearance.MEMBERS: gettext_lazy("students and staff"),
    Clearance.STAFF: gettext_lazy("staff"),
    Clearance.RESTRICTED: gettext_lazy("restricted"),
}
"""The levels of documents, as people are told of them."""


def access_in_words(viewer: Viewer) -> list[str]:
    """What this viewer sees, and why, a sentence each."""
    own = list(Department.objects.filter(pk__in=viewer.departments).order_by("name").values_list("name", flat=True))
    level = viewer.effective_clearance
    if not level:
        return [_("You see no documents: the portal is not open to you yet.")]
    said = {"level": level, "name": LEVELS[Clearance(level)], "departments": get_text_list(own, _("and"))}
    if viewer.every_department:
        sentences = [_("You see documents up to level %(level)d (%(name)s), of every department.") % said]
    elif own:
        sentences = [
            _(
                "You see documents up to level %(level)d (%(name)s): those for the whole university, and those for "
                "%(departments)s."
            )
            % said
        ]
    else:
        sentences = [
            _(
                "You see documents up to level %(level)d (%(name)s) that are for the whole university. You belong to "
                "no department."
            )
            % said
        ]
    if level < ROLE_CLEARANCE[viewer.role]:
        sentences.append(
            _("Your role reaches level %(level)d, but levels 3 and 4 need a department.")
            % {"level": ROLE_CLEARANCE[viewer.role]}
        )
    if viewer.curates and not viewer.every_department:
        curated = Department.objects.filter(pk__in=viewer.curated).order_by("name").values_list("name", flat=True)
        sentences.append(
            _("You may upload and edit documents of %(departments)s.")
            % {"departments": get_text_list(list(curated), _("and"))}
            if curated
            else _("You may edit the documents that you own.")
        )
    if viewer.phase:
        sentences.append(_("You are let in by the phase “%(phase)s” of the roll-out.") % {"phase": viewer.phase})
    return sentences


def readable_languages() -> list[tuple[str, str]]:
    """The languages that somebody may choose (ISO 639-1), each by its own name and in the page's language."""
    plain = [get_language_info(code) for code, info in LANG_INFO.items() if len(code) == 2 and "name" in info]
    named = [(info["code"], f"{info['name_local']} – {info['name_translated']}") for info in plain]
    named += [("zh", f"中文 – {_('Chinese')}"), ("no", f"norsk – {_('Norwegian')}")]
    # Those of the institution first: they are what most people look for.
    own = settings.SEARCH_LANGUAGES
    return sorted(dict(named).items(), key=lambda one: (one[0] not in own, one[1].casefold()))


class ProfileForm(forms.Form):
    """What a person prefers. It orders what they find and hides nothing."""

    campus = forms.ModelChoiceField(Campus.objects.all(), required=False)
    languages = forms.MultipleChoiceField(required=False)
    keeps_history = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.MultipleChoiceField, self.fields["languages"]).choices = readable_languages()


@own_page
@require_http_methods(["GET", "POST"])
def profile_page(request: HttpRequest) -> HttpResponse:
    """What I see and why, and what I prefer."""
    user = cast(User, request.user)
    given = {"campus": user.preferred_campus_id, "languages": user.languages, "keeps_history": user.keeps_history}
    form = ProfileForm(request.POST if request.method == "POST" else None, initial=given)
    if request.method == "POST" and form.is_valid():
        user.preferred_campus = form.cleaned_data["campus"]
        user.languages = sorted(form.cleaned_data["languages"])
        user.keeps_history = form.cleaned_data["keeps_history"]
        user.save(update_fields=["preferred_campus", "languages", "keeps_history"])
        messages.success(request, _("Your preferences are saved."))
        return redirect("profile")
    context = {
        "viewer": viewer_of(request),
        "access": access_in_words(viewer_of(request)),
        "form": form,
        "chosen_campus": form["campus"].value(),
        "chosen_languages": form["languages"].value() or [],
        "keeps_history": form["keeps_history"].value(),
        "here": "profile",
    }
    return render(request, "accounts/profile.html", context, status=400 if form.errors else 200)
