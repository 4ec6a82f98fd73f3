"""What the providers of explorers read, beyond the contract of every provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED, UPSTREAM
from workers.answers import BitcoinStats
from workers.asking.provider import Provider, Request
from workers.providers import load_provider
from workers.providers.blockchair import Blockchair

T = TypeVar("T")


def recorded(provider: str, parser: str) -> Any:
    return json.loads((RECORDED / provider / f"{parser}.json").read_bytes())


def parsed(provider: str, parser: str, body: Any) -> Any:
    return load_provider(provider).parsers[parser](json.dumps(body).encode())


class Answers:
    """An Ask that answers from recordings, by path; it keeps what was asked."""

    def __init__(self, provider: Provider, parsers: Mapping[str, str]) -> None:
        self.asked: list[tuple[str | None, str, Mapping[str, str]]] = []
        self._name = provider.name
        self._parsers = parsers

    async def __call__(self, request: Request[T]) -> T:
        self.asked.append((request.base_url, request.path, request.params))
        body = (RECORDED / self._name / f"{self._parsers[request.path]}.json").read_bytes()
        return request.parse(body)


@pytest.mark.parametrize(
    ("provider", "parser", "at", "value", "field"),
    [
        ("mempool", "tip", (0, "height"), "x", "$[0].height"),
        ("mempool", "blocks", (0, "id"), "no hash", "$[0].id"),
        ("mempool", "fees", ("hourFee",), -1, "$.hourFee"),
        ("mempool", "page", (1, "vout", 0, "value"), 10**17, "$[1].vout[0].value"),
        ("mempool", "hashrate", ("currentHashrate",), None, "$.currentHashrate"),
        ("esplora", "estimates", ("6",), "51", "$[...]"),
        ("esplora", "mempool", ("count",), 1.5, "$.count"),
        ("blockchain_com", "block", ("tx", 1, "out", 0, "value"), -1, "$.tx[1].out[0].value"),
        ("blockchair", "ethereum", ("data", "best_block_height"), -1, "$.data.best_block_height"),
        ("blockscout", "stats", ("transactions_today",), "many", "$.transactions_today"),
    ],
)
def test_an_error_names_the_field(provider: str, parser: str, at: tuple[Any, ...], value: Any, field: str) -> None:
    """A wrong field fails the whole answer, and the error holds its path."""
    body = node = recorded(provider, parser)
    for key in at[:-1]:
        node = node[key]
    node[at[-1]] = value
    with pytest.raises(ProviderError) as caught:
        parsed(provider, parser, body)
    assert caught.value.field == field


@pytest.mark.parametrize("provider", ["mempool", "esplora"])
def test_blocks_are_sorted(provider: str) -> None:
    """The newest block is the highest, in whatever order they came."""
    rows = recorded("esplora", "blocks")
    assert [block.height for block in parsed(provider, "blocks", rows[::-1])] == [969462, 969461]
    assert parsed(provider, "tip", rows[::-1]).latest_block == 969462


def test_an_input_without_what_it_spends_is_no_answer() -> None:
    """Only a coinbase spends nothing; elsewhere a missing amount would make a transaction look smaller than it is."""
    page, block = recorded("mempool", "page"), recorded("blockchain_com", "block")
    page[1]["vin"][0]["prevout"] = None
    block["tx"][1]["inputs"][0]["prev_out"] = None
    for provider, parser, body in (
        ("mempool", "page", page),
        ("esplora", "page", page),
        ("blockchain_com", "block", block),
    ):
        with pytest.raises(ProviderError, match="does not say what it spends"):
            parsed(provider, parser, body)


def test_nobody_has_more_than_all_bitcoin() -> None:
    """An amount beyond 21 million is an error of the upstream."""
    body = recorded("mempool", "summary")
    body[0]["value"] = 21_000_000 * 10**8 + 1
    with pytest.raises(ProviderError):
        parsed("mempool", "summary", body)


def test_zero_is_unknown_where_it_can_not_be() -> None:
    """A hash rate, a day's transactions or a fee of zero is null; an empty mempool may be."""
    chair = recorded("blockchair", "bitcoin")
    chair["data"] |= {"hashrate_24h": "0", "transactions_24h": 0, "mempool_transactions": 0, "difficulty": 0}
    assert parsed("blockchair", "bitcoin", chair) == BitcoinStats(
        latest_block=700002, block_time=1_680_530_690.0, mempool_size=0, fee_fast=21.0, as_of=1_761_050_991.0
    )
    stats = recorded("blockchain_com", "stats") | {"n_tx": 0, "hash_rate": 0.0}
    assert parsed("blockchain_com", "stats", stats) == BitcoinStats(difficulty=6702169884349.0, as_of=1_557_646_525.0)


def test_gigahashes_are_hashes() -> None:
    """blockchain.com counts its hash rate in GH/s; a number beyond all measure is an error, not infinity."""
    stats = recorded("blockchain_com", "stats")
    assert parsed("blockchain_com", "stats", stats).hashrate == pytest.approx(4.49775e19, rel=1e-5)
    with pytest.raises(ProviderError):
        parsed("blockchain_com", "stats", stats | {"hash_rate": 1e300})


def test_three_figures_of_blockchain_com_are_not_read() -> None:
    """Whatever it says of fees and of the miners' revenue, which are wrong for years, nothing changes."""
    stats = recorded("blockchain_com", "stats")
    before = parsed("blockchain_com", "stats", stats)
    wrong = dict.fromkeys(("total_fees_btc", "miners_revenue_usd", "miners_revenue_btc"), -80_000_000_000)
    assert parsed("blockchain_com", "stats", stats | wrong) == before


def test_a_refusal_of_blockchair_is_told() -> None:
    """If `data` is null, the error is the one in its context."""
    body = {"data": None, "context": {"code": 430, "error": "Your IP is blocked"}}
    with pytest.raises(ProviderError, match="Your IP is blocked"):
        parsed("blockchair", "bitcoin", body)


def test_a_chart_gives_its_newest_point() -> None:
    """The last day counts, in whatever order the points came; a chart of another status or none is an error."""
    chart = recorded("blockchain_com", "chart")
    chart["values"].reverse()
    assert parsed("blockchain_com", "chart", chart) == (1669852800.0, 2626041872.0538573)
    for spoilt in (chart | {"status": "error"}, chart | {"values": []}):
        with pytest.raises(ProviderError):
            parsed("blockchain_com", "chart", spoilt)


@pytest.mark.parametrize(
    ("provider", "paths"),
    [
        ("mempool", {"/v1/blocks": "tip", "/mempool": "mempool", "/v1/fees/precise": "fees"}),
        ("esplora", {"/blocks": "tip", "/mempool": "mempool", "/fee-estimates": "estimates"}),
    ],
)
async def test_statistics_are_three_calls(provider: str, paths: dict[str, str]) -> None:
    """Height, difficulty, mempool and fees come together."""
    source: Any = load_provider(provider)
    answers = Answers(source, paths)
    stats = await source.tip(answers)
    assert {path for _, path, _ in answers.asked} == set(paths)
    assert (stats.latest_block, stats.mempool_size) == (969462, 90420)
    assert stats.fee_fast >= stats.fee_medium >= stats.fee_slow > 0
    assert stats.hashrate is stats.transactions_count is None


async def test_blockchain_com_has_two_hosts() -> None:
    """The chain is asked at blockchain.info, statistics and charts at api.blockchain.info."""
    source: Any = load_provider("blockchain_com")
    answers = Answers(source, {"/latestblock": "latest", "/stats": "stats", "/charts/n-transactions": "chart"})
    assert (await source.latest(answers)).height == 969462
    await source.stats(answers)
    await source.chart(answers, "n-transactions")
    assert [host for host, _, _ in answers.asked] == ["https://blockchain.info", None, None]


async def test_blockchair_is_asked_once_in_a_while() -> None:
    """Requests within 100 s get the cached answer, to save calls of the day."""
    now = 0.0
    source = Blockchair(clock=lambda: now)
    answers = Answers(source, {"/bitcoin/stats": "bitcoin"})
    first = await source.stats(answers)
    now = 99.0
    assert await source.stats(answers) == first
    assert len(answers.asked) == 1
    now = 100.0
    await source.stats(answers)
    assert len(answers.asked) == 2


async def test_a_key_of_blockchair_goes_with_the_query() -> None:
    """No other parameter does: an unknown one would be refused."""
    source = Blockchair("secret")
    answers = Answers(source, {"/bitcoin/stats": "bitcoin", "/ethereum/stats": "ethereum"})
    await source.stats(answers)
    await source.ethereum_day(answers)
    assert [params for _, _, params in answers.asked] == [{"key": "secret"}] * 2
    assert not source.headers()
    assert source.budget.units / source.budget.seconds > Blockchair().budget.units / Blockchair().budget.seconds


def test_transactions_once_recorded_parse() -> None:
    """Real transactions of every kind of output: those of data, bare keys and multisig have no address."""
    path = UPSTREAM / "mempool" / "transactions-random.json"
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    page = load_provider("mempool").parsers["page"](path.read_bytes())
    assert [len(tx.inputs) for tx in page] == [1, 9, 1, 10]
    assert [output.address is None for output in page[3].outputs][:4] == [True, False, True, False]


@pytest.mark.parametrize(
    ("provider", "parser", "file"),
    [
        ("mempool", "fees", "mempool/v1_fees_recommended_2026-10.json"),
        ("mempool", "mempool", "mempool/mempool_2026-10.json"),
        ("mempool", "tip", "mempool/v1_blocks_2026-10_first_element.json"),
        ("blockchain_com", "stats", "blockchain.com/doc_stats_2019-05.json"),
        ("blockchain_com", "chart", "blockchain.com/charts_estimated-transaction-volume-usd_2022-12.json"),
        ("blockchair", "bitcoin", "blockchair/bitcoin_stats_2023-04_edited.json"),
        ("blockchair", "bitcoin", "blockchair/dogecoin_stats_2025.json"),
    ],
)
def test_real_answers_parse(provider: str, parser: str, file: str) -> None:
    """What the real upstream once sent parses whole."""
    path = UPSTREAM / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    assert load_provider(provider).parsers[parser](path.read_bytes())


@pytest.mark.parametrize("file", ["mempool/error_429.html", "blockchair/error_dont_abuse.txt"])
@pytest.mark.parametrize("provider", ["mempool", "esplora", "blockchain_com", "blockchair", "blockscout"])
def test_real_errors_are_provider_errors(provider: str, file: str) -> None:
    """Error bodies that were really sent raise ProviderError, should they ever come with status 200."""
    path: Path = UPSTREAM / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    for parse in load_provider(provider).parsers.values():
        with pytest.raises(ProviderError):
            parse(path.read_bytes())
