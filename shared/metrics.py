"""Every metric that a coinwire process exports. Each process has its own registry.

docs/reference/metrics.md explains them, and has alert rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics

from shared.catalog import CHANNEL_NAMES
from shared.errors import ProviderError, RateBudgetError, Refusal

FAILED_REASONS = ("no_source", "fenced", "redis")
"""Why a cycle published nothing: no source answered, another worker leads, or Redis could not be reached."""
REFUSALS: tuple[str, ...] = get_args(Refusal)
"""Kinds of reasons for which an upstream's answer was not used."""


def open_registry() -> CollectorRegistry:
    """A registry with the metrics of the process itself (memory, CPU, files), without a `_created` twin per counter."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class _MakeCounter(Protocol):
    def __call__(self, name: str, text: str, *labels: str, starts: Iterable[str] = ()) -> Counter: ...


def _counters(registry: CollectorRegistry, part: str) -> _MakeCounter:
    def counter(name: str, text: str, *labels: str, starts: Iterable[str] = ()) -> Counter:
        """`starts`: label values that begin at 0. Prometheus sees no increase in a series that appears with 1."""
        made = Counter(f"coinwire_{part}_{name}", text, labels, registry=registry)
        for value in starts:
            made.labels(value)
        return made

    return counter


class BusMetrics:
    """The metrics of a subscription."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = _counters(registry, "bus")
        every = CHANNEL_NAMES
        self.received = counter("received", "Updates taken from the bus", "service", starts=every)
        self.duplicates = counter("duplicates", "Updates dropped because they were delivered before", "service")
        self.filled = counter("gap_filled", "Updates read from the stream instead of the channel", "service")
        self.unfilled = counter(
            "gap_unfilled", "Updates lost: missed, and no longer in the stream", "service", starts=every
        )
        self.malformed = counter("malformed", "Messages dropped because they were not ours", "service", starts=every)
        self.reconnects = counter("reconnects", "Times the subscription lost Redis")


class GatewayMetrics:
    """The metrics of a gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = _counters(registry, "gateway")
        self.connections = Gauge("coinwire_gateway_connections", "Open WebSockets and event streams", registry=registry)
        self.http_connections = Gauge("coinwire_gateway_http_connections", "Other open connections", registry=registry)
        self.cohorts = Gauge(
            "coinwire_gateway_cohorts", "Groups of connections that want the same bytes", registry=registry
        )
        self.waiting = Gauge(
            "coinwire_gateway_waiting_bytes", "Bytes that wait for clients or from them", registry=registry
        )
        self.streams = Gauge(
            "coinwire_gateway_streams", "Groups of connections that share a compressor", registry=registry
        )
        compressible = counter(
            "compressible_bytes", "Updates to clients with compression", "measured", starts=("plain", "sent")
        )
        self.plain_bytes, self.sent_bytes = compressible.labels("plain"), compressible.labels("sent")
        self.undecoded = counter("undecoded", "Clients with compression that closed because of what they were sent")
        self.accepted = counter("accepted", "Connections accepted", "endpoint")
        refused = ("bad request", "draining", "full", "late", "not ready", "too large", "unknown path", "version")
        self.refused = counter("refused", "Requests refused", "reason", starts=refused)
        closed = ("failed", "flood", "no_pong", "not_utf8", "policy", "protocol", "restart", "slow", "too_big")
        later = ("try_again_later",)
        self.closed = counter("closed", "Connections closed by the gateway", "reason", starts=closed + later)
        self.commands = counter("commands", "Commands executed", "action")
        self.errors = counter("errors", "Error messages sent to clients", "code")
        self.broadcasts = counter("broadcasts", "Updates broadcast", "service")
        self.offered = counter("offered", "Updates offered to clients", "service")
        dropped = ("closed", "replaced")
        self.dropped = counter("dropped", "Messages not sent because their client was behind", "reason", starts=dropped)
        self.recoveries = counter("recoveries", "Subscribes with a position", "recovered", starts=("true", "false"))
        self.replays = Gauge(
            "coinwire_gateway_replays", "Replays under way, by what they wait for", ("state",), registry=registry
        )
        self.replayed = counter("replayed_bytes", "Bytes of replayed updates")
        answers = ("made", "shared", "busy", "unavailable")
        self.stats = counter("stats", "Pages of the clients asked for", "outcome", starts=answers)
        outcomes = ("page", "lines", "busy", "one_at_a_time", "unavailable")
        self.history = counter("history", "Answers with the history", "outcome", starts=outcomes)


class WorkerMetrics:
    """The metrics of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = _counters(registry, "worker")
        self.published = counter("published", "Updates published", "service")
        self.failed = counter("failed", "Collection cycles that published nothing", "service", "reason")
        self.last_update = Gauge(
            "coinwire_worker_last_update_timestamp_seconds",
            "When this worker last published, in unix seconds",
            ("service",),
            registry=registry,
        )
        self.calls = counter("calls", "Calls of providers", "provider", "outcome")
        of_provider = _counters(registry, "provider")
        self.refusals = of_provider("refusals", "Answers of providers that were not used", "provider", "kind")
        self.rows_read = of_provider("rows_read", "Rows of lists in answers", "provider")
        self.rows_left_out = of_provider("rows_left_out", "Rows of answers that did not fit", "provider", "field")
        self.figures_left_out = of_provider(
            "figures_left_out", "Figures of answers that did not fit and became null", "provider", "field"
        )
        self.figure_age = Gauge(
            "coinwire_figure_age_seconds",
            "Age of a service's newest and oldest figures, in seconds",
            ("service", "figure"),
            registry=registry,
        )
        self.failovers = counter("failovers", "Times another source took over", "service")
        self.unreplicated = counter("unreplicated", "Updates that too few replicas had in time", "service")
        self.stored = counter("stored", "Updates written to the database", "service")
        self.missed = counter("missed", "Updates that left the bus before they were stored", "service")
        self.storing = Gauge("coinwire_worker_storing", "1 while updates reach the database", registry=registry)
        self.leading = Gauge("coinwire_worker_leading", "1 while this worker holds its lease", registry=registry)

    def expect(self, service: str) -> None:
        """Begin the counters of `service` at 0, as `starts` does: this worker collects it."""
        self.published.labels(service)
        self.failovers.labels(service)
        self.unreplicated.labels(service)
        for reason in FAILED_REASONS:
            self.failed.labels(service, reason)

    def expect_providers(self, names: Iterable[str]) -> None:
        """Begin the counters of refused answers at 0, for providers that this worker asks."""
        for name in names:
            for kind in REFUSALS:
                self.refusals.labels(name, kind)

    def refuse(self, error: ProviderError) -> None:
        """Count an answer that was not used, once; not a call that our own budget forbade."""
        if not error.counted and not isinstance(error, RateBudgetError):
            error.counted = True
            self.refusals.labels(error.provider, error.kind).inc()

    def watch_ages(self, service: str, as_of: Callable[[], Mapping[str, str]]) -> None:
        """Export the ages of a service's newest and oldest figures. `as_of` gives that of its last update.

        An empty one, while another worker publishes the service, makes the ages NaN, which no alert rule compares.
        """
        for figure, extreme in (("newest", max), ("oldest", min)):

            def age(extreme: Callable[[Iterable[str]], str] = extreme) -> float:
                moments = as_of().values()
                return time.time() - datetime.fromisoformat(extreme(moments)).timestamp() if moments else float("nan")

            self.figure_age.labels(service, figure).set_function(age)

    def expect_records(self) -> None:
        """Begin the counters of stored updates at 0: this worker has the recorder."""
        for service in CHANNEL_NAMES:
            self.stored.labels(service)
            self.missed.labels(service)
