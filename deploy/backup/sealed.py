"""Files encrypted for places that others look after: AES-256-GCM in blocks, which proves that nothing was changed, left
out, put in another order, cut off, or exchanged with another file.

The layout is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015), as age uses it: a salt, from which and BACKUP_KEY
HKDF makes a key for this file alone, and blocks whose nonce is their number and whether they are the last. What the
file is called goes into each block's proof.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deploy.backup.place import BackupError

MAGIC = b"cloister-sealed-1\n"
SALT, TAG, BLOCK = 32, 16, 2**20


def key_from(environment: Mapping[str, str] = os.environ) -> bytes:
    """The 32 bytes of BACKUP_KEY, or of the file that BACKUP_KEY_FILE names. Raises BackupError.

    `python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"` makes one.
    """
    text = environment.get("BACKUP_KEY", "")
    if not text and environment.get("BACKUP_KEY_FILE"):
        text = Path(environment["BACKUP_KEY_FILE"]).read_text(encoding="ascii")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BackupError("BACKUP_KEY is not base64.") from error
    if len(key) != 32:
        raise BackupError(
            "Set BACKUP_KEY (or BACKUP_KEY_FILE) to 32 random bytes in base64, and keep it elsewhere too."
        )
    return key


def seal(source: IO[bytes], target: IO[bytes], *, key: bytes, name: str) -> None:
    """Write `source` encrypted to `target`."""
    salt = os.urandom(SALT)
    cipher = AESGCM(_file_key(key, salt))
    target.write(MAGIC + salt)
    for number, (block, last) in enumerate(_blocks(source, BLOCK)):
        target.write(cipher.encrypt(_nonce(number, last), block, name.encode()))


def unseal(source: IO[bytes], target: IO[bytes], *, key: bytes, name: str) -> None:
    """Write what was encrypted to `target`. Raises BackupError when it is not whole, or the key another one.

    What was written by then is not to be used.
    """
    head = source.read(len(MAGIC) + SALT)
    if not head.startswith(MAGIC) or len(head) != len(MAGIC) + SALT:
        raise BackupError(f"{name} is not one of these encrypted files.")
    cipher = AESGCM(_file_key(key, head[len(MAGIC) :]))
    for number, (block, last) in enumerate(_blocks(source, BLOCK + TAG)):
        try:
            target.write(cipher.decrypt(_nonce(number, last), block, name.encode()))
        except InvalidTag as error:
            raise BackupError(f"{name} is damaged, or encrypted with another BACKUP_KEY.") from error


def _file_key(key: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=MAGIC).derive(key)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _blocks(source: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks of this size, and whether each is the last; an empty file is one empty block."""
    block = source.read(size)
    while True:
        following = source.read(size)
        yield block, not following
        if not following:
            return
        block = following
