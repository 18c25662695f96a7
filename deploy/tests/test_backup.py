"""Backup and restore on a real server: what comes back, to which moment, and what is refused with which words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from deploy.drill._backup_site import Site, backup_site


@dataclass
class Scene:
    """A database with a full and an incremental base, and a moment between two writes."""

    site: Site
    bases: list[str]
    moment: str

    @property
    def folder(self) -> Path:
        return self.site.folder / "backup"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("backup")
    # The server may run as another user.
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
    with backup_site(folder) as site:
        with psycopg.connect(site.address, autocommit=True) as connection:
            connection.execute("CREATE TABLE note (id integer PRIMARY KEY, meaning vector(3))")
            connection.execute("INSERT INTO note VALUES (1, '[1,2,3]')")
            bases = [site.backup("base").strip()]
            connection.execute("INSERT INTO note VALUES (2, '[4,5,6]')")
            bases.append(site.backup("base").strip())
            connection.execute("INSERT INTO note VALUES (3, '[7,8,9]')")
            time.sleep(1.1)  # A base counts from the second after it on.
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            assert row is not None
            connection.execute("DELETE FROM note WHERE id = 1")
            (site.folder / "originals" / "a").write_bytes(b"an original")
            site.backup("daily")
        site.destroy()
        yield Scene(site, bases, row[0].isoformat())


def rows(scene: Scene, name: str, to: str) -> list[tuple[int, str]]:
    """What is in the table when it was restored to this time."""
    scene.site.backup("restore", "--to", to, "--into", str(scene.site.folder / name))
    with scene.site.server(scene.site.folder / name) as address, psycopg.connect(address) as connection:
        return connection.execute("SELECT id, meaning::text FROM note ORDER BY id").fetchall()


def refused(scene: Scene, *arguments: str) -> str:
    """What a restore says that is refused."""
    with pytest.raises(RuntimeError) as caught:
        scene.site.backup("restore", *arguments)
    return str(caught.value)


def test_the_second_base_of_a_week_is_incremental(scene: Scene) -> None:
    assert [name.split(".")[1] for name in scene.bases] == ["full", "incremental"]


def test_a_restore_to_a_moment_has_what_was_committed_by_then_and_nothing_later(scene: Scene) -> None:
    assert rows(scene, "then", scene.moment) == [(1, "[1,2,3]"), (2, "[4,5,6]"), (3, "[7,8,9]")]


def test_a_restore_to_a_time_after_the_last_commit_has_everything(scene: Scene) -> None:
    assert rows(scene, "end", "2999-01-01T00:00:00Z") == [(2, "[4,5,6]"), (3, "[7,8,9]")]


def test_a_restore_says_what_to_do_next_starts_nothing_and_tells_nobody_a_password(scene: Scene) -> None:
    target = scene.site.folder / "laid"
    said = scene.site.backup("restore", "--to", "latest", "--into", str(target))
    assert "empty the cache" in said
    assert not (target / "postmaster.pid").exists()
    assert scene.site.environment()["BACKUP_DATABASE_URL"].split(":")[2].split("@")[0] not in (
        said + (target / "postgresql.auto.conf").read_text()
    )
    assert target.stat().st_mode & 0o777 == 0o700


def test_a_time_before_the_first_base_is_refused_and_the_earliest_named(scene: Scene) -> None:
    said = refused(scene, "--to", "2020-01-01T00:00:00Z", "--into", str(scene.site.folder / "early"))
    assert "no base backup from before" in said
    assert "the earliest was complete at 20" in said


def test_a_time_without_its_zone_is_refused(scene: Scene) -> None:
    assert "add it" in refused(scene, "--to", "2026-11-24T09:00:00", "--into", str(scene.site.folder / "zone"))


def test_a_folder_that_is_there_is_left_alone(scene: Scene) -> None:
    assert "is there already" in refused(scene, "--to", "latest", "--into", str(scene.folder))


def test_a_gap_in_the_log_is_refused_before_anything_is_laid_out(scene: Scene) -> None:
    first = max((scene.folder / "base").iterdir()).name.split(".")[2]
    path = scene.folder / "wal" / first
    path.rename(path.with_name("away"))
    try:
        said = refused(scene, "--to", "latest", "--into", str(scene.site.folder / "gap"))
    finally:
        path.with_name("away").rename(path)
    assert f"{first} is not there" in said
    assert not (scene.site.folder / "gap").exists()


def test_a_damaged_base_is_not_combined_unnoticed(scene: Scene) -> None:
    manifest = scene.folder / "base" / scene.bases[0] / "backup_manifest"
    kept = manifest.read_bytes()
    manifest.write_bytes(kept.replace(b'"Size"', b'"Sizf"', 1))
    try:
        said = refused(scene, "--to", "latest", "--into", str(scene.site.folder / "damaged"))
    finally:
        manifest.write_bytes(kept)
    assert "pg_combinebackup failed" in said


def test_a_day_s_backup_has_every_part(scene: Scene) -> None:
    (dump,) = (scene.folder / "dump").glob("*.dump")
    assert dump.read_bytes().startswith(b"PGDMP")
    assert len(list((scene.folder / "base").iterdir())) == 3
    (original,) = (scene.folder / "media" / "objects").glob("*/*")
    assert original.read_bytes() == b"an original"


def test_only_a_backup_that_went_well_touches_the_mark(scene: Scene) -> None:
    mark = scene.site.folder / "mark"
    made = mark.stat().st_mtime_ns
    with pytest.raises(RuntimeError, match="psql failed"):
        scene.site.backup("daily")
    assert mark.stat().st_mtime_ns == made
