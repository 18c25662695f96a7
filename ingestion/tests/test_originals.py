"""Stored originals, in a folder and in a bucket: read, verified, cleared away when nothing refers to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from ingestion import pipeline, retention, versions
from ingestion.models import Document, EarlierVersion, Status
from ingestion.originals import original_response, stretch_response
from ingestion.storage import StorageAway
from ingestion.tests.conftest import TakeIn, run_portal, wait_for
from ingestion.tests.embedding_servers import free_port
from ingestion.tests.texts import ENGLISH, found, ingested

NOW = timedelta(0)


def names() -> set[str]:
    """What the storage holds, whichever it is."""
    return {one.name for one in default_storage.originals()}


def put(content: bytes = b"nobody's") -> str:
    """A stored file that nothing refers to."""
    return default_storage.save(f"originals/xx/{uuid.uuid4().hex}", ContentFile(content))


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    import boto3
    from botocore.exceptions import EndpointConnectionError

    address = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret", region_name="eu-west-2"
    )

    def answers() -> bool:
        try:
            client.list_buckets()
        except EndpointConnectionError:
            return False
        return True

    try:
        wait_for(answers, seconds=30)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3_server: str, settings: Settings) -> dict[str, str]:
    """An empty bucket, in use; what a process needs in its environment to use it too."""
    import boto3

    environment = {
        "MEDIA_S3_BUCKET": f"originals-{uuid.uuid4().hex[:8]}",
        "MEDIA_S3_ENDPOINT": s3_server,
        "MEDIA_S3_REGION": "eu-west-2",
        "MEDIA_S3_ACCESS_KEY": "key",
        "MEDIA_S3_SECRET_KEY": "secret",
    }
    boto3.client(
        "s3", endpoint_url=s3_server, aws_access_key_id="key", aws_secret_access_key="secret", region_name="eu-west-2"
    ).create_bucket(
        Bucket=environment["MEDIA_S3_BUCKET"], CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    told = run_portal(
        "-c",
        "import json, django; django.setup(); from django.conf import settings;"
        "print(json.dumps(settings.STORAGES['default']))",
        **environment,
    )
    settings.STORAGES = {**django_settings.STORAGES, "default": json.loads(told.stdout)}
    return environment


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, storage: Path) -> str:
    """Each kind of storage, in turn."""
    if request.param == "bucket":
        request.getfixturevalue("bucket")
    return str(request.param)


@pytest.fixture
def take(take_in: TakeIn, either: str) -> TakeIn:
    """`take_in`, with the storage that is tried."""
    return take_in


@pytest.mark.django_db
class TestEither:
    """What holds of a folder and of a bucket."""

    def test_a_document_is_taken_in_replaced_handed_out_and_brought_back(self, take: TakeIn) -> None:
        document = ingested(take(ENGLISH, "travel.md", title="Travel", language="en"))
        assert (document.status, found("receipts")) == (Status.READY, {"Travel"})
        answer = original_response(document)
        assert b"".join(answer) == ENGLISH.encode()
        assert answer["Content-Length"] == str(len(ENGLISH.encode()))

        versions.replace_file(document, ContentFile(b"Nobody travels any more."), file_name="new.txt")
        assert b"".join(original_response(ingested(document))) == b"Nobody travels any more."
        versions.restore_version(document, 1)
        assert b"".join(original_response(ingested(document))) == ENGLISH.encode()
        assert len(names()) == 2

    def test_a_stretch_is_handed_out_alone(self, take: TakeIn, rf: RequestFactory) -> None:
        document = take(ENGLISH, "travel.md")
        whole = ENGLISH.encode()
        answer = stretch_response(document, rf.get("/", headers={"Range": "bytes=20-49"}))
        assert (answer.status_code, answer["Content-Length"]) == (206, "30")
        assert answer["Content-Range"] == f"bytes 20-49/{len(whole)}"
        assert b"".join(answer) == whole[20:50]
        assert b"".join(stretch_response(document, rf.get("/", headers={"Range": "bytes=-7"}))) == whole[-7:]

    def test_bytes_that_are_not_those_that_were_taken_in_are_never_read(self, take: TakeIn) -> None:
        document = take(ENGLISH)
        name = document.file.name
        default_storage.delete(name)
        default_storage.save(name, ContentFile(ENGLISH.encode() + b"and more"))
        assert (ingested(document).status, document.error_reason) == (Status.FAILED, "damaged")
        assert "operators" in document.error

        default_storage.delete(name)
        assert ingested(document).error_reason == "missing"
        default_storage.save(name, ContentFile(ENGLISH.encode()))
        pipeline.retry(document)
        assert ingested(document).status == Status.READY

    def test_damage_and_loss_are_found_and_flagged_and_taken_off_again(self, take: TakeIn) -> None:
        whole, damaged, lost = (ingested(take(f"{ENGLISH}{number}", f"{number}.md")) for number in range(3))
        content = damaged.file.read()
        default_storage.delete(damaged.file.name)
        default_storage.save(damaged.file.name, ContentFile(b"Something else."))
        default_storage.delete(lost.file.name)
        with pytest.raises(CommandError, match="1 damaged, 1 missing"):
            call_command("verify_originals", "--all")

        flags = dict(Document.objects.values_list("file_name", "error_reason"))
        assert flags == {"0.md": "", "1.md": "damaged", "2.md": "missing"}
        assert set(Document.objects.values_list("status", flat=True)) == {Status.READY}, "what is served is served on"
        default_storage.delete(damaged.file.name)
        default_storage.save(damaged.file.name, ContentFile(content))
        assert retention.verify().damaged == []
        damaged.refresh_from_db()
        assert (damaged.error, damaged.error_reason) == ("", "")
        assert whole.sha256 == retention.checksum(whole.file)

    def test_a_clean_up_removes_what_nothing_refers_to_and_only_that(self, take: TakeIn) -> None:
        document = ingested(take(ENGLISH))
        versions.replace_file(document, ContentFile(b"Served now."), file_name="b.txt")
        ingested(document)
        versions.replace_file(document, ContentFile(b"To be served."), file_name="c.txt")
        document.refresh_from_db()
        referred = {document.file.name, document.next_file.name, versions.earlier(document).get().file.name}
        orphans = {put(), put()}
        assert names() == referred | orphans

        assert retention.clean().removed == [], "all are young"
        assert {one.name for one in retention.clean(grace=NOW, dry_run=True).removed} == orphans
        assert names() == referred | orphans
        assert {one.name for one in retention.clean(grace=NOW).removed} == orphans
        assert names() == referred


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_queue")
class TestMeeting:
    def test_a_registration_that_is_going_on_keeps_its_file(self, take: TakeIn) -> None:
        """A clean-up without any grace, at the worst moment: between the file and its row, again and again."""
        over = threading.Event()
        take(ENGLISH)

        def clean() -> None:
            try:
                while not over.is_set():
                    retention.clean(grace=NOW)
            finally:
                connection.close()

        refused = 0
        with ThreadPoolExecutor(1) as pool:
            cleaning = pool.submit(clean)
            try:
                for number in range(20):
                    try:
                        take(f"Text {number}", f"{number}.txt")
                    except FileNotFoundError:
                        refused += 1
            finally:
                over.set()
            cleaning.result(timeout=30)
        rows = set(Document.objects.values_list("file", flat=True))
        assert len(rows) == 21 - refused
        assert rows <= names(), "no row without its file"

    def test_while_a_reference_is_being_written_the_clean_up_waits_and_then_sees_it(self, take: TakeIn) -> None:
        document = take(ENGLISH)
        written = threading.Event()

        def clean() -> bool:
            try:
                written.wait(10)
                return retention.remove_unless_referred(default_storage, name)
            finally:
                connection.close()

        name = put(b"A later version.")
        with ThreadPoolExecutor(1) as pool:
            cleaning = pool.submit(clean)
            with retention.transaction.atomic():
                retention.hold(default_storage, name)
                EarlierVersion.objects.create(
                    document=document, number=1, file=name, file_name="a", file_size=1, sha256="0" * 64
                )
                written.set()
                wait_for(_somebody_waits_for_a_lock, seconds=10)
            assert cleaning.result(timeout=10) is False
        assert name in names()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_a_file_that_was_cleared_away_gets_no_row(take_in: TakeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    save = default_storage.save

    def save_and_lose(name: str, content: ContentFile) -> str:
        saved = save(name, content)
        default_storage.delete(saved)
        return saved

    monkeypatch.setattr(type(default_storage._wrapped), "save", lambda _, *given: save_and_lose(*given))
    with pytest.raises(FileNotFoundError):
        take_in(ENGLISH)

    assert not Document.objects.exists()


@pytest.mark.django_db
@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["file", "next_file", "version", "nothing"]), max_size=5))
def test_a_clean_up_can_only_remove_what_nothing_refers_to(kinds: list[str], storage: Path, take_in: TakeIn) -> None:
    Document.objects.all().delete()
    document = take_in(uuid.uuid4().hex)
    kept, orphans = {document.file.name}, set()
    for number, kind in enumerate(kinds):
        name = put()
        (orphans if kind == "nothing" else kept).add(name)
        if kind == "version":
            EarlierVersion.objects.create(
                document=document, number=number + 1, file=name, file_name="a", file_size=1, sha256="0" * 64
            )
        elif kind != "nothing":
            other = take_in(uuid.uuid4().hex)
            kept.add(other.file.name)
            if kind == "file":
                kept.discard(other.file.name)
                orphans.add(other.file.name)
            Document.objects.filter(pk=other.pk).update(**{kind: name})
    before = names()
    retention.clean(grace=NOW)

    assert kept <= names()
    assert not orphans & names()
    assert before >= names()


@pytest.mark.django_db
class TestFolder:
    def test_a_disk_that_is_not_mounted_flags_nothing(self, take_in: TakeIn, storage: Path) -> None:
        ingested(take_in(ENGLISH))
        storage.rename(storage.with_name("elsewhere"))
        with pytest.raises(StorageAway):
            retention.verify()
        with pytest.raises(CommandError, match="MEDIA_ROOT"):
            call_command("clean_originals")

        assert Document.objects.get().error == ""

    def test_before_the_first_document_there_is_nothing_to_look_at(self, storage: Path) -> None:
        assert (retention.verify().files, retention.clean().looked_at) == (0, 0)

    def test_a_bit_at_a_time_and_the_longest_unchecked_first(self, take_in: TakeIn) -> None:
        sizes = [take_in("x" * 1000 + str(number)).file_size for number in range(4)]
        assert retention.verify(most_bytes=sizes[0] + 1).files == 2
        assert retention.verify(most_bytes=10**9).files == 2, "the other two, and none that was just checked"
        assert retention.verify(most_bytes=10**9).files == 0
        assert retention.verify().files == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_queue")
class TestBucket:
    def test_a_worker_reads_from_it(
        self, take_in: TakeIn, bucket: dict[str, str], storage: Path, tmp_path: Path
    ) -> None:
        document = take_in(ENGLISH, title="Travel", language="en")
        done = run_portal(
            "-c",
            "import sys, django; django.setup(); from ingestion.tasks import ingest; ingest.apply([sys.argv[1]])",
            str(document.pk),
            **bucket,
        )
        document.refresh_from_db()
        assert document.status == Status.READY, done.stderr
        assert not storage.exists(), "nothing went to the folder"

    def test_what_a_killed_worker_copied_from_it_is_cleared_away(
        self, take_in: TakeIn, bucket: dict[str, str], tmp_path: Path
    ) -> None:
        document, scratch = take_in(ENGLISH), tmp_path / "scratch"
        scratch.mkdir()
        run_portal(
            "-c",
            "import os, sys, django; django.setup(); from ingestion import models, retention;"
            "copy = retention.local_original(models.Document.objects.get(pk=sys.argv[1]));"
            "copy.__enter__(); os.abort()",
            str(document.pk),
            TMPDIR=str(scratch),
            **bucket,
        )
        (left,) = scratch.iterdir()
        os.utime(left, (0, 0))
        run_portal(
            "-c",
            "import django; django.setup(); from ingestion import extraction; extraction.prepare()",
            TMPDIR=str(scratch),
        )

        assert not [*scratch.iterdir()]

    def test_one_that_does_not_answer_is_not_blamed_on_the_document(
        self, take_in: TakeIn, bucket: dict[str, str], settings: Settings
    ) -> None:
        document = take_in(ENGLISH)
        reachable = settings.STORAGES["default"]
        options = reachable["OPTIONS"] | {"endpoint_url": f"http://127.0.0.1:{free_port()}"}
        settings.STORAGES = {**settings.STORAGES, "default": reachable | {"OPTIONS": options}}
        with pytest.raises(StorageAway):
            pipeline.ingest(document.pk)
        with pytest.raises(StorageAway):
            take_in("A text that is not kept.")
        with pytest.raises(StorageAway):
            retention.verify()
        document = Document.objects.get()
        assert (document.status, document.error) == (Status.EXTRACTING, "")

        settings.STORAGES = {**settings.STORAGES, "default": reachable}
        assert ingested(document).status == Status.READY
        assert take_in("A text that is not kept.").pk != document.pk

    def test_originals_are_private_and_have_no_address(self, take_in: TakeIn, bucket: dict[str, str]) -> None:
        document = take_in(ENGLISH)
        with pytest.raises(NotImplementedError):
            _ = document.file.url
        grants = default_storage.bucket.Object(document.file.name).Acl().grants
        assert {grant["Grantee"]["Type"] for grant in grants} == {"CanonicalUser"}, "its owner's alone"


def test_boto_takes_no_memory_where_there_is_no_bucket() -> None:
    told = run_portal(
        "-c",
        "import sys, django; django.setup(); from django.core.files.storage import default_storage;"
        "default_storage.exists('x'); print([one for one in sys.modules if one.startswith(('boto', 'storages'))])",
    )
    assert told.stdout.strip() == "[]", told.stderr
