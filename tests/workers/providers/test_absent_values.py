"""What is not there: left out, null, or an empty text, which are the same; and lists that are empty or too short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import ROOT
from tests.workers.providers.test_providers import RECORDINGS, label, parser_of, plain
from workers.asking.rows import noting
from workers.providers.blockchain_com import parse_block as parse_bitcoin_block
from workers.providers.esplora import Esplora, parse_estimates, parse_transaction
from workers.providers.ethereum_rpc import parse_block, parse_header, parse_status, parse_transfers
from workers.services.whale_tracking.large import large_bitcoin

CASES = ROOT.parent / "shared" / "cases" / "answers"
RECORDED = ROOT / "tests" / "recorded"
REFUSED = "refused"
Rows = tuple[tuple[list[Any], int], ...]
"""List rows, by their list and place."""
MEANT = (("coinmarketcap", "error_code"),)
"""Texts that mean something when they are empty: no error."""
SAYS_NOTHING = ("coingecko/ping",)
"""Recordings whose texts are not read, only that they are texts."""


def case(name: str) -> Any:
    """A case of the project's, with its input."""
    path = CASES / f"{name}.input.json"
    if not path.exists():
        pytest.skip("no cases here")
    return json.loads(path.read_bytes())


def texts(node: Any, rows: Rows = ()) -> Iterator[tuple[dict[str, Any], str, Rows]]:
    """Every text of a JSON value that a key has: its object, the key, and the list rows around it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield node, key, rows
            yield from texts(value, rows)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from texts(value, (*rows, (node, place)))


def answer(path: Path, body: Any) -> Any:
    """What a parser makes of a body."""
    try:
        return plain(parser_of(path)(json.dumps(body).encode()))
    except ProviderError:
        return REFUSED


@pytest.mark.parametrize(
    "path", [path for path in RECORDINGS if path.suffix == ".json" and label(path) not in SAYS_NOTHING], ids=label
)
def test_an_empty_text_is_as_good_as_absent(path: Path) -> None:
    """Whatever text of an answer is empty: the answer is that with null or without the text, or without its row."""
    body = json.loads(path.read_bytes())
    for node, key, rows in list(texts(body)):
        text = node[key]
        node[key] = ""
        empty = answer(path, body)
        node[key] = None
        expected = [REFUSED, answer(path, body)]
        del node[key]
        expected.append(answer(path, body))
        node[key] = text
        for row, place in rows:
            left_out = row.pop(place)
            expected.append(answer(path, body))
            row.insert(place, left_out)
        assert empty in expected or (path.parent.name, key) in MEANT, f"{key}: an empty text is believed"


@pytest.mark.parametrize("tag", [b"title", b"link", b"guid", b"pubDate", b"description"])
@pytest.mark.parametrize("path", [path for path in RECORDINGS if path.suffix == ".xml"], ids=label)
def test_an_empty_tag_is_as_good_as_absent(path: Path, tag: bytes) -> None:
    """The articles of a feed are the same, whether a tag of one is empty or left out."""
    head, item, rest = re.split(rb"(<item\b.*?</item>)", path.read_bytes(), maxsplit=1, flags=re.DOTALL)
    whole = re.compile(rb"<%b(\s[^>]*)?>.*?</%b>" % (tag, tag), re.DOTALL)

    def articles(to: bytes) -> Any:
        try:
            return plain(parser_of(path)(head + whole.sub(to, item) + rest))
        except ProviderError:
            return REFUSED

    assert articles(b"<%b></%b>" % (tag, tag)) == articles(b"<%b> </%b>" % (tag, tag)) == articles(b"")


BELIEVED = {
    "blockchain_com/latest": "the numbers of a block's transactions are not read",
    "blockchair/ethereum": "its lists are not read",
    "coingecko/coin": "its lists are not read",
    "coingecko/coin-unvoted": "its lists are not read",
    "esplora/mempool": "the histogram of fees is not read",
    "ethereum_rpc/head": "the transactions of a header are only counted",
    "etherscan/head": "as above",
    "ethereum_rpc/header": "as above",
    "ethereum_rpc/header-old": "as above",
    "ethereum_rpc/logs": "see LogProof",
    "ethereum_rpc/receipts": "see LogProof",
    "ethereum_rpc/transfers": "see LogProof",
    "mempool/hashrate": "the history is not read",
    "mempool/mempool": "the histogram of fees is not read",
    "reddit/listing": "a subreddit may have no new posts; those of others count, and nothing is told twice or lost",
}
"""Recordings that parse with their lists empty, and why."""


@pytest.mark.parametrize("path", RECORDINGS, ids=label)
def test_an_empty_list_is_no_answer(path: Path) -> None:
    """An answer whose lists are empty is refused, except where the list is not read or proven elsewhere."""
    body = path.read_bytes()
    if path.suffix == ".xml":
        emptied = re.sub(rb"<(item|entry)\b.*?</\1>", b"", body, flags=re.DOTALL)
    else:
        emptied = json.dumps(without_rows(json.loads(body))).encode()
        if json.loads(emptied) == json.loads(body):
            return
    if label(path) in BELIEVED:
        parser_of(path)(emptied)
        return
    with pytest.raises(ProviderError):
        parser_of(path)(emptied)


def without_rows(value: Any) -> Any:
    """A JSON value with every list empty."""
    if isinstance(value, dict):
        return {key: without_rows(child) for key, child in value.items()}
    return [] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("esplora/transaction", ("vin",)),
        ("mempool/transaction", ("vout",)),
        ("esplora/page", (1, "vin")),
        ("mempool/page", (1, "vout")),
        ("blockchain_com/block", ("tx", 1, "inputs")),
        ("blockchain_com/block", ("tx", 1, "out")),
    ],
)
def test_a_transaction_has_inputs_and_outputs(path: str, at: tuple[Any, ...]) -> None:
    """One without inputs would count as a coinbase, and hide what it moves."""
    file = RECORDED / f"{path}.json"
    body = node = json.loads(file.read_bytes())
    for key in at[:-1]:
        node = node[key]
    node[at[-1]] = []
    with pytest.raises(ProviderError, match="without inputs or outputs"):
        parser_of(file)(json.dumps(body).encode())


def rpc(result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def recorded(name: str) -> Any:
    return json.loads((RECORDED / "ethereum_rpc" / f"{name}.json").read_bytes())["result"]


def without(value: Any, *keys: str) -> Any:
    """A copy of a JSON value whose objects lack these keys."""
    if isinstance(value, dict):
        return {key: without(child, *keys) for key, child in value.items() if key not in keys}
    return [without(child, *keys) for child in value] if isinstance(value, list) else value


def test_a_contract_creation_without_to() -> None:
    """`to` may be null, left out, or empty: the receiver is nobody."""
    block = recorded("block")
    (creation,) = [tx for tx in block["transactions"] if tx["to"] is None]
    expected = parse_block(rpc(block))
    assert expected is not None
    assert None in [tx.to for tx in expected.transactions]
    for to in ("", "0x"):
        creation["to"] = to
        assert parse_block(rpc(block)) == expected
    del creation["to"]
    assert parse_block(rpc(block)) == expected
    creation["to"] = "0x12"
    with pytest.raises(ProviderError):
        parse_block(rpc(block))


def test_a_creation_of_a_case() -> None:
    """The block of the case has one transaction, to nobody."""
    body = json.dumps(case("transaction_without_to")).encode()
    block = parse_block(body)
    assert block is not None
    assert [tx.to for tx in block.transactions] == [None]


@pytest.mark.parametrize("name", ["block", "block-layer2"])
def test_members_that_nodes_leave_out(name: str) -> None:
    """A block is read without what is not in every chain's and every node's: only the bloom is then unknown."""
    block = recorded(name)
    expected, header = parse_block(rpc(block)), parse_header(rpc(block))
    assert expected is not None
    assert header == expected.header
    optional = (
        *("type", "chainId", "input", "gasPrice", "withdrawals", "withdrawalsRoot", "transactionsRoot", "uncles"),
        *("blobGasUsed", "excessBlobGas", "mixHash", "nonce", "size", "v", "r", "s", "yParity", "accessList"),
    )
    assert parse_block(rpc(without(block, *optional))) == expected
    old = parse_block(rpc(without(block, "baseFeePerGas", "logsBloom")))
    assert old is not None
    assert (old.header.base_fee, old.header.bloom) == (None, None)
    assert old.transactions == expected.transactions
    for bloom in (None, "", "0x", "0x00", "0x" + "g" * 512):
        assert parse_block(rpc(block | {"logsBloom": bloom, "baseFeePerGas": ""})) == old


@pytest.mark.parametrize("status", [None, "", "0x"])
def test_a_receipt_without_a_status(status: str | None) -> None:
    """Before 2017 there was none: it is unknown, not a failure."""
    assert parse_status(rpc(recorded("status") | {"status": status})) is None


@pytest.mark.parametrize("data", ["", "0x", "0x12", "0x" + "g" * 64])
def test_a_transfer_without_an_amount_is_no_answer(data: str) -> None:
    """A list of transfers is complete or refused."""
    logs = recorded("transfers")
    logs[0]["data"] = data
    with pytest.raises(ProviderError):
        parse_transfers(rpc(logs))


EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


@pytest.mark.parametrize(
    ("members", "believed"),
    [
        ({"gasUsed": "0x0"}, True),
        ({"gasUsed": "0x0", "transactionsRoot": EMPTY_ROOT}, True),
        ({"gasUsed": "0x0", "transactionsRoot": ""}, True),
        ({"gasUsed": "0x5208"}, False),
        ({"gasUsed": "0x5208", "transactionsRoot": EMPTY_ROOT}, False),
        ({"gasUsed": "0x0", "transactionsRoot": "0x" + "12" * 32}, False),
    ],
)
def test_a_block_without_transactions(members: dict[str, str], believed: bool) -> None:
    """It used no gas, and its root is that of an empty trie; otherwise its transactions are missing."""
    block = without(recorded("block"), "transactionsRoot") | {"transactions": []} | members
    if believed:
        parsed = parse_block(rpc(block))
        assert parsed is not None
        assert parsed.transactions == ()
    else:
        with pytest.raises(ProviderError, match="no transaction"):
            parse_block(rpc(block))


def test_a_bitcoin_block_has_as_many_transactions_as_it_says() -> None:
    """blockchain.com's `n_tx`, if there is one."""
    body = json.loads((RECORDED / "blockchain_com" / "block.json").read_bytes())
    parse_bitcoin_block(json.dumps(without(body, "n_tx")).encode())
    for spoilt in (body | {"n_tx": 3}, body | {"tx": body["tx"][:1]}, body | {"tx": []}):
        with pytest.raises(ProviderError, match="of a block's"):
            parse_bitcoin_block(json.dumps(spoilt).encode())


@pytest.mark.parametrize("provider", ["esplora", "mempool"])
def test_a_payment_from_and_to_outputs_without_an_address(provider: str) -> None:
    """60 BTC from nobody known to nobody known: an empty address of a payer is not that of the payee."""
    for address in ({"scriptpubkey_address": ""}, {"scriptpubkey_address": None}, {}):
        row = {
            "txid": "aa" * 32,
            "vin": [{"is_coinbase": False, "prevout": {"value": 6_000_000_000, **address}}],
            "vout": [
                {"value": 5_000_000_000, **address},
                {"value": 1_000_000_000, "scriptpubkey_address": "bc1qchange"},
            ],
        }
        transfer = large_bitcoin(parse_transaction(provider, json.dumps(row).encode()), 1.0, 90_000.0, 1e6)
        assert transfer is not None
        assert (transfer.amount, transfer.sender, transfer.to) == (60.0, None, None)


def test_the_payment_of_a_case() -> None:
    """60 BTC, as if the addresses were left out."""
    tx = parse_transaction("mempool", json.dumps(case("mempool_empty_address")).encode())
    transfer = large_bitcoin(tx, 1.0, 90_000.0, 1e6)
    assert transfer is not None
    assert (transfer.amount, transfer.sender, transfer.to) == (60.0, None, None)


@pytest.mark.parametrize(
    ("rates", "fees"),
    [
        ({"1": 9.5, "2": 8.0, "3": 7.0, "6": 6.0, "144": 1.0}, (9.5, 7.0, 6.0)),
        ({"2": 62.769, "3": 59.354, "4": 32.934, "6": 25.608, "10": 24.383}, (62.769, 59.354, 25.608)),
        ({"2": 8.0, "4": 7.0, "144": 1.0}, (8.0, 8.0, 7.0)),
        ({"1": 0, "2": 8.0}, (8.0, 8.0, 8.0)),
        ({"3": 7.0}, (None, 7.0, 7.0)),
        ({"504": 5.026, "144": 5.026, "1008": 5.026}, (None, None, None)),
    ],
)
def test_fees_of_targets_that_are_left_out(rates: dict[str, float], fees: tuple[float | None, ...]) -> None:
    """The fee for two blocks stands for the next one; else the longest wait within the target is enough, or unknown."""
    stats = parse_estimates(json.dumps(rates).encode())
    assert (stats.fee_fast, stats.fee_medium, stats.fee_slow) == fees


def test_estimates_without_a_target_are_no_answer() -> None:
    """Numbers of something else are not fees."""
    for body in (b"{}", b'{"code": 429}', b'{"99999": 1}', b'{"-1": 1}', '{"²": 1}'.encode(), b'{"2": 0}'):
        with pytest.raises(ProviderError):
            parse_estimates(body)


BLOCKS = [{"id": "00" * 32, "height": 920_000, "timestamp": 1_795_341_600, "difficulty": 1.5e14}]


@pytest.mark.parametrize(
    ("spoilt", "figures"),
    [
        ({}, (920_000, 12_345, 62.769)),
        ({"/fee-estimates": {}}, (920_000, 12_345, None)),
        ({"/fee-estimates": {"504": 5.026}}, (920_000, 12_345, None)),
        ({"/fee-estimates": {"2": "62"}}, (920_000, 12_345, None)),
        ({"/mempool": {}}, (920_000, None, 62.769)),
        ({"/mempool": {"count": "many"}, "/fee-estimates": []}, (920_000, None, None)),
    ],
)
async def test_one_part_does_not_sink_the_others(spoilt: dict[str, Any], figures: tuple[Any, ...]) -> None:
    """Fees or a mempool that can't be read cost their own figures, not the height."""
    answers = {"/blocks": BLOCKS, "/mempool": {"count": 12_345}, "/fee-estimates": {"2": 62.769, "3": 59.354}} | spoilt

    async def ask(request: Any) -> Any:
        return request.parse(json.dumps(answers[request.path]).encode())

    with noting() as misfits:
        stats = await Esplora().tip(ask)
    assert (stats.latest_block, stats.mempool_size, stats.fee_fast) == figures
    refused = {path for path in spoilt if path != "/fee-estimates" or spoilt[path] != {"504": 5.026}}
    assert set(misfits.rows) == {path.strip("/") for path in refused}
    answers["/blocks"] = []
    with pytest.raises(ProviderError):
        await Esplora().tip(ask)


async def test_the_fees_of_a_case() -> None:
    """Height and mempool of a node without fees for the next block, with the best fees that there are."""
    answers = case("esplora_fees_without_next_block")

    async def ask(request: Any) -> Any:
        return request.parse(json.dumps(answers[request.path]).encode())

    stats = await Esplora().tip(ask)
    assert (stats.latest_block, stats.mempool_size) == (920_000, 12_345)
    assert (stats.fee_fast, stats.fee_medium, stats.fee_slow) == (62.769, 59.354, 25.608)
