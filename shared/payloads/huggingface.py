from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime

Score = Annotated[float, Meta(ge=0, le=1)]


class HeadlineSentiment(Struct, frozen=True, kw_only=True):
    """The tone of the current headlines, and the method that measured it."""

    method: Annotated[
        Literal["hub_model", "local_model", "lexicon"],
        Meta(description="hub_model with a token, local_model with a folder of one, else lexicon"),
    ]
    model: Annotated[str | None, Meta(description="name of the model; null for the lexicon")]
    score: Annotated[Score, Meta(description="mean over the headlines: 0 is fully bearish, 1 fully bullish")]
    headlines: Annotated[int, Meta(description="how many were read")]


class HuggingFace(Payload, frozen=True, kw_only=True):
    """Crypto models and datasets on the Hugging Face hub, and a model's reading of the headlines."""

    total_models: Annotated[int, Meta(description="found by the search terms, each counted once")]
    total_datasets: Annotated[int, Meta(description="found by the search terms, each counted once")]
    available_models: Annotated[list[str], Meta(description="hub ids, most downloaded first; at most 100")]
    available_datasets: Annotated[list[str], Meta(description="hub ids, most downloaded first; at most 100")]
    failed_terms: Annotated[
        list[str],
        Meta(description="lists not read in the last refresh (`models:bitcoin`): of an earlier one, or missing"),
    ]
    last_refresh: Annotated[UtcTime, Meta(description="when the hub was last read")]
    sentiment: Annotated[HeadlineSentiment | None, Meta(description="null while there are no headlines")]
    sources: Annotated[list[str], Meta(description="providers of these figures; `news` where headlines count")]
