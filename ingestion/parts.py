"""Files that came within a file: each becomes a document of its own, told from the others by its place in there.

An attachment is made by the system: it belongs to the text of its mail, has what is said about the mail, and is read by
whoever reads the mail, which the database sees to (docs/decisions/0020). The files of a ZIP archive and the mails of a
mailbox only travelled together: they are registered like uploads, on behalf of whoever uploaded the whole and with
that person's rights of this moment; a `manifest.csv` in an archive that somebody uploaded says what each is. An archive
that came within another file brings no such say: who packed it need not be who uploaded the whole. And what lies within
an attachment is an attachment, too.

All of this may be done twice, or be ended anywhere: a part is known by its place and its content, and every write is
made while the run holds the container.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db import transaction
from django.db.models import Q

from accounts.clearance import OPERATOR, Viewer, viewer_for
from ingestion.extraction_types import Part
from ingestion.folder import Catalogue, FolderFile, InvalidManifest, Located, read_rows
from ingestion.models import Document, Status
from ingestion.registration import (
    DocumentMetadata,
    PartOf,
    UploadRejected,
    clean_file_name,
    fingerprint,
    register,
    store,
)
from ingestion.runs import held, progress
from ingestion.upkeep import archive, restore
from ingestion.versions import replace_file

MANIFEST = "manifest.csv"

GONE = "gone"
"""The reason of an archived part that the newest version of its container does not hold any more."""

DEEP_PARTS = 10
"""How many times as many files as one may hold (EXTRACTION_PARTS) may come of one upload with all that lies in them:
archives of archives multiply, so that 80 MB would become four million documents."""

MOST_TOLD = 20
"""Refused parts that a container's explanation names."""


class WrongManifest(Exception):
    """The manifest of an archive cannot be followed; the message names its lines. Nothing was taken in."""


def take_in(container: Document, parts: Sequence[Part], run: UUID) -> list[str]:
    """Make these parts the container's documents; a sentence for each that was refused.

    One whose content has changed replaces the file of its document, one that is not there any more is archived, one
    that is back is restored. Raises WrongManifest before anything is done, and Superseded.
    """
    if not parts and not Document.objects.filter(parent=container.pk).exists():
        return []
    here = {one.part: one for one in Document.objects.filter(parent=container.pk).select_related("department")}
    lineage = _lineage(container)
    if len(lineage) > settings.EXTRACTION_LIMITS.nesting:
        deep = f"The files in it were not taken in: they lie more than {len(lineage) - 1} files deep."
        return [deep] if parts else []
    most = DEEP_PARTS * settings.EXTRACTION_LIMITS.parts
    if len(lineage) > 1 and _number_within(lineage[-1]) + len(parts) - len(here) > most:
        return [f"The files in it were not taken in: with them more than {most:,} would come of one upload."]
    intake = _Intake(
        container, run, frozenset(map(_content, lineage)), _said_of(container, parts), here,
        vacant=[one for one in here.values() if one.part not in {part.name for part in parts}],
    )  # fmt: skip
    refused = []
    for part in parts:
        if intake.said is not None and part.name == MANIFEST:
            continue
        progress(container.pk, run)
        # As it is classified now: it may have been restricted since the part before.
        intake.container = Document.objects.get(pk=container.pk)
        try:
            intake.take(part)
        except UploadRejected as refusal:
            refused.append(_explained(part, refusal))
        except PermissionDenied:
            refused.append(f"“{part.name}”: whoever uploaded the file that it is in may not upload any more.")
    for document in intake.vacant:
        try:
            intake.put_away(document)
        except UploadRejected as refusal:
            refused.append(str(refusal))
    return refused


def told(refused: Sequence[str]) -> str:
    """What a librarian is told about refused parts; empty when there are none."""
    if not refused:
        return ""
    more = len(refused) - MOST_TOLD
    lines = [f"{len(refused)} of the files in it {'was' if len(refused) == 1 else 'were'} not taken in.", *refused]
    return "\n".join([*lines[: MOST_TOLD + 1], *([f"… and {more} more."] if more > 0 else [])])


def _explained(part: Part, refusal: UploadRejected) -> str:
    """Without the title of a document that is here already: not all who read this manage that one."""
    if refusal.existing:
        return f"“{part.name}” is already here as another document."
    return str(refusal)


def _content(document: Document) -> str:
    """Checksum of the document's newest file."""
    return document.next_sha256 or document.sha256


def _lineage(container: Document) -> list[Document]:
    """The container, what it came in, and so on."""
    lineage = [container]
    while lineage[-1].parent is not None:
        lineage.append(lineage[-1].parent)
    return lineage


def _number_within(whole: Document) -> int:
    """How many documents came of this upload so far, at whatever depth."""
    condition, path = Q(parent=whole.pk), "parent"
    for _ in range(1, settings.EXTRACTION_LIMITS.nesting):
        path += "__parent"
        condition |= Q(**{path: whole.pk})
    count: int = Document.objects.filter(condition).count()
    return count


def _said_of(container: Document, parts: Sequence[Part]) -> dict[str, FolderFile] | None:
    """What the manifest in an archive says of its files, by their places; None where none is to be followed."""
    paths = {part.name: part.path for part in parts if not part.is_attachment}
    # What came within another file has a place there, for good.
    if MANIFEST not in paths or container.part:
        return None
    if container.owner is None:
        raise WrongManifest(
            "This archive has a manifest, and nobody is known with whose rights to follow it. Unpack the archive, and "
            "take the folder in with: ./cloister manage ingest_folder FOLDER --manifest MANIFEST"
        )
    try:
        most = settings.EXTRACTION_LIMITS.parts
        rows = read_rows(paths[MANIFEST], MANIFEST, partial(_in_archive, paths), Catalogue(), most=most)
    except InvalidManifest as error:
        raise WrongManifest(str(error)) from None
    return {row.name: row for row in rows}


def _in_archive(paths: dict[str, Path], name: str) -> Located:
    """The file that a manifest names, by its place in the archive."""
    place = name.replace("\\", "/").removeprefix("./")
    if place not in paths:
        raise ValueError(f"there is no file {name!r} in the archive")
    return place, paths[place]


@dataclass
class _Intake:
    """The parts of one container on their way in."""

    container: Document
    run: UUID
    contents: frozenset[str]
    """Checksums of the container and of what it came in."""
    said: dict[str, FolderFile] | None
    here: dict[str, Document]
    """The parts that are known, by their places."""
    vacant: list[Document]
    """Those of them whose place is empty now, and that were not found elsewhere in the container."""

    def take(self, part: Part) -> None:
        """Bring one part to where it should be. Raises UploadRejected, and PermissionDenied."""
        file_name = clean_file_name(part.name)
        with part.path.open("rb") as opened:
            file = File(opened)
            sha256, size = fingerprint(file, part.name)
            if sha256 in self.contents:
                raise UploadRejected("nested", f"“{part.name}” is the very file that it is in.")
            known = self.here.get(part.name) or self._moved(part, sha256)
            if known:
                self._renew(known, file, file_name, sha256)
            elif self._goes_along(part):
                self._attach(part.name, file, file_name, sha256, size)
            else:
                self._register(part.name, file, file_name)

    def _goes_along(self, part: Part) -> bool:
        """Whether it is read by whoever reads the container: an attachment, and whatever lies within one."""
        return part.is_attachment or self.container.is_attachment

    def put_away(self, document: Document) -> None:
        """Archive a part that is gone. Raises UploadRejected where that is not this container's to do."""
        if document.status == Status.ARCHIVED:
            return
        self._insist(document)
        with transaction.atomic():
            held(self.container.pk, self.run)
            archive(document)
            Document.objects.filter(pk=document.pk).update(
                error_reason=GONE, error="The newest version of the file that it came in does not hold it any more."
            )

    def _moved(self, part: Part, sha256: str) -> Document | None:
        """A known part of this content whose place is empty now: it was moved or renamed within the container."""
        for document in self.vacant:
            if _content(document) == sha256 and document.is_attachment == self._goes_along(part):
                with transaction.atomic():
                    held(self.container.pk, self.run)
                    Document.objects.filter(pk=document.pk).update(part=part.name)
                self.vacant.remove(document)
                return document
        return None

    def _renew(self, document: Document, file: File[bytes], file_name: str, sha256: str) -> None:
        """Bring a known part back, and give it its new content. One that people archived stays where it is."""
        back = document.status == Status.ARCHIVED and document.error_reason == GONE
        changed = sha256 != _content(document)
        if document.status == Status.ARCHIVED and not back:
            return
        if back or changed:
            self._insist(document)
        if back:
            with transaction.atomic():
                held(self.container.pk, self.run)
                restore(document)
        if changed:
            insist = partial(held, self.container.pk, self.run)
            try:
                replace_file(document, file, file_name=file_name, insist=insist)
            except UploadRejected as refusal:
                if refusal.existing != document:  # else: the run before this one was faster
                    raise

    def _insist(self, document: Document) -> None:
        """Raises UploadRejected where not everybody who may replace the container may change this part of it."""
        inside = (
            document.department_id == self.container.department_id and document.clearance <= self.container.clearance
        )
        if not document.is_attachment and not inside:
            raise UploadRejected(
                "department", f"“{document.part}” stays as it is: who reads it was changed. Change it on its own page."
            )

    def _attach(self, place: str, file: File[bytes], file_name: str, sha256: str, size: int) -> None:
        """Make an attachment's document. Who reads it is written by the database."""
        mail = self.container
        document = Document(
            file_name=file_name, file_size=size, sha256=sha256, parent=mail, part=place, is_attachment=True,
            department_id=mail.department_id, campus_id=mail.campus_id, doc_type_id=mail.doc_type_id,
            priority=mail.priority, last_reviewed=mail.last_reviewed, owner_id=mail.owner_id, batch_id=mail.batch_id,
        )  # fmt: skip

        def save(name: str) -> None:
            held(mail.pk, self.run)
            document.file = name
            document.save(force_insert=True)
            document.tags.set(mail.tags.all())

        store(document, file, save)

    def _register(self, place: str, file: File[bytes], file_name: str) -> None:
        """Register a file of an archive or a mail of a mailbox. Raises UploadRejected, and PermissionDenied."""
        metadata = self._metadata(place)
        register(
            file,
            file_name=file_name,
            viewer=self._viewer(),
            metadata=metadata,
            batch=self.container.batch,
            part_of=PartOf(self.container, place, self.run),
        )

    def _viewer(self) -> Viewer:
        """On whose behalf: the container's owner, with their rights of now."""
        if self.container.owner is not None:
            return viewer_for(self.container.owner)
        return OPERATOR  # access: without an owner each part gets exactly what was allowed for the container

    def _metadata(self, place: str) -> DocumentMetadata:
        """What the manifest says of this part, else what is said about the container. Raises UploadRejected."""
        whole = self.container
        if self.said is None:
            return DocumentMetadata(
                department=whole.department,
                doc_type=whole.doc_type,
                campus=whole.campus,
                clearance=whole.clearance,
                audience=whole.audience,
                shared_with=tuple(whole.shared_with.all()),
                language=whole.language,
                priority=whole.priority,
                tags=tuple(tag.name for tag in whole.tags.all()),
                last_reviewed=whole.last_reviewed,
                visible_from=whole.visible_from,
                visible_until=whole.visible_until,
            )
        if place not in self.said:
            raise UploadRejected("manifest", f"“{place}” is not named in {MANIFEST}.")
        metadata = self.said[place].metadata
        replaced = bool(whole.next_file) or whole.version > 1
        if replaced and (metadata.department != whole.department or (metadata.clearance or 0) > whole.clearance):
            # Whoever replaced the archive need not be its owner, with whose rights this happens.
            raise UploadRejected(
                "department",
                f"“{place}”: an archive that replaces another takes in files of its own department and at most its own "
                "clearance. Upload it as a new document.",
            )
        return metadata
