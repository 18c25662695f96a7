"""`search QUERY --as NAME`: what that person would see."""

from __future__ import annotations

import html
import json
import re
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from accounts.clearance import viewer_for
from accounts.models import User
from search import service
from search.api import page_json
from search.query import InvalidQuery, Mode, parse_query


class Command(BaseCommand):
    help = "Search as this person would, with the same answer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query")
        parser.add_argument("--as", dest="name", required=True, help="A user name, or 'anonymous'.")
        parser.add_argument("--mode", choices=[mode.value for mode in Mode])
        parser.add_argument("--page-size", type=int)
        parser.add_argument("--explain", action="store_true", help="Also say what each hit's score is made of.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        user = AnonymousUser() if options["name"] == "anonymous" else self._user(options["name"])
        try:
            query = parse_query({"q": options["query"], "mode": options["mode"], "page_size": options["page_size"]})
        except InvalidQuery as error:
            raise CommandError(str(error)) from None
        viewer = viewer_for(user)
        page = service.search(query, viewer=viewer, endpoint="command")
        if options["json"]:
            self.stdout.write(json.dumps(page_json(page, ""), cls=DjangoJSONEncoder, ensure_ascii=False))
            return
        for reason in page.degraded:
            self.stderr.write(f"degraded: {reason}")
        self.stdout.write(f"{page.count} documents, {page.response_time * 1000:.0f} ms")
        parts = service.explain(query, viewer=viewer) if options["explain"] else {}
        for number, hit in enumerate(page.hits, start=1):
            document = hit.document
            self.stdout.write(
                f"\n{number}. {document.title}  [{document.department}, {document.doc_type}, "
                f"clearance {document.clearance}, {document.language or '?'}]  {hit.combined_score:.3f}"
            )
            self.stdout.write(f"   page {hit.best.page_number}: {_plain(hit.best.snippet)}")
            if why := parts.get(document.id):
                self.stdout.write("   " + ", ".join(f"{name} {value:+.4f}" for name, value in why.items()))

    @staticmethod
    def _user(name: str) -> User:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name!r}. Make one with: ./cloister manage create_user")
        return user


def _plain(snippet: str) -> str:
    """A snippet without its markup, for a terminal."""
    return html.unescape(re.sub(r"</?mark>", "", snippet))
