"""In which language an answer is worded: the readers' part in theirs, programs and the desk in English."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

IN_ENGLISH = ("/api/", "/admin/", "/see-as/", "/search/why/", "/health")
"""What is for programs, whose texts others may compare, and the pages of librarians, administrators and operators."""


class LanguageMiddleware(LocaleMiddleware):
    """The language that somebody chose (a cookie), else the one that their browser asks for, else LANGUAGE_CODE."""

    def process_request(self, request: HttpRequest) -> None:
        """Words what follows in the language of the request."""
        if request.path_info.startswith(IN_ENGLISH):
            translation.activate(settings.LANGUAGE_CODE)
            request.LANGUAGE_CODE = settings.LANGUAGE_CODE
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Says the language, and on what it depends."""
        if request.path_info.startswith(IN_ENGLISH):
            return response
        patch_vary_headers(response, ("Cookie",))
        return super().process_response(request, response)


choose_language = never_cache(require_POST(set_language))
"""Remembers a language in a cookie, and leads back to the page on which it was chosen (the browser names it)."""
