"""What the librarians' pages about documents have in common."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.admin import OfferedFiltersOnly, PlainChoices

ORIGINALS_AWAY = (
    "The place where original files are kept cannot be reached just now, or is full. Nothing is wrong with the file. "
    "Send it again in a few minutes; if this stays, tell the operators."
)


class DocumentPages(OfferedFiltersOnly, PlainChoices):
    """Pages of the admin site about documents. Each starts from `get_queryset`, which is what the person manages."""

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """A page of the admin site about documents."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {**self.admin_site.each_context(request), "opts": self.opts, "page_title": context["title"], **context},
        )

    def unknown(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What Django's own pages answer for a document that does not exist."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        return answer
