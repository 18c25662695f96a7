"""The copy in another place, in a bucket of S3 or its like: `python -m deploy.backup.offsite [--fetch FOLDER]`.

Everything is encrypted with BACKUP_KEY before it leaves. A run sends what is not there yet. Run every few minutes it
keeps up with the log, one complete file of it after the other: with `archive_timeout = 60` on the primary it is never
more than a minute and the time between two runs behind. What is no longer needed is removed once a day, by what the
bucket itself holds: a folder of backups that was lost here is not lost there.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.backup import sealed
from deploy.backup.place import SEGMENT, BackupError, Place, place_from
from deploy.backup.programs import concluded
from deploy.backup.retention import unneeded

SUFFIX = ".sealed"


@dataclass(frozen=True)
class Site:
    """A bucket, the prefix of our files in it, and the key that they are encrypted with."""

    client: Any
    bucket: str
    prefix: str
    key: bytes

    def names(self) -> set[str]:
        """The files that are there, by their paths below the folder of backups."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        keys = (str(one["Key"]) for page in pages for one in page.get("Contents", ()))
        return {key.removeprefix(self.prefix).removesuffix(SUFFIX) for key in keys if key.endswith(SUFFIX)}

    def object(self, name: str) -> str:
        """The key of a file."""
        return f"{self.prefix}{name}{SUFFIX}"


def main() -> None:
    """Send what is new, or fetch all. Raises BackupError."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup.offsite")
    parser.add_argument("--fetch", metavar="FOLDER", type=Path, help="bring everything back into this empty folder")
    options = parser.parse_args()
    site = site_from()
    if site is None:
        raise BackupError("Set BACKUP_S3_BUCKET to the bucket.")
    if options.fetch:
        print(f"{fetch(site, options.fetch)} files fetched: restore with BACKUP_FOLDER={options.fetch}")
    else:
        print(f"{send(place_from(), site)} new files sent")


def site_from(environment: Mapping[str, str] = os.environ) -> Site | None:
    """What the environment says; None where it names no bucket. Raises BackupError without a key."""
    if not environment.get("BACKUP_S3_BUCKET"):
        return None
    # Loaded only where there is a bucket.
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=environment.get("BACKUP_S3_ENDPOINT") or None,
        region_name=environment.get("BACKUP_S3_REGION") or None,
        aws_access_key_id=environment.get("BACKUP_S3_ACCESS_KEY") or None,
        aws_secret_access_key=environment.get("BACKUP_S3_SECRET_KEY") or None,
    )
    prefix = environment.get("BACKUP_S3_PREFIX", "cloister")
    return Site(client, environment["BACKUP_S3_BUCKET"], f"{prefix.strip('/')}/", sealed.key_from(environment))


def send(place: Place, site: Site) -> int:
    """Send what is not there yet; how many files. A base backup is one file there."""
    there = site.names()
    sent = 0
    for path in _complete(place):
        name = str(path.relative_to(place.folder))
        if name in there:
            continue
        with tempfile.TemporaryFile(dir=place.folder) as whole, tempfile.NamedTemporaryFile(dir=place.folder) as safe:
            if path.is_dir():
                with tarfile.open(fileobj=whole, mode="w") as archive:
                    archive.add(path, arcname=path.name)
                whole.seek(0)
                sealed.seal(whole, safe, key=site.key, name=name)
            else:
                with path.open("rb") as reader:
                    sealed.seal(reader, safe, key=site.key, name=name)
            safe.flush()
            modified = {"modified": str(path.stat().st_mtime)}
            site.client.upload_file(safe.name, site.bucket, site.object(name), ExtraArgs={"Metadata": modified})
        sent += 1
    return sent


def prune(place: Place, site: Site) -> int:
    """Remove from the bucket what no restore needs, by what is in the bucket; how many files. Raises BackupError."""

    def named_in(name: str) -> set[str]:
        listed: dict[str, dict[str, str]] = json.loads(_whole(site, f"media/lists/{name}"))
        return {one["sha256"] for one in listed.values()}

    names = unneeded(site.names(), datetime.now(UTC) - place.retention, named_in)
    for name in reversed(names):
        site.client.delete_object(Bucket=site.bucket, Key=site.object(name))
    return len(names)


def _whole(site: Site, name: str) -> bytes:
    safe, whole = io.BytesIO(), io.BytesIO()
    site.client.download_fileobj(site.bucket, site.object(name), safe)
    safe.seek(0)
    sealed.unseal(safe, whole, key=site.key, name=name)
    return whole.getvalue()


def fetch(site: Site, folder: Path) -> int:
    """Bring everything back; how many files. Raises BackupError where one is damaged, or the folder is not empty."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty.")
    names = site.names()
    for name in sorted(names):
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise BackupError(f"the bucket holds {name!r}, which lies outside of {folder}.")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as safe, tempfile.NamedTemporaryFile(dir=folder, delete=False) as whole:
            site.client.download_fileobj(site.bucket, site.object(name), safe)
            safe.seek(0)
            sealed.unseal(safe, whole, key=site.key, name=name)
        draft = Path(whole.name)
        if target.parent == folder / "base":
            with tarfile.open(draft) as archive:
                # Sealed by us, and opened only if the seal holds. Python before 3.11.4 knows no filters.
                if hasattr(tarfile, "data_filter"):
                    archive.extractall(target.parent, filter="data")
                else:
                    archive.extractall(target.parent)  # noqa: S202  # nosec B202  # what our own seal has kept
            draft.unlink()
        else:
            # When the log left a file is asked of its time.
            head = site.client.head_object(Bucket=site.bucket, Key=site.object(name))
            modified = float(head["Metadata"]["modified"])
            os.utime(draft, (modified, modified))
            draft.rename(target)
    return len(names)


def _complete(place: Place) -> Iterator[Path]:
    """What may be sent: base backups, files of the log, dumps, lists and contents of originals, once they are whole.

    Contents before lists, the log before what needs it.
    """
    noted = place.folder / "system"
    if noted.exists():
        yield noted
    if place.wal.is_dir():
        names = sorted(path.name for path in place.wal.iterdir())
        yield from (place.wal / name for name in names if SEGMENT.match(name) or name.endswith(".history"))
    yield from (place.bases_folder / base.name for base in place.bases())
    yield from sorted(place.dumps_folder.glob("*.dump"))
    yield from sorted((place.media_folder / "objects").glob("*/*"))
    yield from sorted((place.media_folder / "lists").glob("*.json"))


if __name__ == "__main__":
    sys.exit(concluded(main))
