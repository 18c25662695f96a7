"""The client: one method for each thing that the API does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from cloister_client.errors import CloisterError, NotSignedIn, Unavailable, error_of, seconds_to_wait
from cloister_client.shapes import Chunk, Document, HitDocument, Person, SearchPage

TRIES = 4
"""How often a request that may be sent again is sent, before its failure is yours."""

LONGEST_PAUSE = 30.0
"""Seconds: whoever is to wait for longer is told so instead."""

RENEW_BEFORE = 60.0
"""Seconds before its end in which an access token is renewed."""

ACCESS_LASTS = 8 * 3600.0
"""Seconds that an access token holds."""


class Cloister:
    """A portal, asked on behalf of one account. Use it in one thread, and close it, or use it in a `with`.

    `api_key` is a service account's, `token` an access token from elsewhere; `sign_in` takes a user name and a
    password. Without any of them you are anonymous. Requests that may be sent again are, where the portal is busy or
    away.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        token: str = "",
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no address of a portal: it begins with https://")
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout, transport=transport)
        self._refresh = ""
        self._renew_at = float("inf")
        if api_key or token:
            self._http.headers["Authorization"] = f"Api-Key {api_key}" if api_key else f"Bearer {token}"

    def __enter__(self) -> Cloister:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    # --- Who asks ------------------------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str) -> None:
        """Get tokens, which are renewed by themselves from now on. Raises NotSignedIn."""
        self._take(self._send("POST", "/token/", json={"username": username, "password": password}).json())

    def sign_out(self) -> None:
        """End the tokens of this sign-in."""
        if self._refresh:
            self._send("POST", "/token/blacklist/", json={"refresh": self._refresh})
        self._refresh, self._renew_at = "", float("inf")
        self._http.headers.pop("Authorization", None)

    def me(self) -> Person:
        """Who asks, and what they may see."""
        return Person.of(self._get("/me/").json())

    # --- Searching -----------------------------------------------------------------------------------------------

    def search(
        self,
        query: str = "",
        *,
        filters: Mapping[str, Any] | None = None,
        mode: str = "hybrid",
        page: int = 1,
        page_size: int = 10,
        acting_for: str = "",
    ) -> SearchPage:
        """What the portal finds. `filters` are those of the API's guide, such as `{"department": ["Library"]}`.

        `acting_for` is a user name, for keys of the scope `act`.
        """
        body = _search(query, filters, mode, page, page_size)
        if acting_for:
            body["acting_for"] = acting_for
        return SearchPage.of(self._send("POST", "/search/", json=body, again=True).json())

    def search_several(self, queries: Sequence[str], *, acting_for: str = "", **more: Any) -> list[SearchPage]:
        """Up to 20 searches in one request, in their order; `more` as in `search`, for all of them."""
        searches = [
            _search(one, more.get("filters"), more.get("mode", "hybrid"), 1, more.get("page_size", 10))
            for one in queries
        ]
        body: dict[str, Any] = {"searches": searches} | ({"acting_for": acting_for} if acting_for else {})
        answer = self._send("POST", "/search/batch/", json=body, again=True).json()
        return [SearchPage.of(one) for one in answer["results"]]

    def suggest(self, text: str) -> list[str]:
        """What may complete what somebody types."""
        found: list[str] = self._get("/suggest/", params={"q": text}).json()["suggestions"]
        return found

    def feedback(self, search_id: str, document_id: str, verdict: str) -> None:
        """Say whether a hit helped: `helpful` or `unhelpful`."""
        body = {"search_id": search_id, "document_id": document_id, "verdict": verdict}
        self._send("POST", "/feedback/", json=body)

    # --- Documents -----------------------------------------------------------------------------------------------

    def documents(self, **filters: Any) -> Iterator[Document]:
        """All documents that the account may see or edit, newest first; narrowed by `status`, `department`, …"""
        for one in self._pages("/documents/", {"page_size": 200, **filters}):
            yield Document.of(one)

    def document(self, document_id: str) -> Document:
        """One document, and how far the portal is with it."""
        answer = self._get(f"/documents/{document_id}/")
        return Document.of(answer.json(), answer.headers.get("ETag", ""))

    def upload(
        self,
        file: Path | str | IO[bytes],
        *,
        department: str,
        doc_type: str,
        file_name: str = "",
        key: str = "",
        **said: Any,
    ) -> Document:
        """Upload a file, with what is said about it (`title`, `clearance`, `audience`, `tags` and so on).

        It is sent again by itself where the connection breaks, and makes one document all the same: a `key` of your own
        keeps that true over a restart of your program.
        """
        with _opened(file, file_name) as (name, stream):
            answer = self._send(
                "POST",
                "/documents/",
                data=_form({"department": department, "doc_type": doc_type, **said}),
                files=[("file", (name, stream))],
                headers={"Idempotency-Key": key or str(uuid.uuid4())},
                again=True,
            )
        return Document.of(answer.json())

    def wait(self, document: Document | str, *, seconds: float = 600.0, every: float = 1.0) -> Document:
        """The document once the portal has finished with it. Raises TimeoutError."""
        document_id = document if isinstance(document, str) else document.id
        deadline = time.monotonic() + seconds
        while not (found := self.document(document_id)).is_done:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found.file_name} is {found.status} ({found.progress} %) after {seconds:.0f} s")
            time.sleep(every)
        return found

    def change(self, document: Document, **changes: Any) -> Document:
        """Change what is said about a document, if nobody has since it was read. Raises ChangedSince."""
        answer = self._send("PATCH", f"/documents/{document.id}/", json=_plain(changes), headers=_only_if(document))
        return Document.of(answer.json(), answer.headers.get("ETag", ""))

    def replace(self, document: Document, file: Path | str | IO[bytes], *, file_name: str = "") -> Document:
        """Give a document a new file. What it serves stays until that is read."""
        with _opened(file, file_name) as (name, stream):
            answer = self._send(
                "PUT", f"/documents/{document.id}/file/", files=[("file", (name, stream))], headers=_only_if(document)
            )
        return Document.of(answer.json())

    def archive(self, document: Document) -> None:
        """Take a document out of every search."""
        self._send("DELETE", f"/documents/{document.id}/", headers=_only_if(document))

    def restore(self, document: Document) -> Document:
        """Bring an archived document back."""
        return Document.of(self._send("POST", f"/documents/{document.id}/restore/").json())

    def retry(self, document: Document) -> Document:
        """Have a document read again that failed."""
        return Document.of(self._send("POST", f"/documents/{document.id}/retry/").json())

    def chunks(self, document: Document | HitDocument) -> Iterator[Chunk]:
        """The text of a document, in order."""
        for one in self._pages(f"/documents/{document.id}/chunks/", {"page_size": 200}):
            yield Chunk.of(one)

    def similar(self, document: Document | HitDocument) -> list[HitDocument]:
        """Documents that are about the same."""
        return [HitDocument.of(one) for one in self._get(f"/documents/{document.id}/similar/").json()["results"]]

    def download(self, document: Document | HitDocument, to: Path | str) -> Path:
        """Write the original to this path; nothing is left there where it breaks off."""
        path = Path(to)
        part = path.with_name(path.name + ".part")
        self._renew()
        try:
            with self._http.stream("GET", f"/api/v1/documents/{document.id}/file/") as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)
                with part.open("wb") as file:
                    for block in answer.iter_bytes():
                        file.write(block)
            part.replace(path)
        except httpx.TransportError as error:
            raise Unavailable(0, f"The download broke off: {error}") from error
        finally:
            part.unlink(missing_ok=True)
        return path

    # --- How -----------------------------------------------------------------------------------------------------

    def _get(self, path: str, *, params: Mapping[str, Any] | None = None) -> httpx.Response:
        return self._send("GET", path, params=params, again=True)

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What a list holds, over all of its pages."""
        body = self._get(path, params=_plain(params)).json()
        while True:
            yield from body["results"]
            if not body["next"]:
                return
            # The portal may be known to itself under another name than to us.
            query = urlsplit(body["next"]).query
            body = self._get(f"{path}?{query}").json()

    def _send(self, method: str, path: str, *, again: bool = False, **request: Any) -> httpx.Response:
        """The answer. One that may be asked `again` is, while the portal is busy or away. Raises CloisterError."""
        if not path.startswith("/token/"):
            self._renew()
        tries = TRIES if again else 1
        while True:
            tries -= 1
            for _, (_, stream) in request.get("files", ()):
                stream.seek(0)
            try:
                answer = self._http.request(method, f"/api/v1{path}", **request)
            except httpx.TransportError as error:
                if not tries:
                    raise Unavailable(0, f"The portal does not answer: {error}") from error
                time.sleep(1.0)
                continue
            if not answer.is_error:
                return answer
            pause = seconds_to_wait(answer)
            if tries and answer.status_code in (429, 502, 503, 504) and pause <= LONGEST_PAUSE:
                time.sleep(pause)
                continue
            raise error_of(answer)

    def _renew(self) -> None:
        """Renew the tokens in time. A refresh token holds once: where its answer is lost, sign in again."""
        if time.monotonic() < self._renew_at:
            return
        refresh, self._refresh, self._renew_at = self._refresh, "", float("inf")
        try:
            self._take(self._send("POST", "/token/refresh/", json={"refresh": refresh}).json())
        except CloisterError as error:
            raise NotSignedIn(error.status, "The sign-in has ended. Sign in again.") from error

    def _take(self, tokens: dict[str, str]) -> None:
        self._refresh = tokens["refresh"]
        self._renew_at = time.monotonic() + ACCESS_LASTS - RENEW_BEFORE
        self._http.headers["Authorization"] = f"Bearer {tokens['access']}"


def _search(query: str, filters: Mapping[str, Any] | None, mode: str, page: int, page_size: int) -> dict[str, Any]:
    body: dict[str, Any] = {"filters": _plain(filters or {}), "mode": mode, "page": page, "page_size": page_size}
    return body | ({"query": query} if query else {})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON and addresses have them."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def _form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a form has them: what is None is left out."""
    return {name: value for name, value in _plain(values).items() if value is not None}


def _only_if(document: Document) -> dict[str, str]:
    return {"If-Match": document.etag} if document.etag else {}


@contextmanager
def _opened(file: Path | str | IO[bytes], file_name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """A file's name and its bytes; it is closed afterwards where it was given as a path."""
    if isinstance(file, str | Path):
        path = Path(file)
        with path.open("rb") as stream:
            yield file_name or path.name, stream
    else:
        yield file_name or Path(str(getattr(file, "name", "document"))).name, file
