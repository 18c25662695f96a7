"""What is said to librarians of each reason for which a document fails or is flagged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A reason in words."""

    title: str
    what_to_do: str
    retrying_helps: bool = False
    """Whether trying again, with nothing changed, can end differently."""


ADVICE = {
    "encrypted": Advice(
        "Protected with a password",
        "Save a copy without protection in the program that made it, then replace the file.",
    ),
    "broken": Advice(
        "Damaged, or not what its name says",
        "Open the file in its own program. If it opens, save it anew; if not, get the original again. Then replace it.",
    ),
    "empty": Advice(
        "No text in it",
        "Check that it is the right file. If so, there is nothing to find in it: archive the document.",
    ),
    "too_large": Advice(
        "Larger than what can be read",
        "Split the file, or save it with smaller pictures. Then replace it, and upload the other parts.",
    ),
    "needs_ocr": Advice(
        "Pictures of pages, without text",
        "Save it as a searchable PDF with the scanner's program, then replace the file. If operators install text "
        "recognition for its language, retry.",
        retrying_helps=True,
    ),
    "unsupported": Advice(
        "A kind of file that cannot be read",
        "Save it as PDF or in another format that is read (the upload page names them), then replace the file.",
    ),
    "timeout": Advice(
        "Took too long to read",
        "Retry when less is going on. If it fails again, split the file or save it in a simpler form.",
        retrying_helps=True,
    ),
    "memory": Advice(
        "Needs more memory than one document may have",
        "Split the file or save it in a simpler form, then replace it.",
        retrying_helps=True,
    ),
    "missing": Advice(
        "The stored original is gone",
        "Replace the file, and tell the operators: storage has lost it.",
    ),
    "damaged": Advice(
        "The stored original has changed",
        "Replace the file, or have the operators bring the original back from the backup, and retry.",
        retrying_helps=True,
    ),
    "gave_up": Advice(
        "The worker died over it again and again",
        "Save the file in a simpler form or split it, then replace it. Tell the operators.",
    ),
    "manifest": Advice(
        "The manifest in the ZIP file is wrong",
        "The document names the lines. Mend manifest.csv, pack the ZIP file anew, and replace it.",
    ),
    "internal": Advice(
        "Something went wrong on our side",
        "Retry. If it stays, tell the operators and give them the document's address.",
        retrying_helps=True,
    ),
    "partly_read": Advice(
        "Some pages hold only pictures",
        "The rest is found. Save it as a searchable PDF with the scanner's program and replace the file, if these "
        "pages matter. If operators install text recognition for its language, retry.",
        retrying_helps=True,
    ),
    "damaged_but_read": Advice(
        "Damaged, and read all the same",
        "What could be read is found; some of it may be missing. Open the file in its own program, save it anew and "
        "replace it.",
    ),
    "partly_embedded": Advice(
        "Some passages are found by their words only",
        "The model could not take them. Retry after a while; if it stays, nothing is lost but their meaning.",
        retrying_helps=True,
    ),
    "partly_taken_in": Advice(
        "Some of the files within it were not taken in",
        "The document says which ones and why. Mend those and upload them, or replace the whole file.",
    ),
}
OTHERWISE = Advice("Another reason", "Each document says what is wrong. Retry, or replace its file.", True)


def advice_for(reason: str) -> Advice:
    """What is said of this reason (`Document.error_reason`)."""
    return ADVICE.get(reason, OTHERWISE)
