"""The services that a worker can run. A new one is its room here and its line in SERVICES_CODE."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

from shared.catalog import SERVICES
from workers.asking.provider import Provider
from workers.services.service import Service, ServiceContext

SERVICES_CODE: dict[str, str] = {
    "market_data": "workers.services.market_data.service:MarketDataService",
    "explorers": "workers.services.explorers:ExplorersService",
    "news": "workers.services.news.service:NewsService",
    "onchain": "workers.services.onchain.service:OnchainService",
    "rpc_nodes": "workers.services.rpc_nodes.service:RpcNodesService",
    "sentiment": "workers.services.sentiment.service:SentimentService",
    "whale_tracking": "workers.services.whale_tracking.service:WhaleTrackingService",
    "pool_manager": "workers.services.pool_manager:PoolManagerService",
    "scheduler": "workers.services.scheduler:SchedulerService",
    "health_checker": "workers.services.health_checker.service:HealthCheckerService",
    "persistence": "workers.services.persistence.service:PersistenceService",
    "huggingface": "workers.services.huggingface.service:HuggingFaceService",
}
"""Name in the catalogue → "module:Class". The class has `create(context)`."""


def load_service(name: str, context: ServiceContext) -> Service:
    """A new service `name`. KeyError where it has no code yet."""
    service: Service = _kind(name).create(context)
    return service


def sources_of(context: ServiceContext) -> dict[str, tuple[Provider, ...]]:
    """The providers that each service asks with these settings, whoever runs it; services without any are left out.

    Makes no service that asks nobody, and has none do anything: a local model is not loaded. Raises SettingsError.
    """
    idle = replace(context, settings=context.settings.model_copy(update={"model_folder": None}), tells=False)
    found: dict[str, tuple[Provider, ...]] = {}
    for name in SERVICES:
        if name not in SERVICES_CODE or _kind(name).pools == ():
            continue
        pools = load_service(name, idle).pools
        providers = {source.provider.name: source.provider for pool in pools for source in pool.sources}
        if providers:
            found[name] = tuple(providers.values())
    return found


def _kind(name: str) -> Any:
    module, _, attribute = SERVICES_CODE[name].partition(":")
    return getattr(import_module(module), attribute)
