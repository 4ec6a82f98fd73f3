"""What reads headlines: a model on the hub, a local model, or the lexicon. Each text is read once."""

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
"""Texts whose tone is kept: twenty lists of headlines; beyond it the least recently used are read again."""


class Reading(NamedTuple):
    """How texts sound, and who says so."""

    method: Method
    model: str | None
    """Name of the model, None for the lexicon."""
    tone: float
    """Mean of all texts, from -1 to 1."""


class Reader(Protocol):
    """A model that can say how texts sound."""

    method: Method
    model: str
    """Its name."""
    at_once: int
    """Texts to give it at most."""

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        """Of each of `texts` its tone from -1 to 1, within `deadline` seconds, or None where it can't say."""
        ...


class HubReader:
    """A model on the hub, behind a pool, which leaves it alone for a while when it fails."""

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
    """A model in this process; its arithmetic runs in a thread."""

    method: Method = "local_model"
    at_once = BATCH

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.model = model.name
        self._outage = Outage("local model down", "local model back", model=model.name)

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        """See Reader. A batch that has begun is not given up: a thread can't be stopped, and the next cycle has it."""
        try:
            tones = await asyncio.to_thread(self._model.tones, texts)
        except ModelError as error:
            self._outage.lost(error)
            return None
        self._outage.back()
        return tones


class Readers:
    """Models, the best first, and behind them the lexicon: VADER with the words of this field, which is always there.

    The first that has read all texts speaks, so that one score is never made of two.
    """

    def __init__(self, models: Sequence[Reader], clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read yet; without `models` the lexicon is asked."""
        self._models = [(model, OrderedDict[str, float]()) for model in models]
        self._clock = clock

    async def read(self, texts: Sequence[str], deadline: float) -> Reading:
        """What `texts`, at least one, sound like.

        A model that fails, or is not done when `deadline` seconds have passed, goes on in the next cycle where it
        stopped; until it has read all, the one after it speaks.
        """
        end = self._clock() + deadline
        for model, known in self._models:
            if await self._complete(model, known, texts, end):
                return Reading(model.method, model.model, _mean([known[text] for text in texts]))
        return Reading("lexicon", None, _mean([tone(text) for text in texts]))

    async def _complete(self, model: Reader, known: OrderedDict[str, float], texts: Sequence[str], end: float) -> bool:
        """Have `model` read those of `texts` that it does not know; whether it knows all of them now."""
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
