"""Hugging Face's own inference provider, for text classification.

https://huggingface.co/docs/inference-providers/providers/hf-inference and
https://huggingface.co/docs/inference-providers/tasks/text-classification. According to users, an answer to several
texts has a list of classes for each. Without `top_k` some models return only their first classes. A model without
recent calls is loaded first: 503 until it is ready. Calls cost credits of the account, and a free account gets a few
per month, so each headline is sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers.labels import tone_of
from workers.asking.provider import Ask, Parsers, ProbePlan, Provider, Request, decode

NAME = "huggingface_inference"
MOST_TEXTS = 25
"""Texts per call: two calls for all headlines that the news service publishes. With more texts, a slow model would not
answer before the attempt ends.
"""
_CLASSES = 10  # classes asked for: all of them, as sentiment models have two to five


class _Class(Struct):
    label: Annotated[str, Meta(min_length=1, max_length=100)]
    score: Annotated[float, Meta(ge=0, le=1)]


_Text = Annotated[list[_Class], Meta(min_length=1)]


def parse_classes(body: bytes) -> tuple[dict[str, float], ...]:
    """Per text, the probability of each class. Raises ProviderError."""
    texts = decode(NAME, body, list[_Text])
    if not texts:
        raise ProviderError(NAME, "no text in the answer")
    return tuple({found.label: found.score for found in text} for text in texts)


class HuggingFaceInference(Provider):
    """A model on the hub that classifies texts."""

    name = NAME
    base_url = "https://router.huggingface.co"
    # Undocumented. We need two for all headlines, then at most one per cycle. Probes get a fifth of a budget and cost
    # credits as well: with this budget per half an hour, that is one probe in five minutes.
    budget = Budget(30, 1800.0)
    key_settings = ("huggingface_model", "huggingface_token")
    needs_key = True
    probe_plan = ProbePlan(3600.0, 10)  # each call costs credits of the account
    parsers: ClassVar[Parsers] = {"classes": parse_classes}

    def __init__(self, key: str) -> None:
        """`key` is `model:token`."""
        self.model, _, self._token = key.partition(":")

    def headers(self) -> Mapping[str, str]:
        """The token."""
        return {"Authorization": f"Bearer {self._token}"}

    async def probe(self, ask: Ask) -> None:
        """See Provider. Classifies one word: the router has no free call that shows that the model works."""
        await self.tones(ask, ("bitcoin",))

    async def tones(self, ask: Ask, texts: Sequence[str]) -> tuple[float, ...]:
        """The tone of each of `texts` (at most MOST_TEXTS) by the model, from -1 to 1. Raises ProviderError."""
        body = msgspec.json.encode({"inputs": texts, "parameters": {"top_k": _CLASSES}})
        answers = await ask(Request(f"/hf-inference/models/{quote(self.model)}", parse_classes, body=body))
        if len(answers) != len(texts):
            raise ProviderError(self.name, f"{len(answers)} answers for {len(texts)} texts")
        try:
            return tuple(tone_of(shares, self.model) for shares in answers)
        except ValueError as error:
            raise ProviderError(self.name, f"{self.model}: {error}") from None
