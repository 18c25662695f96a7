"""The catalogues in which the readers' pages are translated are whole, and say nothing that the page does not."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, ngettext

from accounts.clearance import Audience, Clearance, Role

ROOT = Path(__file__).resolve().parents[1] / "locale"
TRANSLATED = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACEHOLDER, TAG = re.compile(r"%\(\w+\)[sd]"), re.compile(r"<[^>]*>|&\w+;")


def _catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(ROOT / language / "LC_MESSAGES" / "django.po"))


def _forms(message: polib.POEntry) -> list[str]:
    return list(message.msgstr_plural.values()) if message.msgid_plural else [message.msgstr]


@pytest.mark.parametrize("language", TRANSLATED)
class TestCatalogues:
    def test_is_complete_and_nothing_in_it_is_doubtful(self, language: str) -> None:
        catalogue = _catalogue(language)
        assert catalogue.untranslated_entries() == catalogue.fuzzy_entries() == catalogue.obsolete_entries() == []
        assert "fuzzy" not in catalogue.header

    def test_has_the_same_messages_as_the_others(self, language: str) -> None:
        ids = {(one.msgctxt, one.msgid, one.msgid_plural) for one in _catalogue(language)}
        assert ids == {(one.msgctxt, one.msgid, one.msgid_plural) for one in _catalogue(TRANSLATED[0])}

    def test_the_compiled_one_says_the_same(self, language: str) -> None:
        compiled = polib.mofile(str(ROOT / language / "LC_MESSAGES" / "django.mo"))
        said = {(one.msgctxt, one.msgid): _forms(one) for one in compiled}
        assert said == {(one.msgctxt, one.msgid): _forms(one) for one in _catalogue(language)}

    def test_placeholders_are_those_of_the_message(self, language: str) -> None:
        for one in _catalogue(language):
            wanted = set(PLACEHOLDER.findall(one.msgid_plural or one.msgid))
            forms = _forms(one)
            for form in forms:
                found = set(PLACEHOLDER.findall(form))
                # Only a form for one thing may leave the number out, as the English one does.
                spared = wanted - set(PLACEHOLDER.findall(one.msgid)) if form == forms[0] else set()
                assert wanted - spared <= found <= wanted, form
                assert PLACEHOLDER.sub("", form).count("%") == PLACEHOLDER.sub("", one.msgid).count("%"), form

    def test_no_markup_is_added_or_changed(self, language: str) -> None:
        for one in _catalogue(language):
            assert all(TAG.findall(form) == TAG.findall(one.msgid) for form in _forms(one)), one.msgid
            assert not any('"' in TAG.sub("", form) for form in _forms(one)), one.msgid

    def test_roles_and_levels_have_their_words(self, language: str) -> None:
        ids = {one.msgid for one in _catalogue(language)}
        labels = {str(label) for kind in (Role, Clearance, Audience) for label in kind.labels}
        assert labels - ids == set()


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("de", {1: "vor 1 Monat ", 2: "vor 2 Monaten ", 11: "vor 11 Monaten "}),
        ("fr", {1: "il y a 1 mois", 2: "il y a 2 mois"}),
        ("es", {1: "hace 1 mes", 2: "hace 2 meses"}),
        ("gd", {1: "1 mhìos air", 3: "3 mìosan air", 12: "12 mhìos air", 20: "20 mìos air"}),
    ],
)
def test_numbers_take_the_forms_of_their_language(language: str, numbers: dict[int, str]) -> None:
    with translation.override(language):
        for number, words in numbers.items():
            told = ngettext("last reviewed %(n)d month ago", "last reviewed %(n)d months ago", number) % {"n": number}
            assert words in told


def test_each_message_that_templates_mark_is_in_the_catalogues() -> None:
    """What was marked since the catalogues were made is missing in them: make them anew (docs/operators.md)."""
    marked = re.compile(r"{%\s*translate\s+(?:\"([^\"]+)\"|'([^']+)')(?!\s+context)")
    folder = ROOT.parents[1] / "templates"
    desk = ("admin/", "unfold/", "see_as/p", "search/why", "search/hit_desk", "search/curating", "search/golden_alert")
    sources = [
        path for path in folder.rglob("*.*") if not path.relative_to(folder).as_posix().startswith(desk)
    ]  # fmt: skip
    ids = {one.msgid for one in _catalogue(TRANSLATED[0])}
    found = {a or b for path in sources for a, b in marked.findall(path.read_text())}
    assert len(found) > 250
    assert found - ids == set()


def test_english_is_as_it_is_written() -> None:
    with translation.override(settings.LANGUAGE_CODE):
        assert gettext("Sign in") == "Sign in"
