"""JSON-RPC nodes as the simulator shows them, and Etherscan's view of the same chain."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.faults import Fault, FaultName
from simulator.hosts.ethereum_rpc import CHAIN_OF
from simulator.world.clock import Clock
from simulator.world.ethereum import NETWORKS, Ethereum, EvmChain
from simulator.world.ethereum_blocks import TOKENS, TRANSFER
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE, LATE_TOO = "ethereum-rpc.publicnode.com", "eth.drpc.org"


def number(quantity: str) -> int:
    return int(quantity, 16)


async def rpc(client: httpx.AsyncClient, host: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
    answer = (await client.post("/", json=body, headers={"Host": host})).json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer.get("result", answer.get("error"))


async def test_all_nodes_of_a_chain_show_one_chain(
    client: httpx.AsyncClient, simulator: Simulator, clock: Clock
) -> None:
    """Every node has its chain's id and is at most a block behind; blocks are the same."""
    for host, name in CHAIN_OF.items():
        chain = EvmChain(simulator.market, name)
        assert number(await rpc(client, host, "eth_chainId")) == NETWORKS[name].chain_id
        height = number(await rpc(client, host, "eth_blockNumber"))
        assert chain.height(clock.now()) - height in (0, 1)
        block = await rpc(client, host, "eth_getBlockByNumber", hex(height - 1), False)
        assert block["hash"] == chain.hash_of(height - 1)
        assert await rpc(client, host, "eth_syncing") is False


async def test_nodes_are_late_at_times(client: httpx.AsyncClient, simulator: Simulator, clock: Clock) -> None:
    """Each gets about one block in twelve late; which, is its own; none ever goes back."""
    chain, late = Ethereum(simulator.market), {NODE: 0, LATE_TOO: 0}
    last = dict.fromkeys(late, 0)
    for _ in range(100):
        clock.advance(12)
        heights = {host: number(await rpc(client, host, "eth_blockNumber")) for host in late}
        for host, height in heights.items():
            assert height >= last[host]
            last[host] = height
            late[host] += height < chain.height(clock.now())
    assert all(1 <= count <= 25 for count in late.values())


async def test_a_block_to_come_is_null(client: httpx.AsyncClient) -> None:
    """What a node has not seen is null: blocks, receipts of them."""
    height = number(await rpc(client, NODE, "eth_blockNumber"))
    assert await rpc(client, NODE, "eth_getBlockByNumber", hex(height + 2), True) is None
    assert await rpc(client, NODE, "eth_getBlockReceipts", hex(height + 2)) is None
    assert await rpc(client, NODE, "eth_getTransactionReceipt", "0x" + "ab" * 32) is None


async def test_logs_by_address_and_topic(client: httpx.AsyncClient) -> None:
    """eth_getLogs gives those of these contracts with these topics, of the range that was asked for."""
    height = number(await rpc(client, NODE, "eth_blockNumber"))
    first, last = hex(height - 20), hex(height)
    every = await rpc(client, NODE, "eth_getLogs", {"fromBlock": first, "toBlock": last})
    token = TOKENS[0].contract
    wanted = {"fromBlock": first, "toBlock": last, "address": [token.upper().replace("0X", "0x")]}
    some = await rpc(client, NODE, "eth_getLogs", wanted | {"topics": [TRANSFER]})
    assert some == [log for log in every if log["address"] == token and log["topics"][0] == TRANSFER]
    sender = some[0]["topics"][1]
    few = await rpc(client, NODE, "eth_getLogs", wanted | {"topics": [[TRANSFER], sender]})
    assert few == [log for log in some if log["topics"][1] == sender]
    assert await rpc(client, NODE, "eth_getLogs", wanted | {"topics": ["0x" + "1" * 64]}) == []


async def test_limits_of_logs(client: httpx.AsyncClient) -> None:
    """A range of more than 1000 blocks is refused, one backwards too; one node has no logs at all."""
    assert (await rpc(client, NODE, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x3e9"}))["code"] == -32000
    assert (await rpc(client, NODE, "eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x1"}))["code"] == -32602
    assert (await rpc(client, "bsc-dataseed.binance.org", "eth_getLogs", {}))["code"] == -32005


async def test_fees(client: httpx.AsyncClient) -> None:
    """Gas price and fee history are the chain's: base fees of each block and the next, tips by percentile."""
    history = await rpc(client, NODE, "eth_feeHistory", "0x3", "latest", [10, 50, 90])
    height = number(await rpc(client, NODE, "eth_blockNumber"))
    assert number(history["oldestBlock"]) == height - 2
    chain = await rpc(client, NODE, "eth_getBlockByNumber", "latest", False)
    assert history["baseFeePerGas"][2] == chain["baseFeePerGas"]
    assert history["gasUsedRatio"][2] == number(chain["gasUsed"]) / number(chain["gasLimit"])
    tips = [[number(tip) for tip in block] for block in history["reward"]]
    assert all(sorted(block) == block and block[0] > 0 for block in tips)
    assert number(await rpc(client, NODE, "eth_gasPrice")) > number(history["baseFeePerGas"][3])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"method": "eth_nope"}, -32601),
        ({"method": "eth_getBlockByNumber", "params": ["1", True]}, -32602),
        ({"method": "eth_getBlockByNumber", "params": []}, -32602),
        ({"method": "eth_getBlockByNumber", "params": [None, True]}, -32602),
        ({"method": "eth_getTransactionReceipt", "params": ["0x1"]}, -32602),
        ([{"method": "eth_blockNumber"}], -32600),
        ({}, -32600),
    ],
)
async def test_refusals(client: httpx.AsyncClient, body: Any, code: int) -> None:
    """What can't be answered is an error object with HTTP 200; a batch is refused."""
    answer = await client.post("/", json=body, headers={"Host": NODE})
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)


@pytest.mark.parametrize("host", [NODE, "api.mainnet-beta.solana.com"])
@pytest.mark.parametrize(
    ("fault", "status", "code"), [("429", 429, -32005), ("500", 500, -32603), ("error_in_200", 200, -32016)]
)
async def test_faults(
    client: httpx.AsyncClient, simulator: Simulator, host: str, fault: FaultName, status: int, code: int
) -> None:
    """A node refuses by an error object, whatever the status."""
    simulator.faults.set(Fault(host=host, fault=fault))
    answer = await client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "any"}, headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("host", "method"), [(NODE, "eth_blockNumber"), ("solana-rpc.publicnode.com", "getBlockHeight")]
)
async def test_wrong_types(client: httpx.AsyncClient, simulator: Simulator, host: str, method: str) -> None:
    """`wrong_types` makes an object of the figure."""
    simulator.faults.set(Fault(host=host, fault="wrong_types"))
    assert (await rpc(client, host, method)).keys() == {"value"}


async def test_absence(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """With `no_logs` a block has no logs and no receipts, with `no_rows` no transactions either; its gas stays."""
    number = await rpc(client, NODE, "eth_blockNumber")
    real = await rpc(client, NODE, "eth_getBlockByNumber", number, True)
    for fault, block in (("no_logs", real), ("no_rows", real | {"transactions": []})):
        simulator.faults.set(Fault(host=NODE, fault=fault))
        assert await rpc(client, NODE, "eth_getLogs", {"blockHash": real["hash"]}) == []
        assert await rpc(client, NODE, "eth_getBlockReceipts", number) == []
        assert await rpc(client, NODE, "eth_getBlockByNumber", number, True) == block
    assert real["gasUsed"] != "0x0"
    assert real["logsBloom"] != "0x" + "0" * 512


async def test_slow_keeps_the_call(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """`slow` answers what was asked in the body that came before the wait."""
    simulator.faults.set(Fault(host=NODE, fault="slow", seconds=0.05))
    assert await rpc(client, NODE, "eth_chainId") == "0x1"


async def test_solana(client: httpx.AsyncClient, clock: Clock) -> None:
    """Slots of 0.4 s, blocks beneath them, health and mainnet's first hash."""
    hosts = ("api.mainnet-beta.solana.com", "solana-rpc.publicnode.com")
    assert {await rpc(client, host, "getHealth") for host in hosts} == {"ok"}
    slot, height = [await rpc(client, hosts[0], method) for method in ("getSlot", "getBlockHeight")]
    assert height < slot
    clock.advance(20)
    assert await rpc(client, hosts[1], "getBlockHeight") == height + 50
    assert (await rpc(client, hosts[0], "getGenesisHash")).startswith("5eykt4")


async def test_etherscan(ask: Ask, simulator: Simulator, clock: Clock) -> None:
    """Its proxy shows the same chain; without a key, or for another chain, it is an error with HTTP 200."""
    chain, params = Ethereum(simulator.market), {"chainid": "1", "module": "proxy", "apikey": "k"}
    ask_for = "api.etherscan.io", "/v2/api"
    head = (await ask(*ask_for, **params, action="eth_blockNumber")).json()
    assert number(head["result"]) == chain.height(clock.now())
    gas = (await ask(*ask_for, **params, action="eth_gasPrice")).json()
    assert number(gas["result"]) == chain.gas_price(clock.now())
    for wrong in ({"apikey": ""}, {"chainid": "56"}, {"module": "account"}):
        answer = await ask(*ask_for, **(params | wrong), action="eth_blockNumber")
        assert (answer.status_code, answer.json()["status"]) == (200, "0")
