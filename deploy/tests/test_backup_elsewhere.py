"""Encryption, the originals, and the copy in a bucket: what comes back is what went, or an error."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.backup import media, offsite, sealed
from deploy.backup.place import BackupError, Place, place_from
from deploy.backup.restore import require_log
from deploy.local.ports import choose

KEY = bytes(range(32))
SEGMENT = "000000010000000000000001"


def closed(content: bytes, name: str = "a") -> bytes:
    target = io.BytesIO()
    sealed.seal(io.BytesIO(content), target, key=KEY, name=name)
    return target.getvalue()


def opened(content: bytes, name: str = "a", key: bytes = KEY) -> bytes:
    target = io.BytesIO()
    sealed.unseal(io.BytesIO(content), target, key=key, name=name)
    return target.getvalue()


@pytest.mark.parametrize("size", [0, 1, sealed.BLOCK - 1, sealed.BLOCK, sealed.BLOCK + 1, 3 * sealed.BLOCK])
def test_what_is_encrypted_comes_back(size: int) -> None:
    content = os.urandom(size)
    assert opened(closed(content)) == content
    assert size < 16 or content not in closed(content)


@given(st.integers(0, len(closed(b"x" * 100)) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place: int, change: int) -> None:
    content = bytearray(closed(b"x" * 100))
    content[place] ^= change
    with pytest.raises(BackupError):
        opened(bytes(content))


def test_another_key_another_name_a_cut_end_and_swapped_blocks_are_refused() -> None:
    whole = closed(b"x" * sealed.BLOCK + b"y" * sealed.BLOCK)
    head, block = len(sealed.MAGIC) + sealed.SALT, sealed.BLOCK + sealed.TAG
    swapped = whole[:head] + whole[head + block :] + whole[head : head + block]
    for content, name, key in (
        (whole, "a", bytes(32)),
        (whole, "b", KEY),
        (whole[: head + block], "a", KEY),
        (swapped, "a", KEY),
    ):
        with pytest.raises(BackupError, match="damaged"):
            opened(content, name, key)


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(31)).decode()])
def test_a_poor_key_is_refused(text: str) -> None:
    with pytest.raises(BackupError, match="BACKUP_KEY"):
        sealed.key_from({"BACKUP_KEY": text})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder of backups with one file of the log, a base, and two originals."""
    originals = tmp_path / "originals"
    (originals / "ab").mkdir(parents=True)
    (originals / "ab" / "one").write_bytes(b"first")
    (originals / "ab" / "two").write_bytes(b"second")
    place = place_from({"BACKUP_FOLDER": str(tmp_path / "backup"), "MEDIA_ROOT": str(originals)})
    place.wal.mkdir(parents=True)
    (place.wal / SEGMENT).write_bytes(b"log")
    base = place.bases_folder / f"20261124T050000Z.full.{SEGMENT}"
    (base / "global").mkdir(parents=True)
    (base / "global" / "1262").write_bytes(b"rows")
    media.copy(place)
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_originals_that_were_deleted_come_back_and_equal_contents_are_kept_once(place: Place, tmp_path: Path) -> None:
    source = Path(place.media)
    (source / "ab" / "three").write_bytes(b"second")
    assert media.copy(place) == 0
    kept = files(source)
    lists = place.media_folder / "lists"
    moment = datetime.now(UTC) + timedelta(seconds=5)
    (source / "ab" / "one").unlink()
    media.copy(place)
    # The list that the last run wrote is of ten seconds later.
    latest = max(lists.glob("*.json"))
    latest.rename(lists / f"{moment + timedelta(seconds=5):%Y%m%dT%H%M%SZ}.json")
    (lists / f"{moment - timedelta(seconds=1):%Y%m%dT%H%M%SZ}.json").write_text(
        '{"ab/one": {"sha256": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"}}'
    )
    assert media.restore(place, moment, tmp_path / "then") == 3
    assert files(tmp_path / "then") == kept
    media.restore(place, None, tmp_path / "now")
    assert files(tmp_path / "now") == files(source)


def test_a_damaged_original_is_not_handed_out(place: Place, tmp_path: Path) -> None:
    for path in (place.media_folder / "objects").glob("*/*"):
        path.write_bytes(b"other")
    with pytest.raises(BackupError, match="damaged"):
        media.restore(place, None, tmp_path / "back")


def test_an_unmounted_folder_of_originals_is_an_error_and_no_empty_list(place: Place, tmp_path: Path) -> None:
    away = place_from({"BACKUP_FOLDER": str(place.folder), "MEDIA_ROOT": str(tmp_path / "nowhere")})
    with pytest.raises(BackupError, match="MEDIA_ROOT"):
        media.copy(away)


def test_a_gap_in_the_log_matters_to_times_after_it_alone(place: Place) -> None:
    (base,) = place.bases()
    for number, age in ((2, 100), (4, 10)):
        path = place.wal / f"00000001000000000000000{number}"
        path.write_bytes(b"log")
        os.utime(path, (time.time() - age, time.time() - age))
    now = datetime.now(UTC)
    assert require_log(place, base, now - timedelta(seconds=200)) == "000000010000000000000002"
    for to in (now - timedelta(seconds=50), None):
        with pytest.raises(BackupError, match="missing from …0000000000000003 on"):
            require_log(place, base, to)


@pytest.fixture
def site() -> Iterator[offsite.Site]:
    """A bucket of a server that speaks S3."""
    port = choose(None, [])
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    from botocore.exceptions import EndpointConnectionError

    found = offsite.site_from(
        {
            "BACKUP_S3_BUCKET": "backups",
            "BACKUP_S3_ENDPOINT": f"http://127.0.0.1:{port}",
            "BACKUP_S3_REGION": "eu-west-2",
            "BACKUP_S3_ACCESS_KEY": "key",
            "BACKUP_S3_SECRET_KEY": "secret",
            "BACKUP_KEY": base64.b64encode(KEY).decode(),
        }
    )
    assert found is not None
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                found.client.create_bucket(
                    Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
                )
                break
            except EndpointConnectionError:
                assert time.monotonic() < deadline
        yield found
    finally:
        server.kill()
        server.wait()


def test_a_bucket_gives_back_what_it_got_encrypted_and_loses_nothing_with_the_folder(
    place: Place, site: offsite.Site, tmp_path: Path
) -> None:
    (place.wal / "000000010000000000000002.partial").write_bytes(b"being written")
    assert offsite.send(place, site) == 5  # log, base, two contents, one list
    assert offsite.send(place, site) == 0
    for name in site.names():
        stored = site.client.get_object(Bucket=site.bucket, Key=site.object(name))["Body"].read()
        assert stored.startswith(sealed.MAGIC)
        assert not any(text in stored for text in (b"log", b"rows", b"first", b"second"))
    assert offsite.prune(place_from({"BACKUP_FOLDER": str(tmp_path / "lost")}), site) == 0
    offsite.fetch(site, tmp_path / "back")
    expected = {name: content for name, content in files(place.folder).items() if not name.endswith(".partial")}
    assert files(tmp_path / "back") == expected
    modified = (place.wal / SEGMENT).stat().st_mtime
    assert (tmp_path / "back" / "wal" / SEGMENT).stat().st_mtime == pytest.approx(modified)
