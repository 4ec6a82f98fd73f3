"""The catalogue of services, one line each. Gateway, workers, metrics, docs and tests read it instead of listing services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared import payloads
from shared.payloads import Payload

DATA_COLLECTION, MONITORING, INTEGRATION = "data_collection", "monitoring", "integration"
CATEGORIES = (DATA_COLLECTION, MONITORING, INTEGRATION)

SYSTEM = "system"
"""Notices about the cluster itself. It has a channel like a service, but is not one of the twelve services."""
ALL = "all"
"""Stands for each of the twelve services in a client's command."""

FIELDS = "fields"
"""The filter that every service has: the names of the fields of `data` that are sent."""

Carries = Literal["state", "events"]
"""What updates hold. A `state` is complete: the newest update replaces the older ones. An update with `events` holds
something that no other update repeats, so who misses one has missed it."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service: its name on the wire, the category that publishes it, its payload, its interval (s), its endpoints."""

    name: str
    title: str
    category: str
    carries: Carries
    payload: type[Payload]
    interval: float
    endpoints: tuple[str, ...]
    description: str

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of its filters: those that stand at its payload type, and `fields`, which every service has."""
        return (*(rule.name for rule in self.payload.filters), FIELDS)


_D, _M, _I, _S = DATA_COLLECTION, MONITORING, INTEGRATION, ServiceSpec
_STATE: Carries = "state"
_EVENTS: Carries = "events"

# fmt: off
_LINES = (
    _S("market_data", "Market Data", _D, _STATE, payloads.MarketData, 5, ("/ws/data", "/ws/market_data"), "Real-time cryptocurrency prices, volumes, and market caps"),
    _S("explorers", "Blockchain Explorers", _D, _STATE, payloads.Explorers, 10, ("/ws/data",), "Blockchain explorer data and network statistics"),
    _S("news", "News Aggregation", _D, _STATE, payloads.News, 60, ("/ws/data", "/ws/news"), "Cryptocurrency news aggregation from multiple sources"),
    _S("sentiment", "Sentiment Analysis", _D, _STATE, payloads.Sentiment, 30, ("/ws/data", "/ws/sentiment"), "Market sentiment analysis and social media trends"),
    _S("whale_tracking", "Whale Tracking", _D, _EVENTS, payloads.WhaleTracking, 15, ("/ws/data", "/ws/whale_tracking"), "Large transaction monitoring and whale wallet tracking"),
    _S("rpc_nodes", "RPC Nodes", _D, _EVENTS, payloads.RpcNodes, 20, ("/ws/data",), "RPC node status and blockchain events"),
    _S("onchain", "On-Chain Analytics", _D, _EVENTS, payloads.Onchain, 30, ("/ws/data",), "On-chain analytics and smart contract events"),
    _S("health_checker", "Health Monitoring", _M, _STATE, payloads.HealthChecker, 30, ("/ws/monitoring", "/ws/health"), "Provider health monitoring and status checks"),
    _S("pool_manager", "Pool Management", _M, _STATE, payloads.PoolManager, 20, ("/ws/monitoring", "/ws/pool_status"), "Source pool management and automatic failover"),
    _S("scheduler", "Task Scheduler", _M, _STATE, payloads.Scheduler, 15, ("/ws/monitoring", "/ws/scheduler_status"), "Task scheduler status and job execution tracking"),
    _S("huggingface", "HuggingFace AI", _I, _STATE, payloads.HuggingFace, 60, ("/ws/integration", "/ws/huggingface", "/ws/ai"), "HuggingFace AI model registry and sentiment analysis"),
    _S("persistence", "Data Persistence", _I, _STATE, payloads.Persistence, 30, ("/ws/integration", "/ws/persistence"), "Data persistence, exports, and backup operations"),
)
# fmt: on

SERVICES: dict[str, ServiceSpec] = {line.name: line for line in _LINES}
"""The twelve services by name, in the order in which clients see them."""

STATES = frozenset(name for name, spec in SERVICES.items() if spec.carries == _STATE)
"""The services that carry a state. All others carry events; so does `system`."""

STALE_INTERVALS = 3
"""Intervals of a service without an update after which it is stale: one or two may fail without anybody acting on it."""

CHANNEL_NAMES = (*SERVICES, SYSTEM)
"""Everything that has a channel: what a gateway subscribes to."""


def of_category(category: str) -> tuple[str, ...]:
    """Names of a category's services, in the order of `SERVICES`."""
    return tuple(name for name, spec in SERVICES.items() if spec.category == category)
