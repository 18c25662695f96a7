"""Mails and archives with files in them, and the documents that these become."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage

from ingestion import parts, pipeline
from ingestion.extraction_types import Part
from ingestion.models import Document, Status

MANIFEST = "path,title,department,campus,doc_type,clearance,audience,language,priority,last_reviewed\n"


def text_of(word: str) -> str:
    return f"What there is to be known about {word} at this university, told in one sentence."


def mail(attachments: Mapping[str, bytes | EmailMessage], text: str = text_of("mails"), subject: str = "Fees") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "ada@example.org", "all@example.org"
    message.set_content(text)
    for name, content in attachments.items():
        if isinstance(content, EmailMessage):
            message.add_attachment(content, filename=name)
        else:
            message.add_attachment(content, maintype="text", subtype="plain", filename=name)
    return message.as_bytes()


def archive_of(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def all_ingested() -> None:
    """Ingest what waits until nothing does."""
    while waiting := Document.objects.filter(status=Status.QUEUED).first():
        pipeline.ingest(waiting.pk)


def taken(container: Document) -> dict[str, Document]:
    """The container once all that is in it was ingested, and its parts by their places."""
    all_ingested()
    container.refresh_from_db()
    return {one.part: one for one in Document.objects.filter(parent=container)}


def a_run_of(container: Document, *given: Part) -> list[str]:
    """What a run tells of these parts of the container."""
    run = container.pk
    Document.objects.filter(pk=container.pk).update(run=run)
    return parts.take_in(Document.objects.get(pk=container.pk), given, run)
