"""What DefiLlama's answers mean, beyond the contract of every provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED, UPSTREAM
from workers.providers.defillama import chain_id, parse_chains, parse_fees


def recorded(parser: str) -> Any:
    return json.loads((RECORDED / "defillama" / f"{parser}.json").read_bytes())


def row(**fields: Any) -> dict[str, Any]:
    return {"name": "Ethereum", "chains": ["Ethereum"], "protocolType": "chain", "total24h": 5, **fields}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ethereum", "ethereum"),
        ("BSC", "bsc"),
        ("Binance", "bsc"),
        ("OP Mainnet", "optimism"),
        ("Optimism", "optimism"),
        ("xDai", "gnosis"),
        ("Hyperliquid L1", "hyperliquid-l1"),
        ("ZKsync Era", "zksync-era"),
        ("Polygon zkEVM", "polygon-zkevm"),
        (" - ", ""),
    ],
)
def test_chains_have_ids_of_ours(name: str, expected: str) -> None:
    """Lower case, no spaces, and one id for a chain that DefiLlama has called by several names."""
    assert chain_id(name) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"protocolType": "protocol"},
        {"protocolType": None},
        {"chains": ["Ethereum", "Base"]},
        {"chains": []},
        {"chains": None},
        {"total24h": None},
        {"total24h": 0},
        {"total24h": -3},
        {"latestFetchIsOk": False},
    ],
    ids=str,
)
def test_other_rows_are_no_fees_of_a_chain(fields: dict[str, Any]) -> None:
    """An application, a row of several chains, and a figure that is unknown or old leave the chain out."""
    body = json.dumps({"protocols": [row(**fields), row(name="Base", chains=["Base"])]}).encode()
    assert parse_fees(body) == {"base": 5.0}


def test_fees_without_a_chain_are_no_answer() -> None:
    """An overview in which no chain has fees is a failure, not a world without fees."""
    with pytest.raises(ProviderError, match="no chain with fees"):
        parse_fees(json.dumps({"protocols": [row(total24h=None)]}).encode())


def test_chains_without_a_value_are_no_answer() -> None:
    """Nothing locked anywhere is a failure."""
    with pytest.raises(ProviderError, match="no chain with a value"):
        parse_chains(json.dumps([{"name": "Ethereum", "tvl": 0}, {"name": "Base", "tvl": None}]).encode())


def test_a_total_that_is_no_number_is_no_overview() -> None:
    """Outside of its rows, an answer of another form is refused with the path of what does not fit."""
    with pytest.raises(ProviderError) as caught:
        parse_fees(json.dumps(recorded("fees") | {"total24h": "much"}).encode())
    assert caught.value.field == "$.total24h"


@pytest.mark.parametrize("fields", [{"latestFetchIsOk": "no"}, {"latestFetchIsOk": 0}, {"protocolType": ["chain"]}])
def test_a_row_that_does_not_say_whether_it_counts_does_not(fields: dict[str, Any]) -> None:
    """A flag that can't be read is never read as a good one."""
    body = json.dumps({"protocols": [row(**fields), row(name="Base", chains=["Base"])]}).encode()
    assert parse_fees(body) == {"base": 5.0}


@pytest.mark.parametrize(
    ("odd", "complete"),
    [
        (row(total24h="?"), False),
        (row(chains="Ethereum"), False),
        (row(protocolType=["chain"]), False),
        (None, False),
        ({"protocolType": "protocol", "total24h": "?"}, True),
        (row(total24h=None), True),
    ],
)
def test_fees_do_not_add_up_without_a_chain(odd: Any, complete: bool) -> None:
    """The others stand; whether they are all is told by whether the odd row may be a chain's."""
    fees = parse_fees(json.dumps({"protocols": [odd, row(name="Base", chains=["Base"])]}).encode())
    assert (fees, fees.complete) == ({"base": 5.0}, complete)


def test_value_locked_does_not_add_up_without_a_chain() -> None:
    """A chain whose value can't be read is missing from the sum, which is told."""
    body = recorded("chains")
    assert parse_chains(json.dumps(body).encode()).complete
    odd = parse_chains(json.dumps([*body, {"name": "Ethereum", "tvl": "6e10"}]).encode())
    assert (odd, odd.complete) == (parse_chains(json.dumps(body).encode()), False)


def test_the_real_row_of_a_chain() -> None:
    """The one recorded element of /v2/chains."""
    path = UPSTREAM / "defillama" / "v2_chains_one_element.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    assert parse_chains(path.read_bytes()) == {"optimism": 641696587.4735153}
