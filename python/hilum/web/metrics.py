"""Prometheus metrics of all processes of one server.

`prepare` must run before the first import of `prometheus_client`, in the process that forks the others: the samples
then live in files that every process maps, and ``/metrics`` of any worker answers for all. Without it (tests, one
process) they stay in memory.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Metrics", "prepare"]

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)


def prepare(folder: Path) -> None:
    """Share the samples of this process and its children by files in ``folder``."""
    os.environ[_FOLDER] = str(folder)


class _Requests:
    """Requests that are not in the samples yet: a sample costs microseconds, which are as many as a tile's answer."""

    __slots__ = ("counts", "seconds", "sent")

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        """By bucket; the last is for all beyond."""
        self.seconds = 0.0
        self.sent = 0


def _observe_many(histogram: Any, requests: _Requests) -> None:
    """Add to a histogram at once, which prometheus_client has no public way for."""
    if hasattr(histogram, "_sum") and len(getattr(histogram, "_buckets", ())) == len(requests.counts):
        histogram._sum.inc(requests.seconds)
        for bucket, count in zip(histogram._buckets, requests.counts, strict=True):
            if count:
                bucket.inc(count)
        return
    for bound, count in zip((*_SECONDS, float("inf")), requests.counts, strict=True):
        for _ in range(count):
            histogram.observe(bound)


class Metrics:
    """Counters and histograms; children are bound once, so an observation costs a few microseconds."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "hilum_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer",
            ["route", "method", "status"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._sent = Counter(
            "hilum_http_response_bytes", "Bytes of answers' bodies", ["route", "method"], registry=self.registry
        )
        self._stored = Counter(
            "hilum_stored_instances", "Instances that arrived", ["service", "outcome"], registry=self.registry
        )
        self._failures = Counter(
            "hilum_store_failures",
            "Objects that were refused, by class of error",
            ["service", "reason"],
            registry=self.registry,
        )
        self._store_seconds = Histogram(
            "hilum_store_duration_seconds",
            "Time from the complete object to its acknowledgement",
            ["service"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._store_bytes = Histogram(
            "hilum_stored_bytes", "Size of objects that arrived", ["service"], registry=self.registry, buckets=_BYTES
        )
        self._associations = Counter(
            "hilum_dimse_associations", "Associations by how they began", ["outcome"], registry=self.registry
        )
        self._dimse_seconds = Histogram(
            "hilum_dimse_request_duration_seconds",
            "Time from a C-FIND, C-GET or C-MOVE request to its final response",
            ["service", "status"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._dimse_answers = Counter(
            "hilum_dimse_answers", "Answers and sub-operations of requests", ["service"], registry=self.registry
        )
        self._refusals = Counter(
            "hilum_dimse_refusals",
            "Requests of DICOM peers that were refused",
            ["service", "peer"],
            registry=self.registry,
        )
        self._requests: dict[tuple[str, str, int], _Requests] = {}
        self._bound_stores: dict[tuple[str, str], tuple[Callable[[float], None], ...]] = {}

    def observe_request(self, route: str, method: str, status: int, seconds: float, sent: int) -> None:
        """Record one answered request; ``route`` is a template, never a path. Counted with the next `flush`."""
        found = self._requests.get((route, method, status))
        if found is None:
            found = self._requests[route, method, status] = _Requests()
        found.counts[bisect_left(_SECONDS, seconds)] += 1
        found.seconds += seconds
        found.sent += sent

    def flush(self) -> None:
        """Add the requests since the last time to the samples; in the thread that observes them."""
        waiting, self._requests = self._requests, {}
        for (route, method, status), found in waiting.items():
            self._sent.labels(route, method).inc(found.sent)
            _observe_many(self._seconds.labels(route, method, str(status)), found)

    def observe_store(self, service: str, outcome: str, seconds: float, size: int) -> None:
        """Record one object that arrived by ``"stow"`` or ``"c-store"``.

        ``outcome`` is what became of it, or ``"refused"`` and the class of the error, with a blank between.
        """
        outcome, _, reason = outcome.partition(" ")
        if reason:
            self._failures.labels(service, reason).inc()
        bound = self._bound_stores.get((service, outcome))
        if bound is None:
            bound = (
                self._stored.labels(service, outcome).inc,
                self._store_seconds.labels(service).observe,
                self._store_bytes.labels(service).observe,
            )
            self._bound_stores[service, outcome] = bound
        bound[0](1)
        bound[1](seconds)
        bound[2](size)

    def observe_association(self, outcome: str) -> None:
        """Record an association that was accepted, rejected or aborted."""
        self._associations.labels(outcome).inc()

    def observe_dimse(self, service: str, status: str, seconds: float, answers: int) -> None:
        """Record one answered C-FIND, C-GET or C-MOVE; ``status`` in four hex digits."""
        self._dimse_seconds.labels(service, status).observe(seconds)
        self._dimse_answers.labels(service).inc(answers)

    def observe_refusal(self, service: str, peer: str = "") -> None:
        """Record a refusal, of a peer of the settings or of nobody known; why is in the list of refusals."""
        self._refusals.labels(service, peer).inc()

    def exposition(self, gauges: Mapping[str, tuple[str, float]] | None = None) -> tuple[bytes, str]:
        """Give samples of all processes in the text format, and its content type.

        Parameters
        ----------
        gauges : mapping of str to (str, float), optional
            Name to help and value of what is read now, not counted: the size of the archive.
        """
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        registry: Any = self.registry
        if os.environ.get(_FOLDER):
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            collect: Any = MultiProcessCollector
            collect(registry)
        now = "".join(
            f"# HELP {name} {text}\n# TYPE {name} gauge\n{name} {value}\n"
            for name, (text, value) in (gauges or {}).items()
        )
        return generate_latest(registry) + now.encode(), CONTENT_TYPE_LATEST
