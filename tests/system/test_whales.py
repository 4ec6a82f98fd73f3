"""A whale on a real chain, from its block to a client of the gateway: all of it processes of their own."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import websockets

from tests.anvil import ALICE, BOB, running_anvil
from tests.system.clients import until_message, update
from tests.system.processes import Cluster

pytestmark = pytest.mark.slow


async def test_a_client_hears_of_a_whale_on_a_real_chain(tmp_path: Path) -> None:
    """5,000 ETH are sent on an Ethereum node; a client of /ws/whale_tracking receives that transaction's hash."""
    async with running_anvil(tmp_path, "--block-time", "1") as anvil:
        cluster = Cluster(tmp_path, f"test-{uuid.uuid4().hex[:8]}")
        cluster.env["RPC_NODES"] = f"ethereum/anvil={anvil.url}"
        cluster.workers = [cluster.worker()]
        try:
            await cluster.start()
            async with websockets.connect(cluster.ws("/ws/whale_tracking")) as client:
                first = await update(client, "whale_tracking", 40.0)
                assert "ethereum/anvil" in first["data"]["sources"]
                transaction = {"from": ALICE, "to": BOB, "value": hex(5000 * 10**18)}
                whale = await anvil.rpc("eth_sendTransaction", transaction)

                def has_it(message: dict[str, object]) -> bool:
                    data = message["data"]
                    assert isinstance(data, dict)
                    return whale in [entry["hash"] for entry in data.get("large_transactions", [])]

                message = await until_message(client, has_it, 50.0)
                (entry,) = [entry for entry in message["data"]["large_transactions"] if entry["hash"] == whale]
                assert (entry["chain"], entry["symbol"], entry["amount"]) == ("ethereum", "ETH", 5000.0)
                assert (entry["from"], entry["to"]) == (ALICE, BOB)
                assert entry["value"] == entry["value_usd"] > message["data"]["alert_threshold"]
                after = await update(client, "whale_tracking", 30.0)
                assert whale not in [entry["hash"] for entry in after["data"]["large_transactions"]]
        finally:
            await cluster.stop()
