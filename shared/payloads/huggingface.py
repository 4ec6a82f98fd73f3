from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.payloads.fields import Payload, UtcTime


class HuggingFace(Payload, frozen=True, kw_only=True):
    """Crypto models and datasets on the Hugging Face hub."""

    total_models: int
    total_datasets: int
    available_models: Annotated[list[str], Meta(description="hub ids, most downloaded first")]
    available_datasets: Annotated[list[str], Meta(description="hub ids, most downloaded first")]
    last_refresh: Annotated[UtcTime, Meta(description="when the hub was last read")]
