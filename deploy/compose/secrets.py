"""`python -m deploy.compose.secrets [--folder DIR]`: makes the secrets that compose.yaml names, where they are missing.

Only what is not there yet is made, so that it can be run again after an upgrade that needs one more. The certificate is
yours to bring: `tls_fullchain` and `tls_privkey`; `--self-signed NAME` makes one for a trial.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import json
import os
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER = Path(__file__).parent / "secrets"

PASSWORDS = (
    *("secret_key", "jwt_signing_key", "postgres_password", "cloister_password", "replication_password"),
    *("monitor_password", "bouncer_monitor_password", "cache_password", "broker_password", "grafana_password"),
    *("backup_password",),
)
"""What is random; the rest is made of these."""


def make(folder: Path) -> list[str]:
    """Make what is missing in this folder, which is made for its owner alone; returns the names of what was made.

    The files are readable for everybody, as each container reads them as a user of its own; the folder keeps others
    out.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [name for name in PASSWORDS if _write(folder, name, secrets.token_urlsafe(48))]
    known = {name: (folder / name).read_text(encoding="ascii").strip() for name in PASSWORDS}
    made += [name for name, text in derived(known).items() if _write(folder, name, text)]
    # Lost with the machine, it opens no copy of the backup off the site: keep it elsewhere too.
    if _write(folder, "backup_key", base64.b64encode(secrets.token_bytes(32)).decode()):
        made.append("backup_key")
    if _write(folder, "backup_s3", "# BACKUP_S3_BUCKET=... BACKUP_S3_ACCESS_KEY=... and so on, a line each"):
        made.append("backup_s3")
    return made


def derived(known: dict[str, str]) -> dict[str, str]:
    """What holds a password together with where it is used. Tokens need no quoting in an address."""
    bouncer = f"postgres://cloister:{known['cloister_password']}@pgbouncer:6432"
    cache = f"redis://:{known['cache_password']}@cache:6379"
    broker = f"redis://:{known['broker_password']}@broker:6379"
    monitor = known["bouncer_monitor_password"]
    return {
        "database_url": f"{bouncer}/cloister",
        "work_database_url": f"{bouncer}/cloister_work",
        "database_replica_urls": f"{bouncer}/cloister_replica_1",
        "pgbouncer_userlist": f'"cloister" "{known["cloister_password"]}"\n"cloister_monitor" "{monitor}"',
        "pgbouncer_monitor_url": f"postgres://cloister_monitor:{monitor}@pgbouncer:6432/pgbouncer?sslmode=disable",
        "backup_database_url": f"postgres://cloister_backup:{known['backup_password']}@primary:5432/cloister",
        "redis_url": f"{cache}/0",
        "celery_broker_url": f"{broker}/0",
        "cache_auth": f"requirepass {known['cache_password']}",
        "broker_auth": f"requirepass {known['broker_password']}",
        "valkey_passwords": json.dumps(
            {"redis://cache:6379": known["cache_password"], "redis://broker:6379": known["broker_password"]}
        ),
    }


def self_signed(folder: Path, name: str) -> list[str]:
    """A certificate for 90 days that no browser believes, for a trial; returns what was made."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    texts = {"tls_fullchain": chain.decode(), "tls_privkey": private.decode()}
    if any((folder / one).exists() for one in texts):
        return []
    return [one for one, text in texts.items() if _write(folder, one, text.strip())]


def _write(folder: Path, name: str, text: str) -> bool:
    """Write a secret that is not there yet, whole or not at all; whether it was written."""
    if (folder / name).exists():
        return False
    draft = folder / f".{name}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "w", encoding="ascii") as file:
        file.write(text + "\n")
    draft.chmod(0o444)
    draft.rename(folder / name)
    return True


def main(arguments: list[str] | None = None) -> int:
    """The command line; says what was made, and never a secret itself."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose.secrets", description="Makes missing secrets.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--self-signed", metavar="NAME", help="also a certificate for a trial under this host name")
    given = parser.parse_args(arguments)
    made = make(given.folder)
    if given.self_signed:
        made += self_signed(given.folder, given.self_signed)
    print(f"{given.folder}: made {', '.join(made) or 'nothing, all is there'}.")
    missing = [name for name in ("tls_fullchain", "tls_privkey") if not (given.folder / name).exists()]
    if missing:
        print(f"Still missing, and yours to bring: {', '.join(missing)} (PEM).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
