"""`load_demo`: the model university of the demo, its people and its documents."""

from __future__ import annotations

import hashlib
import json
from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.clearance import LIBRARIANS, OPERATOR
from accounts.models import Campus, Department, User
from ingestion import folder, progress
from ingestion.models import Document, DocumentType, Status

DEMO = settings.BASE_DIR / "deploy" / "demo"


class Command(BaseCommand):
    help = "Load the demo: campuses, departments, sign-ins and documents. Running it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--wait", action="store_true", help="Until every document is found by words.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_MODE or not settings.DEMO_PASSWORD:
            raise CommandError(
                "Set CLOISTER_DEMO=1 and DEMO_PASSWORD first: the demo's sign-ins are known to everybody."
            )
        with transaction.atomic():
            self._structure(json.loads((DEMO / "structure.json").read_text(encoding="utf-8")))
        corpus = DEMO / "corpus"
        files = folder.read_manifest(corpus, corpus / "manifest.csv", folder.Catalogue())
        details = json.loads((DEMO / "details.json").read_text(encoding="utf-8"))
        archived = set(Document.objects.filter(status=Status.ARCHIVED).values_list("sha256", flat=True))
        files = [
            self._detailed(file, details[file.name])
            for file in files
            if hashlib.sha256(file.path.read_bytes()).hexdigest() not in archived
        ]
        *_, report = [folder.FolderReport(), *folder.ingest_folder(files, viewer=OPERATOR)]
        for name, reason in report.rejected.items():
            self.stderr.write(f"refused: {name}: {reason}")
        self.stdout.write(f"{len(report.registered)} demo documents queued, {len(report.known)} here already.")
        if options["wait"]:
            try:
                progress.wait({one.pk for one in report.registered}, self.stdout.write, words_only=True)
            except progress.NothingMoves as error:
                raise CommandError(str(error)) from None

    @staticmethod
    def _detailed(file: folder.FolderFile, details: dict[str, list[str]]) -> folder.FolderFile:
        """The file with its tags and the departments that it is shared with, which a manifest has no columns for."""
        metadata = replace(
            file.metadata,
            tags=tuple(details["tags"]),
            shared_with=tuple(Department.objects.filter(name__in=details["shared_with"])),
        )
        return replace(file, metadata=metadata)

    @staticmethod
    def _structure(demo: dict[str, Any]) -> None:
        """Make what is not there yet; what an administrator has changed since stays."""
        campuses = {one["name"]: Campus.objects.get_or_create(name=one["name"])[0] for one in demo["campuses"]}
        departments = {
            one["name"]: Department.objects.get_or_create(
                name=one["name"], defaults={"campus": campuses.get(one["campus"])}
            )[0]
            for one in demo["departments"]
        }
        for one in demo["document_types"]:
            DocumentType.objects.get_or_create(slug=one["name"], defaults={"name": one["label"]})
        for person in demo["accounts"]:
            if User.objects.filter(username=person["username"]).exists():
                continue
            first_name, _, last_name = person["full_name"].rpartition(" ")
            user = User.objects.create_user(
                person["username"],
                password=settings.DEMO_PASSWORD,
                first_name=first_name,
                last_name=last_name,
                role=person["role"],
                campus=campuses[person["campus"]],
            )
            user.departments.set(departments[name] for name in person["departments"])
            if person["librarian"]:
                user.groups.add(Group.objects.get(name=LIBRARIANS))
