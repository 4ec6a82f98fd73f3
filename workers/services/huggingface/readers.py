"""Readers of headlines: a model on the hub, a local model, or the lexicon. Each text is read once."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from shared.errors import NoSourceError
from shared.outage import Outage
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.providers.huggingface_inference import MOST_TEXTS, HuggingFaceInference
from workers.services.huggingface.onnx_model import BATCH, ModelError, OnnxModel
from workers.services.sentiment.tone import tone

Method = Literal["hub_model", "local_model", "lexicon"]

_REMEMBERED = 1000
"""Texts whose tone is cached: twenty lists of headlines; beyond that the least recently used are dropped."""


class Reading(NamedTuple):
    """The tone of texts, and the model that read them."""

    method: Method
    model: str | None
    """Name of the model, None for the lexicon."""
    tone: float
    """Mean of all texts, from -1 to 1."""


class Reader(Protocol):
    """A model that rates the tone of texts."""

    method: Method
    model: str
    """Its name."""
    at_once: int
    """Most texts per call."""

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        """The tone of each text, from -1 to 1, within `deadline` seconds. None for a text without an answer."""
        ...


class HubReader:
    """A model on the hub, behind a pool, which pauses it after a failure."""

    method: Method = "hub_model"
    at_once = MOST_TEXTS

    def __init__(self, pool: SourcePool[HuggingFaceInference]) -> None:
        """`pool` has one source."""
        self._pool = pool
        self.model = pool.sources[0].provider.model

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        """See Reader. The pool logs failures."""

        async def question(provider: HuggingFaceInference, ask: Ask) -> Sequence[float]:
            return await provider.tones(ask, texts)

        try:
            _, tones = await self._pool.ask(question, deadline)
        except NoSourceError:
            return None
        return tones


class LocalReader:
    """A model in this process; it computes in a thread."""

    method: Method = "local_model"
    at_once = BATCH

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.model = model.name
        self._outage = Outage("local model down", "local model back", model=model.name)

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        """See Reader. A thread can't be stopped, so a batch that has begun is finished for the next cycle."""
        try:
            tones = await asyncio.to_thread(self._model.tones, texts)
        except ModelError as error:
            self._outage.lost(error)
            return None
        self._outage.back()
        return tones


class Readers:
    """Models, the best first, and after them the lexicon: VADER with words of this field. It always answers.

    The score comes from the first that has read all texts, never from two of them.
    """

    def __init__(self, models: Sequence[Reader], clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read yet; without `models` the lexicon answers."""
        self._models = [(model, OrderedDict[str, float]()) for model in models]
        self._clock = clock

    async def read(self, texts: Sequence[str], deadline: float) -> Reading:
        """The tone of `texts`, which are at least one.

        A model that fails, or needs more than `deadline` seconds, continues in the next cycle. Until it has read all
        texts, the next model answers.
        """
        end = self._clock() + deadline
        for model, known in self._models:
            if await self._complete(model, known, texts, end):
                return Reading(model.method, model.model, _mean([known[text] for text in texts]))
        return Reading("lexicon", None, _mean([tone(text) for text in texts]))

    async def _complete(self, model: Reader, known: OrderedDict[str, float], texts: Sequence[str], end: float) -> bool:
        """Have `model` read those of `texts` that it has not read yet. Returns whether all of them are read now."""
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for text in dict.fromkeys(texts):
            if text in known:
                known.move_to_end(text)
        for begin in range(0, len(new), model.at_once):
            part = new[begin : begin + model.at_once]
            if (left := end - self._clock()) <= 0:
                return False
            tones = await model.read(part, left)
            if tones is None:
                return False
            known.update(zip(part, tones, strict=True))
            while len(known) > max(_REMEMBERED, len(texts)):
                known.popitem(last=False)
        return True


def _mean(tones: Sequence[float]) -> float:
    return math.fsum(tones) / len(tones)
