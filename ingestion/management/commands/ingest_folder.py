"""`ingest_folder PATH [--manifest CSV] [--wait]`: take in the files of a folder."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.clearance import OPERATOR, Audience, Clearance
from ingestion import folder, progress
from ingestion.registration import DocumentMetadata
from ingestion.storage import StorageAway


class Command(BaseCommand):
    help = "Take in the files of a folder; a manifest says what each is, else the options say it for all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--manifest", type=Path, help="CSV with the columns " + ",".join(folder.COLUMNS))
        parser.add_argument("--wait", action="store_true", help="Until every file is ready or failed.")
        parser.add_argument(
            "--create-missing",
            action="store_true",
            help="Make unknown departments, campuses and types, not refuse them.",
        )
        parser.add_argument("--department", default="", help="Owner of the files; needed without a manifest.")
        parser.add_argument("--doc-type", default="guide", help="Type of the files, without a manifest.")
        parser.add_argument("--campus", default="", help="Campus of the files, without a manifest; empty means all.")
        parser.add_argument("--clearance", type=int, choices=Clearance.values, help="Without a manifest; default 4.")
        parser.add_argument("--audience", choices=Audience.values, help="Without a manifest; default department.")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        if not path.is_dir():
            raise CommandError(f"{path} is not a folder.")
        catalogue = folder.Catalogue(create=options["create_missing"])
        try:
            files = self._files(path, catalogue, options)
        except (folder.InvalidManifest, ValueError) as error:
            raise CommandError(str(error)) from None
        with transaction.atomic():
            catalogue.save()
        report, done = folder.FolderReport(), 0
        try:
            for report in folder.ingest_folder(files, viewer=OPERATOR):
                done = len(report.registered) + len(report.known) + len(report.rejected)
                if done % 50 == 0 or done == len(files):
                    self.stdout.write(f"{done} of {len(files)} files taken in")
        except StorageAway as error:
            raise CommandError(
                f"{error}. {done} of {len(files)} files were taken in; the same command takes in the rest."
            ) from None
        for name, reason in report.rejected.items():
            self.stderr.write(f"refused: {name}: {reason}")
        self.stdout.write(
            f"{len(report.registered)} queued, {len(report.known)} here already, {len(report.rejected)} refused."
        )
        if options["wait"]:
            self._wait(report)

    @staticmethod
    def _files(path: Path, catalogue: folder.Catalogue, options: dict[str, Any]) -> list[folder.FolderFile]:
        if options["manifest"]:
            return folder.read_manifest(path, options["manifest"], catalogue)
        if not options["department"]:
            raise CommandError("Without --manifest, say whose the files are: --department NAME.")
        metadata = DocumentMetadata(
            department=catalogue.department(options["department"]),
            doc_type=catalogue.doc_type(options["doc_type"]),
            campus=catalogue.campus(options["campus"]),
            clearance=options["clearance"],
            audience=options["audience"],
        )
        return folder.files_without_manifest(path, metadata)

    def _wait(self, report: folder.FolderReport) -> None:
        documents = {document.pk for document in [*report.registered, *report.known]}
        try:
            counts = progress.wait(documents, self.stdout.write)
        except progress.NothingMoves as error:
            raise CommandError(str(error)) from None
        for document in progress.failed(documents):
            self.stderr.write(f"failed: {document.file_name}: {document.error}")
        self.stdout.write(", ".join(f"{count} {status}" for status, count in counts.items() if count) + ".")
