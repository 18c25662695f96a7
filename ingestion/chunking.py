"""Pages to chunks: cut where the author cut, so that a chunk is about one thing and can be read by itself.

Pure: no Django, no files. Text is first parsed into pieces (headings, paragraphs, lists, tables, code), which are then
packed in order. A section begins a new chunk unless what stands before it is tiny; lists and tables stay whole where
they fit; what must be cut is cut between lines, then sentences, then words, then characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestion.chunking_blocks import Piece, beginning, pieces_of, split_piece, trailing_text
from ingestion.extraction_types import Page
from ingestion.tokens import PASSAGE_TOKENS, TokenCounter, estimate_tokens

__all__ = ["SECTION_SEPARATOR", "ChunkDraft", "TokenCounter", "beginning", "chunk_pages", "estimate_tokens"]

_SMALLEST_TARGET = 16
_LONGEST_SECTION_TITLE = 200
SECTION_SEPARATOR = " > "
"""Stands between the headings of a section title, the outermost of which comes first."""

# A chunk with less than this share of the target is tiny: it says too little to be found or read by itself.
_TINY_SHARE = 0.25
# The head of a table is worth more than the rows before, so it may be longer than other overlap.
_TABLE_HEAD_FACTOR = 2


@dataclass(frozen=True)
class ChunkDraft:
    """A chunk before it is stored. `position` counts from 0 within the document.

    The first `overlap_characters` of `text` are repeated: from the end of the chunk before, or from the head of the
    table that goes on. What follows is the chunk's own text. It starts on the page `page_number`, at the character
    `offset` of the page's text, and `place` is the share of the page above it, from 0 to 1. Within that page it is that
    text exactly; what goes on on the next page is joined by an empty line.
    """

    position: int
    text: str
    page_number: int
    section_title: str
    overlap_characters: int = 0
    offset: int = 0
    place: float = 0.0


def chunk_pages(
    pages: Sequence[Page],
    *,
    target_tokens: int = 300,
    ceiling_tokens: int = PASSAGE_TOKENS,
    overlap_tokens: int = 40,
    count_tokens: TokenCounter = estimate_tokens,
) -> list[ChunkDraft]:
    """Cut pages into chunks of about `target_tokens`, never above `ceiling_tokens`.

    Neighbours within a section share up to `overlap_tokens` of text, in whole sentences where possible. Everything but
    white space is kept, in order. `count_tokens` must not find more in a whole than in its parts together.

    Raises ValueError unless 16 <= target <= ceiling and 0 <= overlap <= target / 2.
    """
    if not (_SMALLEST_TARGET <= target_tokens <= ceiling_tokens and 0 <= overlap_tokens <= target_tokens // 2):
        raise ValueError("needs 16 <= target_tokens <= ceiling_tokens and 0 <= overlap_tokens <= target_tokens / 2")
    packer = _Packer(target_tokens, ceiling_tokens, overlap_tokens, count_tokens)
    for piece in pieces_of(pages):
        packer.add(piece)
    return [chunk.as_draft(position) for position, chunk in enumerate(packer.finish())]


@dataclass
class _Chunk:
    """A chunk being filled. Its token counts are upper bounds: those of its pieces, added up."""

    overlap: str = ""
    overlap_tokens: int = 0
    own_tokens: int = 0
    pieces: list[Piece] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.overlap_tokens + self.own_tokens

    def as_draft(self, position: int) -> ChunkDraft:
        first = self.pieces[0]
        before = self.overlap + first.gap if self.overlap else ""
        own = first.text + "".join(piece.gap + piece.text for piece in self.pieces[1:])
        content = next((piece for piece in self.pieces if piece.kind != "heading"), self.pieces[-1])
        return ChunkDraft(
            position,
            before + own,
            first.page.number,
            _section_title(content.section),
            len(before),
            first.start,
            round(first.start / len(first.page.text), 4),
        )


class _Packer:
    """Fills chunks with pieces, in order."""

    def __init__(self, target: int, ceiling: int, overlap: int, count: TokenCounter) -> None:
        self._target = target
        self._ceiling = ceiling
        self._overlap = overlap
        self._tiny = int(target * _TINY_SHARE)
        self._count = count
        self._done: list[_Chunk] = []
        self._open = _Chunk()
        self._headings: list[Piece] = []

    def add(self, piece: Piece) -> None:
        """Take the next piece. Headings wait for what they head, so that none stands last in a chunk."""
        if self._page_ends_before(piece):
            self._close(piece if piece.kind != "heading" else None)
        if piece.kind == "heading":
            if not self._headings and (self._open.own_tokens >= self._tiny or self._goes_back()):
                self._close()
            self._headings.append(piece)
            return
        cost = self._cost(piece) + sum(self._cost(heading) for heading in self._headings)
        if self._open.tokens + cost > self._target and self._open.own_tokens >= self._tiny:
            self._close(piece if not self._headings else None)
        self._place_headings()
        self._place(piece)

    def finish(self) -> list[_Chunk]:
        """The chunks, once every piece was added."""
        self._place_headings()
        self._close()
        return self._done

    def _page_ends_before(self, piece: Piece) -> bool:
        """Whether the piece begins a new page, and the open chunk does not need it: so a hit opens at its own page."""
        if not self._open.pieces or self._headings or self._open.pieces[-1].page is piece.page:
            return False
        return self._open.own_tokens >= self._tiny or self._goes_back()

    def _cost(self, piece: Piece) -> int:
        return self._count(piece.gap + piece.text)

    def _place_headings(self) -> None:
        waiting, self._headings = self._headings, []
        for heading in waiting:
            self._place(heading)

    def _place(self, piece: Piece) -> None:
        """Put a piece whole where a chunk can hold it, else its parts into as many chunks as they need."""
        cost = self._cost(piece)
        if self._open.tokens + cost > self._ceiling and cost <= self._ceiling and not self._is_waiting_for(piece):
            self._close(piece)
        if self._open.tokens + cost > self._ceiling and not self._open.pieces:
            self._drop_overlap()
        if self._open.tokens + cost <= self._ceiling:
            self._put(piece, cost)
            return
        for part in split_piece(piece, self._target - self._overlap, self._count):
            cost = self._cost(part)
            if self._open.tokens + cost > self._target and self._open.pieces:
                self._close(part)
            if self._open.tokens + cost > self._ceiling:
                self._drop_overlap()
            self._put(part, cost)

    def _is_waiting_for(self, piece: Piece) -> bool:
        """Whether the open chunk holds only headings, or so little that this piece should rather be cut to join it."""
        return self._open.own_tokens < self._tiny and piece.kind != "heading"

    def _put(self, piece: Piece, cost: int) -> None:
        self._open.pieces.append(piece)
        self._open.own_tokens += cost

    def _drop_overlap(self) -> None:
        self._open.overlap, self._open.overlap_tokens = "", 0

    def _goes_back(self) -> bool:
        """Whether the open chunk is a tiny rest that the chunk before can take in."""
        if not self._done or not self._open.pieces or self._open.own_tokens >= self._tiny:
            return False
        before = self._done[-1]
        same_section = before.pieces[-1].section == self._open.pieces[0].section
        return same_section and before.tokens + self._open.own_tokens <= self._ceiling

    def _close(self, following: Piece | None = None) -> None:
        """End the open chunk and begin the next, with overlap where `following` goes on in the same section."""
        if self._goes_back():
            self._done[-1].pieces += self._open.pieces
            self._done[-1].own_tokens += self._open.own_tokens
        elif self._open.pieces:
            self._done.append(self._open)
        self._open = _Chunk()
        if following is not None and self._done and self._overlap:
            self._open.overlap = self._overlap_before(following)
            if self._open.overlap:
                self._open.overlap_tokens = self._count(self._open.overlap)

    def _overlap_before(self, following: Piece) -> str:
        last = self._done[-1].pieces[-1]
        if following.context and last.context == following.context:
            fits = self._count(following.context) <= self._overlap * _TABLE_HEAD_FACTOR
            return following.context if fits else ""
        if last.section != following.section or last.kind not in ("paragraph", "list"):
            return ""
        return trailing_text(self._done[-1].pieces, self._overlap, self._count)


def _section_title(path: tuple[str, ...]) -> str:
    """The nearest headings, outermost first, within the length that is stored."""
    title = ""
    for heading in reversed(path):
        longer = f"{heading}{SECTION_SEPARATOR}{title}" if title else heading
        if len(longer) > _LONGEST_SECTION_TITLE:
            break
        title = longer
    if path and not title:
        title = path[-1][: _LONGEST_SECTION_TITLE - 1] + "…"
    return title
