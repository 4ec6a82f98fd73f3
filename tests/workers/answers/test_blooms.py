"""Blooms of blocks: what they prove to be absent."""

from __future__ import annotations

import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import UPSTREAM
from workers.answers.blooms import HEX, Bloom, bits_of

EMPTY = "0x" + "0" * (HEX - 2)
ITEMS = st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32)


def bloom_of(*items: str) -> str:
    return f"0x{reduce(lambda bits, item: bits | bits_of(item), items, 0):0{HEX - 2}x}"


@given(st.lists(ITEMS.map(lambda item: "0x" + item.hex()), max_size=50))
def test_nothing_that_is_there_is_proven_absent(items: list[str]) -> None:
    """Every item of a bloom seems to be in it, in capitals too; a bloom of nothing holds none."""
    bloom = Bloom(bloom_of(*items))
    assert all(bloom.may_hold(item) and bloom.may_hold("0x" + item[2:].upper()) for item in items)
    assert not any(Bloom(EMPTY).may_hold(item) for item in items)


def test_a_log_needs_a_contract_and_a_topic() -> None:
    """Without one of the contracts, or one of the topics, there is no such log."""
    contract, topic, other = "0x" + "aa" * 20, "0x" + "bb" * 32, "0x" + "cc" * 20
    assert Bloom(bloom_of(contract, topic)).may_hold_log((other, contract), (topic,))
    assert not Bloom(bloom_of(contract)).may_hold_log((contract,), (topic,))
    assert not Bloom(bloom_of(topic)).may_hold_log((contract,), (topic,))


def test_the_chance_grows_with_the_bits() -> None:
    """It is the share of bits that are set, cubed: 0 for none, 1 for all."""
    assert Bloom(EMPTY).chance == 0
    assert Bloom("0x" + "f" * (HEX - 2)).chance == 1
    assert Bloom("0x" + "5" * (HEX - 2)).chance == 0.125


@pytest.mark.parametrize("text", ["", "0x", "0x00", "0" * HEX, "0x" + "g" * (HEX - 2), EMPTY + "0"])
def test_what_is_no_bloom(text: str) -> None:
    """Other than 2048 bits of hex is a ValueError."""
    with pytest.raises(ValueError, match=r"not 2048 bits|invalid literal"):
        Bloom(text)


def test_a_recorded_bloom_is_that_of_its_logs() -> None:
    """The bloom of a real receipt has the bits of its logs' addresses and topics, and no others."""
    path = UPSTREAM / "ethereum_rpc" / "eth_getTransactionReceipt_with_logs.json"
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    receipt = json.loads(path.read_bytes())["result"]
    assert receipt["logsBloom"] == bloom_of(
        *(item for log in receipt["logs"] for item in (log["address"], *log["topics"]))
    )
