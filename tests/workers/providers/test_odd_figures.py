"""An answer of several figures that is no list: one that does not fit is null, and the others stand."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED
from workers.asking.provider import Request
from workers.asking.rows import noting
from workers.providers import load_provider
from workers.providers.blockchain_com import BlockchainCom

T = TypeVar("T")
BAD: tuple[Any, ...] = ({}, [], "nan", "many", True, -1, 1e300, "-Infinity", "\ud83d")


@pytest.mark.parametrize(
    ("provider", "parser", "at", "figure"),
    [
        ("blockchair", "bitcoin", ("data", "hashrate_24h"), "hashrate"),
        ("blockchair", "bitcoin", ("data", "difficulty"), "difficulty"),
        ("blockchair", "bitcoin", ("data", "mempool_transactions"), "mempool_size"),
        ("blockchair", "bitcoin", ("data", "transactions_24h"), "transactions_count"),
        ("blockchair", "bitcoin", ("data", "suggested_transaction_fee_per_byte_sat"), "fee_fast"),
        ("blockchair", "ethereum", ("data", "transactions_24h"), "transactions_count"),
        ("blockchair", "ethereum", ("data", "suggested_transaction_fee_gwei_options", "normal"), "gas_price_gwei"),
        ("blockchair", "ethereum", ("data", "suggested_transaction_fee_gwei_options"), "gas_price_gwei"),
        ("blockscout", "stats", ("gas_prices",), "gas_price_gwei"),
        ("blockscout", "stats", ("gas_prices", "average"), "gas_price_gwei"),
        ("blockscout", "stats", ("network_utilization_percentage",), "utilization"),
        ("blockchain_com", "stats", ("hash_rate",), "hashrate"),
        ("blockchain_com", "stats", ("difficulty",), "difficulty"),
        ("blockchain_com", "stats", ("n_tx",), "transactions_count"),
        ("mempool", "hashrate", ("currentDifficulty",), "difficulty"),
    ],
)
def test_a_figure_costs_only_itself(provider: str, parser: str, at: tuple[str, ...], figure: str) -> None:
    """Height, and every other figure, stand; the one that is lost is noted."""
    parse = load_provider(provider).parsers[parser]
    body = json.loads((RECORDED / provider / f"{parser}.json").read_bytes())
    whole = parse(json.dumps(body).encode())
    assert getattr(whole, figure) is not None
    others = [name for name in whole.__struct_fields__ if name != figure]
    node = body
    for key in at[:-1]:
        node = node[key]
    for value in BAD:
        if value == 1e300 or (value == {} and at[-1] == "suggested_transaction_fee_gwei_options"):
            continue  # a float, and an object without the figure
        node[at[-1]] = value
        with noting() as misfits:
            spoilt = parse(json.dumps(body).encode())
        assert getattr(spoilt, figure) is None, value
        assert [getattr(spoilt, name) for name in others] == [getattr(whole, name) for name in others]
        assert sum(misfits.figures.values()) == (value != {} or at[-1] != "gas_prices")


async def test_a_source_that_lacks_the_figure_is_not_the_one_to_use() -> None:
    """blockchain.com's hash rate and its transactions of the day are asked for apart: the next source has the other."""
    body = json.loads((RECORDED / "blockchain_com" / "stats.json").read_bytes()) | {"n_tx": "many"}

    async def ask(request: Request[T]) -> T:
        return request.parse(json.dumps(body).encode())

    assert (await BlockchainCom().mining(ask)).hashrate is not None
    with pytest.raises(ProviderError, match="no transactions_count"):
        await BlockchainCom().day(ask)


def test_an_answer_without_its_figure_names_the_field() -> None:
    """What an answer needs is no optional figure of it."""
    body = json.loads((RECORDED / "blockchair" / "bitcoin.json").read_bytes())
    body["data"]["best_block_height"] = "x"
    with pytest.raises(ProviderError) as caught:
        load_provider("blockchair").parsers["bitcoin"](json.dumps(body).encode())
    assert caught.value.field == "$.data.best_block_height"
