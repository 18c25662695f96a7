"""Text to tokens, as XLM-RoBERTa's SentencePiece model does it: the most probable cut into known pieces.

No piece of this vocabulary reaches over a space, so that a text is cut word by word, and a word seen lately is not cut
again. The tokens are those of the wheel's C code.
"""

from functools import lru_cache

from deploy.local.embedding_weights import Vocabulary

WORD_START = "\u2581"
"""SentencePiece writes this in place of a space."""

REMEMBERED_WORDS = 20_000
LONGEST_REMEMBERED = 32

UNKNOWN_PENALTY = 10.0
"""How much less probable than the rarest piece an unknown character is (SentencePiece's constant)."""


class Tokenizer:
    """Cuts text into the numbers of pieces. Safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._numbers = {piece: number for number, piece in enumerate(vocabulary.pieces)}
        self._scores = vocabulary.scores
        self._replacements = vocabulary.replacements
        self._start, self._end, self._unknown = vocabulary.start, vocabulary.end, vocabulary.unknown
        self._unknown_score = min(vocabulary.scores) - UNKNOWN_PENALTY
        self._longest_piece = max(map(len, vocabulary.pieces))
        del self._numbers[vocabulary.pieces[vocabulary.unknown]]
        self._cut_remembered = lru_cache(REMEMBERED_WORDS)(self._cut)

    def tokens(self, text: str, limit: int) -> list[int]:
        """The text's first tokens, at most `limit`, between the start and the end marker that count as well."""
        room = limit - 2
        found: list[int] = []
        # As the C code does: runs of spaces are one, and a text begins with a word even when a space comes first.
        words = _with_single_spaces(text.translate(self._replacements)).removeprefix(" ").split(" ")
        for word in words:
            if len(found) >= room:
                break
            if len(word) <= LONGEST_REMEMBERED:
                found.extend(self._cut_remembered(WORD_START + word))
            else:
                # Chinese has no spaces; what lies beyond the longest pieces that have room is not needed.
                found.extend(self._cut((WORD_START + word)[: self._longest_piece * (room - len(found) + 1)]))
        return [self._start, *found[:room], self._end]

    def _cut(self, word: str) -> tuple[int, ...]:
        """The most probable cut of a word (Viterbi's algorithm)."""
        length = len(word)
        best = [0.0] + [float("-inf")] * length
        piece_before = [self._unknown] * (length + 1)
        cut_before = [0] * (length + 1)
        for begin in range(length):
            here = best[begin]
            for end in range(begin + 1, min(length, begin + self._longest_piece) + 1):
                number = self._numbers.get(word[begin:end])
                if number is not None and here + self._scores[number] > best[end]:
                    best[end] = here + self._scores[number]
                    piece_before[end], cut_before[end] = number, begin
            if here + self._unknown_score > best[begin + 1]:
                best[begin + 1] = here + self._unknown_score
                piece_before[begin + 1], cut_before[begin + 1] = self._unknown, begin
        tokens: list[int] = []
        place = length
        while place > 0:
            tokens.append(piece_before[place])
            place = cut_before[place]
        return tuple(reversed(tokens))


def _with_single_spaces(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text
