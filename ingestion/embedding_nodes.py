"""The embedding nodes of one process: who is busy, who failed, and whose circuit is open.

A node may serve several models. Its places are shared by all of them; its circuit is each model's own, so that a node
which fails with one model goes on serving the other.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

REQUESTS_PER_NODE = 2
"""Requests in flight a node: one being computed, one waiting, so that the node never idles between the two."""

FAILURES_TO_OPEN = 2
"""Failures in a row after which a node is left alone: one may be chance."""

REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 60.0
"""The rest doubles with each further failure, because trying a node that hangs costs somebody a search's time-out."""

UNFIT_SECONDS = 60.0
"""How long a node without the model is passed over while another has it: asking it costs a round trip."""

log = logging.getLogger(__name__)


class EmbeddingUnavailable(Exception):
    """No node answers. What is derived from it says more; whoever only wants to degrade catches this one."""


class NodeFault(Exception):
    """The node failed, whatever it was asked."""


class NodeBusy(NodeFault):
    """The node is well and has too much to do."""


class NodeLacksModel(NodeFault):
    """The node is well and does not have the model."""


class NodeHasOtherWeights(NodeFault):
    """The node is well, and what it serves under the model's name is another model by now."""


@dataclass(frozen=True)
class NodeStatus:
    """How one node does with one model, as this process sees it. `resting` means that its circuit is open."""

    url: str
    in_flight: int
    failures: int
    resting: bool


class Places:
    """How many requests are in flight at each node, whatever the model; shared by all clients of a process."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.in_flight: Counter[str] = Counter()


class Node:
    """One node's state with one model, guarded by the lock of its Nodes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_flight = 0
        self.digest_seen_at = self.unfit_until = float("-inf")
        self.failures = 0
        self.fault = ""
        self.rests_until = 0.0
        self.last_used = 0.0

    def status(self) -> NodeStatus:
        """What is known of the node, for health pages and metrics."""
        return NodeStatus(self.url, self.in_flight, self.failures, self.is_resting())

    def is_resting(self) -> bool:
        """Whether its circuit is open: it failed lately, or one request is finding out whether it is well again."""
        return self.failures >= FAILURES_TO_OPEN and (time.monotonic() < self.rests_until or self.in_flight > 0)


class Nodes:
    """The nodes of one process and one model: its connections, which node is busy, and whose circuit is open."""

    def __init__(self, urls: Sequence[str], connect_seconds: float, places: Places | None = None) -> None:
        self.http = httpx.Client(
            timeout=httpx.Timeout(None, connect=connect_seconds),
            limits=httpx.Limits(max_keepalive_connections=REQUESTS_PER_NODE * len(urls), keepalive_expiry=60),
            verify=any(url.startswith("https:") for url in urls),  # without https, spares the loading of certificates
            trust_env=False,  # nodes are inside the institution; a proxy from the environment would only break this
        )
        self.connect_seconds = connect_seconds
        self.all = [Node(url) for url in urls]
        self._places = places or Places()
        self._changed = self._places.changed

    @contextmanager
    def least_busy(self, *, besides: set[str], deadline: float) -> Iterator[Node]:
        """Hold a place at the least busy node, waiting until `deadline` (monotonic seconds) where all are taken.

        Raises EmbeddingUnavailable: at once when the circuits of all are open, else at the deadline.
        """
        with self._changed:
            while (node := self._choose(besides)) is None:
                if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                    raise EmbeddingUnavailable("no embedding node is free: all of them are busy")
            node.in_flight += 1
            self._places.in_flight[node.url] += 1
            node.last_used = time.monotonic()
        try:
            yield node
            self._note_success(node)
        except NodeBusy:
            raise
        except (NodeLacksModel, NodeHasOtherWeights):
            with self._changed:
                node.unfit_until = time.monotonic() + UNFIT_SECONDS
            raise
        except NodeFault as fault:
            self._note_failure(node, fault)
            raise
        finally:
            with self._changed:
                node.in_flight -= 1
                self._places.in_flight[node.url] -= 1
                self._changed.notify_all()

    def reachable(self, *, besides: set[str]) -> list[Node]:
        """The nodes that may be asked, now or when they have a place; those without the model only if all lack it."""
        awake = [node for node in self.all if node.url not in besides and not node.is_resting()]
        now = time.monotonic()
        return [node for node in awake if node.unfit_until < now] or awake

    def _choose(self, besides: set[str]) -> Node | None:
        reachable = self.reachable(besides=besides)
        if not reachable:
            faults = "; ".join(node.fault for node in self.all if node.fault)
            raise EmbeddingUnavailable(f"no embedding node answers: all of them failed a moment ago ({faults})")
        busy = self._places.in_flight
        free = [node for node in reachable if busy[node.url] < REQUESTS_PER_NODE]
        return min(free, key=lambda node: (busy[node.url], node.last_used), default=None)

    def _note_success(self, node: Node) -> None:
        with self._changed:
            if node.failures >= FAILURES_TO_OPEN:
                log.warning("embedding node %s answers again", node.url)
            node.failures, node.unfit_until = 0, float("-inf")

    def _note_failure(self, node: Node, fault: NodeFault) -> None:
        with self._changed:
            node.failures += 1
            node.fault = str(fault)
            if node.failures >= FAILURES_TO_OPEN:
                rest = min(REST_SECONDS * 2.0 ** (node.failures - FAILURES_TO_OPEN), LONGEST_REST_SECONDS)
                node.rests_until = time.monotonic() + rest
                log.warning("embedding node %s rests for %.0f s: %s", node.url, rest, fault)
