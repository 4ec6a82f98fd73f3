"""How old the figures of huggingface may get."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

REGISTRY = Bound("huggingface", 86_400.0)  # there is no other hub; after a day without an answer the list is outdated
HEADLINES = 1800.0
"""Seconds during which an update of news counts as current: thirty of its intervals."""

FIGURES: Figures = dict.fromkeys(
    ("total_models", "total_datasets", "available_models[]", "available_datasets[]"), (REGISTRY,)
)
