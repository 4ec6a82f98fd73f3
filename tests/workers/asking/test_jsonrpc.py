"""JSON-RPC: one call as a request, its answer's envelope, errors without secrets; and what real nodes once sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED, UPSTREAM
from workers.answers import EthBlock
from workers.asking.jsonrpc import RpcError, call, is_limited, result_of, result_or_none
from workers.asking.provider import Request, StatusError
from workers.providers.ethereum_rpc import (
    EthereumRpc,
    parse_block,
    parse_header,
    parse_quantity,
    parse_status,
    parse_transfers,
)
from workers.providers.etherscan import Etherscan, parse_height


def body(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1} | members).encode()


def error(code: int, message: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        result_of("ethereum/mine", body(error={"code": code, "message": message}), str)
    return caught.value


def test_a_call_is_a_post_of_one_object() -> None:
    """A call is JSON-RPC 2.0 with an id, posted to the node's own address."""
    request: Request[Any] = call("eth_getBlockByNumber", ("latest", False), parse_header)
    assert request.path == ""
    assert request.body is not None
    assert json.loads(request.body) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_getBlockByNumber",
        "params": ["latest", False],
    }


def test_null_is_an_answer_only_where_something_may_be_missing() -> None:
    """`result: null` is None for what can be found or not, and else an error."""
    assert result_or_none("x", body(result=None), str) is None
    with pytest.raises(ProviderError) as caught:
        result_of("x", body(result=None), str)
    assert caught.value.field == "$.result"


@pytest.mark.parametrize(
    "answer",
    [
        *(body(), body(result="0x1", error={"code": 1, "message": ""}), body(id=2, result="0x1")),
        *(body(id=None, result="0x1"), body(id="1", result="0x1"), body(error="too many requests"), body(error=[])),
        *(b"", b"[]", b"null", b'[{"jsonrpc":"2.0","id":1,"result":"0x1"}]', body(result=1), body(result="1")),
        *(body(result="0x"), body(result="0x-1"), body(result="0x" + "f" * 14), body(result="0x1\n")),
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    """Neither or both of result and error, another call's id, a batch, or no quantity is a ProviderError."""
    with pytest.raises(ProviderError) as caught:
        parse_quantity(answer, "ethereum/mine")
    assert caught.value.provider == "ethereum/mine"


def test_an_error_of_nobodys_call_is_still_an_error() -> None:
    """An error with `id: null` is reported with its code."""
    with pytest.raises(RpcError) as caught:
        parse_quantity(body(id=None, error={"code": -32000, "message": "Unauthorized"}))
    assert caught.value.code == -32000


def test_an_error_is_short_and_has_no_secret() -> None:
    """URLs, keys and hashes are taken out of a node's message, which is cut after a sentence's length."""
    key = "a1b2c3d4e5f6a7b8c9d0e1f2"
    told = str(error(-32000, f"project {key} is over; see https://example.com/{key}\n  " + "word " * 100))
    assert key not in told
    assert "example.com" not in told
    assert told.startswith("ethereum/mine: error -32000: project … is over; see …")
    assert len(told) < 180


@pytest.mark.parametrize(
    ("code", "message", "limited"),
    [
        *((-32005, "limit exceeded", True), (-32016, "over rate limit", True), (429, "", True)),
        *((-32046, "Cannot fulfill request", True), (-32000, "Too Many Requests", True)),
        *((-32000, "missing trie node", False), (-32601, "Method not found", False)),
    ],
)
def test_limits_are_told_from_other_errors(code: int, message: str, limited: bool) -> None:
    """The codes and words of nodes for rate limits are recognised; so are HTTP 429 and 403."""
    assert is_limited(error(code, message)) is limited


@pytest.mark.parametrize("said", [{"code": 429, "message": None}, {"code": "429", "message": ""}, {"code": 429.0}])
def test_a_limit_whatever_its_types(said: dict[str, Any]) -> None:
    """Proxies write the code as a text or a float, and no message: the limit is known all the same."""
    with pytest.raises(RpcError) as caught:
        parse_quantity(body(error=said))
    assert (caught.value.code, caught.value.limited) == (429, True)


@pytest.mark.parametrize(("status", "limited"), [(429, True), (418, True), (403, True), (500, False)])
def test_http_limits(status: int, limited: bool) -> None:
    """An HTTP status reports a rate limit."""
    assert is_limited(StatusError("x", status)) is limited


async def test_another_block_than_asked_for() -> None:
    """A node that answers with another block, or with logs of other blocks or tokens, is not believed."""
    node = EthereumRpc("ethereum/mine")
    recorded = RECORDED / "ethereum_rpc"

    async def ask(request: Request[Any]) -> Any:
        assert request.body is not None
        name = "transfers" if b"eth_getLogs" in request.body else "header"
        return request.parse((recorded / f"{name}.json").read_bytes())

    header = await node.header(ask)
    assert header is not None
    assert await node.header(ask, header.number) == header
    with pytest.raises(ProviderError, match="instead of 7"):
        await node.header(ask, 7)
    tokens = tuple(transfer.contract for transfer in parse_transfers((recorded / "transfers.json").read_bytes()))
    assert len(await node.transfers(ask, tokens, header.number, header.number)) == 2
    with pytest.raises(ProviderError, match="not asked for"):
        await node.transfers(ask, tokens, 7, 8)
    with pytest.raises(ProviderError, match="not asked for"):
        await node.transfers(ask, tokens[:1], header.number, header.number)


def real(name: str, folder: str = "ethereum_rpc") -> bytes:
    """A recorded answer of a real node, as if to a call with our id."""
    path = UPSTREAM / folder / name
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    _, _, answer = path.read_bytes().rpartition(b"<< ")
    return answer if folder != "ethereum_rpc" else json.dumps(json.loads(answer) | {"id": 1}).encode()


def real_block(name: str) -> EthBlock:
    block = parse_block(real(name))
    assert block is not None
    assert parse_header(real(name)) == block.header
    return block


@pytest.mark.parametrize(
    ("name", "number", "transactions", "creations"),
    [
        ("block_full_mainnet_21417107_to_null.json", 21417107, None, True),
        ("block_full_base_11382950_type_0x7e.json", 11382950, None, False),
        ("block_full_bsc_58054314.json", 58054314, None, None),
        ("block_full_polygon_35057569.json", 35057569, None, None),
        ("eth_getBlockByNumber_0x0_true.json", 0, 0, False),
        ("eth_getBlockByNumber_0xb872_true.json", 0xB872, None, False),
        ("spec_getBlockByHash_full.io.txt", 1, None, None),
    ],
)
def test_real_blocks_parse(name: str, number: int, transactions: int | None, creations: bool | None) -> None:
    """Blocks of several chains and ages parse, with all types of transactions and contract creations."""
    block = real_block(name)
    assert block.header.number == number
    assert transactions is None or len(block.transactions) == transactions
    assert transactions == 0 or block.transactions
    assert creations is None or any(transaction.to is None for transaction in block.transactions) is creations
    assert all(transaction.sender == transaction.sender.lower() for transaction in block.transactions)


def test_a_real_block_before_london_has_no_base_fee() -> None:
    """A figure that a block has not is None."""
    assert real_block("eth_getBlockByNumber_0xb872_true.json").header.base_fee is None
    assert real_block("block_full_bsc_58054314.json").header.base_fee == 0


def test_real_figures_logs_and_receipts_parse() -> None:
    """A height, Transfer logs and a receipt from before there was a status."""
    assert parse_quantity(real("publicnode_eth_blockNumber_2026.json")) == 25_092_276
    assert parse_quantity(real("spec_eth_chainId.io.txt")) == 0xC72DD9D5E883E
    transfers = parse_transfers(real("eth_getFilterLogs_transfers.json"))
    assert transfers[0].units == 100_000
    assert parse_status(real("eth_getTransactionReceipt_with_logs.json")) is None


@pytest.mark.parametrize(
    ("name", "code", "limited"),
    [
        ("1rpc_error_getLogs_range.json", -32000, False),
        ("base_over_rate_limit.json", -32016, True),
        ("bsc_getLogs_limit_exceeded.json", -32005, True),
        ("publicnode_error_missing_trie_node.json", -32000, False),
        ("spec_eth_getLogs_error_range.io.txt", -32602, False),
    ],
)
def test_real_errors(name: str, code: int, limited: bool) -> None:
    """Errors that real nodes sent with HTTP 200 are RpcErrors of that code."""
    for parse in EthereumRpc.parsers.values():
        with pytest.raises(RpcError) as caught:
            parse(real(name))
        assert (caught.value.code, is_limited(caught.value)) == (code, limited)


def test_real_answers_of_etherscan() -> None:
    """A proxied answer has an id of its own; errors are reported without their URL."""
    assert parse_height(real("v2_proxy_eth_blockNumber.json", "etherscan")) == 0xB97AA46
    with pytest.raises(ProviderError) as caught:
        parse_height(real("v2_error_chain_not_free.json", "etherscan"))
    assert "Free API access is not supported" in caught.value.reason
    assert "etherscan.io" not in caught.value.reason
    with pytest.raises(ProviderError):
        parse_height(real("v2_no_transactions_found.json", "etherscan"))


async def test_the_key_of_etherscan_is_a_parameter() -> None:
    """The key is sent with each call, and is in no path, header or error."""
    asked = []

    async def ask(request: Request[Any]) -> Any:
        asked.append(request)
        return request.parse(b'{"jsonrpc":"2.0","id":83,"result":"0x10"}')

    provider = Etherscan("secret")
    assert await provider.height(ask) == await provider.gas_price(ask) == 16
    assert [request.params["action"] for request in asked] == ["eth_blockNumber", "eth_gasPrice"]
    assert all(request.params["apikey"] == "secret" for request in asked)
    assert all("secret" not in request.path for request in asked)
