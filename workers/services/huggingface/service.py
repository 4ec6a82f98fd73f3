"""huggingface: crypto models and datasets on the Hugging Face hub, and the tone of current headlines by a model.

The registry is refreshed every quarter of an hour: 4 terms, models and datasets, at most 5 pages of each. That is 40
calls at first; afterwards most pages have not changed. The hub allows 500 in five minutes. A term that fails leaves its
last list as it was for a day, and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from shared.errors import NoSourceError, ProviderError
from shared.payloads import HuggingFace, News
from shared.payloads.huggingface import HeadlineSentiment
from shared.timestamps import iso
from workers.asking.moments import Moments
from workers.asking.parts import Part, refresh_parts
from workers.asking.pool import SourcePool
from workers.providers.huggingface import HuggingFace as Hub
from workers.providers.huggingface_inference import HuggingFaceInference
from workers.services.huggingface.figures import HEADLINES, REGISTRY
from workers.services.huggingface.onnx_model import OnnxModel
from workers.services.huggingface.readers import HubReader, LocalReader, Reader, Readers
from workers.services.huggingface.registry import Registry, Sweep
from workers.services.service import Service, ServiceContext

log = structlog.get_logger()

MOST_LISTED = 100
"""Published ids per list, a message of some 6 kB; the others are only counted."""
_REFRESH = 900.0  # s: the order depends on downloads of 30 days


class HuggingfaceService(Service):
    """One part, the registry, and readers for the headlines that the news service publishes."""

    def __init__(self, context: ServiceContext) -> None:
        """Nothing is asked yet; a local model is loaded. Raises SettingsError if that can't be used."""
        self._context = context
        hub: SourcePool[Hub] = context.pool("huggingface", ("huggingface",))
        sweep = Sweep(hub.clock, REGISTRY.longest)
        self._registry: Part[Hub, Registry] = Part(
            hub, sweep.ask, refresh=_REFRESH, keep=REGISTRY.longest, dated=lambda registry: registry.as_of
        )
        self._inference: SourcePool[HuggingFaceInference] = context.pool(
            "huggingface headlines", ("huggingface_inference",)
        )
        models: list[Reader] = [HubReader(self._inference)] if self._inference.sources else []
        if context.settings.model_folder is not None:
            models.append(LocalReader(OnnxModel(context.settings.model_folder)))
        self._readers = Readers(models, context.clock)
        self._news_fits = True

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return (self._registry.pool, self._inference) if self._inference.sources else (self._registry.pool,)

    async def collect(self, now: float, deadline: float) -> HuggingFace:
        """See Service. Raises NoSourceError if the hub's last answer is older than a day.

        It is also raised if the hub fails now and there are no headlines either.
        """
        end = self._context.clock() + deadline
        titles, published = await self._titles(now)
        await refresh_parts("huggingface", (self._registry,), now, deadline, stands=bool(titles))
        registry = self._registry.answer
        if registry is None:
            raise NoSourceError("huggingface", self._errors())
        sentiment = await self._sentiment(titles, end - self._context.clock()) if titles else None
        moments = Moments(self._context.label)
        moments.note(registry.source, self._registry.moment(now))
        if sentiment is not None:
            moments.note("news", published)
            if sentiment.method == "hub_model":
                moments.note("huggingface_inference", published)  # what it says of a headline does not change
        return HuggingFace(
            total_models=len(registry.value.models),
            total_datasets=len(registry.value.datasets),
            available_models=[repo.name for repo in registry.value.models[:MOST_LISTED]],
            available_datasets=[repo.name for repo in registry.value.datasets[:MOST_LISTED]],
            failed_terms=list(registry.value.failed),
            last_refresh=iso(registry.received),
            sentiment=sentiment,
            sources=moments.sources,
            as_of=moments.as_of,
            timestamp=iso(now),
        )

    async def _titles(self, now: float) -> tuple[list[str], float]:
        """The current headlines, from the newest update of `news`, which another worker publishes; and its time.

        Its age is by the clock of Redis: the other worker's may differ from ours.
        """
        last = (await self._context.bus.last_publishes(("news",))).get("news")
        envelope = await self._context.bus.newest("news")
        if envelope is None or last is None or last.age is None or last.age > HEADLINES:
            return [], now
        try:
            news = msgspec.convert(envelope.data, News)
        except msgspec.ValidationError as error:
            if self._news_fits:
                log.warning("headlines of an update that does not fit are not read", reason=str(error))
            self._news_fits = False
            return [], now
        self._news_fits = True
        return [article.title for article in news.articles], now - last.age

    async def _sentiment(self, titles: Sequence[str], deadline: float) -> HeadlineSentiment:
        reading = await self._readers.read(titles, deadline)
        return HeadlineSentiment(
            method=reading.method,
            model=reading.model,
            score=round((reading.tone + 1) / 2, 4),
            headlines=len(titles),
        )

    def _errors(self) -> list[ProviderError]:
        return [source.error for source in self._registry.pool.sources if source.error is not None]
