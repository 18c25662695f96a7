"""The ends of the trail's chains, signed, for somebody else to keep: by them it is found that an end was cut off."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.core.signing import Signer
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from accounts.chain import RETENTION, taken
from accounts.models import AuditChain, AuditSeal

logger = logging.getLogger(__name__)

SALT = "accounts.anchors"


def anchor() -> list[str]:
    """Tell the log where the chains end, and AUDIT_ANCHOR where that names a file: a signed line each."""
    signer = Signer(salt=SALT)
    lines = []
    for held in AuditChain.objects.using(DEFAULT_DB_ALIAS).order_by("pk"):
        said = {
            "at": timezone.now().isoformat(timespec="seconds"),
            "chain": held.name,
            "position": held.head_position,
            "link": bytes(held.head_link).hex(),
        }
        lines.append(signer.sign(json.dumps(said, sort_keys=True)))
        logger.info("audit anchor %s", lines[-1])
    if settings.AUDIT_ANCHOR and lines:
        with Path(settings.AUDIT_ANCHOR).open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
    return lines


def contradictions(lines: Iterable[str]) -> list[str]:
    """What these anchors contradict: a signature that is not ours, a chain that no longer holds what they tell."""
    signer = Signer(salt=SALT)
    wrong = []
    for number, line in enumerate(lines, 1):
        text, _, signature = line.strip().rpartition(signer.sep)
        if not line.strip():
            continue
        keys = [signer.key, *signer.fallback_keys]
        if not any(hmac.compare_digest(signature, signer.signature(text, key)) for key in keys):
            wrong.append(f"line {number}: it is not signed by this portal")
            continue
        said = json.loads(text)
        if problem := _contradicted(said["chain"], said["position"], bytes.fromhex(said["link"])):
            wrong.append(f"line {number}: {said['chain']}, position {said['position']}: {problem}")
    return wrong


def _contradicted(chain: str, position: int, link: bytes) -> str:
    if position == 0:
        return ""
    if seal := AuditSeal.objects.using(DEFAULT_DB_ALIAS).filter(chain=chain, position=position).first():
        return "" if bytes(seal.link or b"") == link else "another link stands there now"
    purge = taken(chain, RETENTION).filter(first_position__lte=position, last_position__gte=position).first()
    if purge is None:
        return "the chain ends before it"
    known = purge.last_position != position or bytes(purge.link or b"") == link
    return "" if known else "another link was purged there"
