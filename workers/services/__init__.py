"""The services that a worker can run: one folder here per line of the catalogue, with the same name.

The folder `whale_tracking` has `service.py` with the class `WhaleTrackingService`, which takes a ServiceContext.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

from shared.catalog import SERVICES
from workers.asking.provider import Provider
from workers.services.service import Service, ServiceContext


def load_service(name: str, context: ServiceContext) -> Service:
    """A new service `name`. Raises LookupError if it has no folder, and SettingsError as the service itself does."""
    service: Service = service_class(name)(context)
    return service


def sources_of(context: ServiceContext) -> dict[str, tuple[Provider, ...]]:
    """The providers that each service asks with these settings; services without providers are left out.

    It constructs every service but runs none; a local model is not loaded. Raises SettingsError.
    """
    idle = replace(context, settings=context.settings.model_copy(update={"model_folder": None}), logs_unused=False)
    found: dict[str, tuple[Provider, ...]] = {}
    for name in SERVICES:
        if service_class(name).pools == ():
            continue
        pools = load_service(name, idle).pools
        providers = {source.provider.name: source.provider for pool in pools for source in pool.sources}
        if providers:
            found[name] = tuple(providers.values())
    return found


def service_class(name: str) -> Any:
    """The class of service `name`. Raises LookupError with the missing part."""
    module, kind = f"{__name__}.{name}.service", name.title().replace("_", "") + "Service"
    try:
        return getattr(import_module(module), kind)
    except AttributeError:
        raise LookupError(f"{module.replace('.', '/')}.py has no class {kind}") from None
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise  # a missing module that the folder imports
        raise LookupError(f"there is no {module.replace('.', '/')}.py") from None
