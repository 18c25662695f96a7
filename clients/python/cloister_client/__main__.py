"""Search and feed a Cloister portal from a shell.

The address comes from CLOISTER_URL, the account from CLOISTER_API_KEY or CLOISTER_TOKEN; without one you are anonymous.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any

from cloister_client import Cloister, CloisterError, Document, Invalid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 when the portal refused it, 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    url = os.environ.get("CLOISTER_URL", "")
    if not url:
        sys.stderr.write("Say where the portal is: export CLOISTER_URL=https://search.example.ac.uk\n")
        return 2
    try:
        with Cloister(
            url, api_key=os.environ.get("CLOISTER_API_KEY", ""), token=os.environ.get("CLOISTER_TOKEN", "")
        ) as cloister:
            return int(options.run(cloister, options))
    except (CloisterError, OSError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        if isinstance(error, Invalid):
            for name, sentences in error.errors.items():
                sys.stderr.write(f"  {name}: {' '.join(sentences)}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cloister-client", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("search", help="find documents")
    one.add_argument("query")
    one.add_argument("--department", action="append", default=[])
    one.add_argument("--campus", action="append", default=[])
    one.add_argument("--type", action="append", default=[], dest="doc_type")
    one.add_argument("--language", action="append", default=[])
    one.add_argument("--mode", choices=("hybrid", "semantic", "keyword"), default="hybrid")
    one.add_argument("--page", type=int, default=1)
    one.add_argument("--acting-for", default="", metavar="USERNAME")
    one.add_argument("--json", action="store_true")
    one.set_defaults(run=_search)

    one = commands.add_parser("upload", help="upload files, and wait until they are read")
    one.add_argument("files", nargs="+", type=Path)
    one.add_argument("--department", required=True)
    one.add_argument("--type", required=True, dest="doc_type")
    one.add_argument("--clearance", type=int)
    one.add_argument("--audience", choices=("institution", "department"))
    one.add_argument("--campus")
    one.add_argument("--tag", action="append", default=[], dest="tags")
    one.add_argument("--no-wait", action="store_true")
    one.set_defaults(run=_upload)

    one = commands.add_parser("status", help="how far the portal is with documents")
    one.add_argument("ids", nargs="*", metavar="ID", help="all that failed, where none is given")
    one.set_defaults(run=_status)

    one = commands.add_parser("download", help="get an original")
    one.add_argument("id")
    one.add_argument("path", nargs="?", type=Path)
    one.set_defaults(run=_download)

    one = commands.add_parser("me", help="who asks, and what they may see")
    one.set_defaults(run=_me)
    return parser


def _search(cloister: Cloister, options: argparse.Namespace) -> int:
    names = ("department", "campus", "doc_type", "language")
    filters = {name: getattr(options, name) for name in names if getattr(options, name)}
    page = cloister.search(
        options.query, filters=filters, mode=options.mode, page=options.page, acting_for=options.acting_for
    )
    if options.json:
        _print(json.dumps(asdict(page), default=str, ensure_ascii=False, indent=2))
        return 0
    if page.did_you_mean:
        _print(f"Did you mean: {page.did_you_mean}")
    for hit in page.hits:
        _print(f"{hit.document.title} ({hit.document.department}, page {hit.best.page_number})")
        _print(f"    {_plain(hit.best.snippet)}")
    _print(f"{page.count} documents, page {page.page}")
    return 0


def _upload(cloister: Cloister, options: argparse.Namespace) -> int:
    said: dict[str, Any] = {name: getattr(options, name) for name in ("clearance", "audience", "campus")}
    uploaded = [
        cloister.upload(path, department=options.department, doc_type=options.doc_type, tags=options.tags, **said)
        for path in options.files
    ]
    failed = 0
    for document in uploaded:
        found = document if options.no_wait else cloister.wait(document)
        failed += found.status == "failed"
        _tell(found)
    return 1 if failed else 0


def _status(cloister: Cloister, options: argparse.Namespace) -> int:
    documents = map(cloister.document, options.ids) if options.ids else cloister.documents(status="failed")
    for document in documents:
        _tell(document)
    return 0


def _download(cloister: Cloister, options: argparse.Namespace) -> int:
    document = cloister.document(options.id)
    _print(str(cloister.download(document, options.path or Path(document.file_name).name)))
    return 0


def _me(cloister: Cloister, options: argparse.Namespace) -> int:
    _print(json.dumps(asdict(cloister.me()), ensure_ascii=False, indent=2))
    return 0


def _tell(document: Document) -> None:
    _print(f"{document.id}  {document.status:<10} {document.progress:3} %  {document.file_name}  {document.error}")


def _plain(snippet: str) -> str:
    return unescape(snippet.replace("<mark>", "").replace("</mark>", ""))


def _print(line: str) -> None:
    """A line without what a terminal would take for a command."""
    sys.stdout.write("".join(one if one.isprintable() or one == "\n" else " " for one in line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
