"""The table of contract events: each topic is the hash of its signature."""

from __future__ import annotations

import pytest

from shared.keccak import keccak256
from workers.services.onchain.contracts import NAMES, WATCHED, Watched


@pytest.mark.parametrize("watched", WATCHED, ids=lambda watched: f"{watched.contract[:8]} {watched.event}")
def test_a_topic_is_the_hash_of_its_signature(watched: Watched) -> None:
    """What nodes are asked for is what contracts log."""
    assert watched.topic == "0x" + keccak256(watched.signature.encode()).hex()


def test_no_event_is_there_twice() -> None:
    """A contract and a topic name one event."""
    assert len(NAMES) == len(WATCHED)
