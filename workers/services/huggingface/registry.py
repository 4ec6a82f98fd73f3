"""Registry: the hub's models and datasets with our terms. A term that fails costs its own list, not the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import product

from msgspec import Struct

from shared.errors import ProviderError, RateBudgetError
from shared.outage import Outage
from workers.answers import Repo
from workers.asking.provider import Ask
from workers.providers.huggingface import HuggingFace as Hub

TERMS = ("crypto", "bitcoin", "ethereum", "blockchain")
"""Terms of which an id must contain one. Each further term costs up to ten calls."""
KINDS = ("models", "datasets")

Key = tuple[str, str]
"""A list: its kind and its term."""


class Registry(Struct, frozen=True, kw_only=True):
    """The hub's models and datasets with our terms, each once, most downloaded first."""

    models: tuple[Repo, ...]
    datasets: tuple[Repo, ...]
    failed: tuple[str, ...]
    """Lists that were not read this time, as `models:bitcoin`: they are of an earlier time, or missing."""
    as_of: float
    """Unix seconds when the oldest of its lists was read."""


class _Found(Struct, frozen=True):
    repos: tuple[Repo, ...]
    read_at: float
    """By the sweep's clock."""


class Sweep:
    """Asks for all lists, and keeps the last one of each."""

    def __init__(self, clock: Callable[[], float], keep: float) -> None:
        """`clock` gives seconds and is never set. `keep`: seconds for which a list stands in for one that failed."""
        self._clock = clock
        self._keep = keep
        self._found: dict[Key, _Found] = {}
        self._outages = {
            key: Outage("a list of the hub fails", "a list of the hub is back", clock=clock, list=":".join(key))
            for key in product(KINDS, TERMS)
        }

    async def ask(self, hub: Hub, ask: Ask, now: float) -> Registry:
        """Ask for the lists of all terms at once, and once more for those that failed, unless the hub is limiting us.

        Raises ProviderError, as the first list did, if all of them failed, or those of models or of datasets did and
        none of them was read in the last `keep` seconds.
        """
        errors = await self._read(hub, ask, self._outages)
        if len(errors) < len(self._outages):
            again = [key for key, error in errors.items() if not (error.limited or isinstance(error, RateBudgetError))]
            errors = {key: error for key, error in errors.items() if key not in again} | await self._read(
                hub, ask, again
            )
        for key, outage in self._outages.items():
            if key in errors:
                outage.lost(errors[key])
            else:
                outage.back()
        standing = {key: found for key, found in self._found.items() if self._clock() - found.read_at <= self._keep}
        if len(errors) == len(self._outages) or any(not _of(kind, standing) for kind in KINDS):
            raise next(iter(errors.values()))
        oldest = min(found.read_at for found in standing.values())
        return Registry(
            models=merged(_of("models", standing)),
            datasets=merged(_of("datasets", standing)),
            failed=tuple(":".join(key) for key in self._outages if key in errors),
            as_of=now - (self._clock() - oldest),
        )

    async def _read(self, hub: Hub, ask: Ask, keys: Iterable[Key]) -> dict[Key, ProviderError]:
        """Read lists at once. Returns the errors of those that failed."""
        lists: Mapping[str, Callable[[Ask, str], Awaitable[tuple[Repo, ...]]]] = {
            "models": hub.models,
            "datasets": hub.datasets,
        }
        asked = tuple(keys)
        results = await asyncio.gather(*(lists[kind](ask, term) for kind, term in asked), return_exceptions=True)
        errors: dict[Key, ProviderError] = {}
        for key, result in zip(asked, results, strict=True):
            if isinstance(result, ProviderError):
                errors[key] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                self._found[key] = _Found(result, self._clock())
        return errors


def merged(lists: Iterable[Iterable[Repo]]) -> tuple[Repo, ...]:
    """All of `lists`, each id once, most downloaded first."""
    repos = {repo.name: repo for repos in lists for repo in repos}
    return tuple(sorted(repos.values(), key=lambda repo: (-repo.downloads, repo.name)))


def _of(kind: str, found: Mapping[Key, _Found]) -> list[tuple[Repo, ...]]:
    return [found[key].repos for key in product((kind,), TERMS) if key in found]
