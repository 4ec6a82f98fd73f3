"""The programs printed in the API document run against the cluster as they stand there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.system.document import program
from tests.system.processes import ROOT, SEED, Cluster, Process

NODE_FOLDER = ROOT / "tests" / "node"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not SEED.exists(), reason="the API document is not beside this checkout"),
]
needs_node = pytest.mark.skipif(
    "CI" not in os.environ  # which has Node, and must run them
    and (shutil.which("node") is None or not (NODE_FOLDER / "node_modules" / "ws").is_dir()),
    reason="needs node and its ws package (make node-modules)",
)


async def run_python(text: str, folder: Path) -> Process:
    script = folder / "program.py"
    script.write_text(text, encoding="utf-8")
    return await Process("the document's program", [sys.executable, str(script)], {}).start()


async def run_node(text: str, folder: Path) -> Process:
    script = folder / "program.js"
    script.write_text(text, encoding="utf-8")
    preload = str(NODE_FOLDER / "websocket.cjs")
    return await Process("the document's program", ["node", "-r", preload, str(script)], {}).start()


async def test_the_quick_start_in_python_subscribes_to_whale_tracking(cluster: Cluster, tmp_path: Path) -> None:
    """The document's first Python program connects, is welcomed, and its subscription is confirmed."""
    client = await run_python(program("python", "# Subscribe to whale tracking", cluster.ws("")), tmp_path)
    await client.prints("'type': 'connection_established'")
    await client.prints("'available_services': {'data_collection': [")
    await client.prints("'service': 'whale_tracking', 'subscriptions': ['whale_tracking']")
    await client.end()


async def test_the_python_client_receives_market_data(cluster: Cluster, tmp_path: Path) -> None:
    """The document's Python client class subscribes on connection_established and prints prices."""
    client = await run_python(program("python", "class CryptoWebSocketClient", cluster.ws("")), tmp_path)
    await client.prints("Connected to /ws/master")
    await client.prints("Client ID: client_")
    await client.prints("Prices: {'bitcoin': ")
    await client.end()


@needs_node
async def test_the_quick_start_in_javascript_receives_market_data(cluster: Cluster, tmp_path: Path) -> None:
    """The document's first JavaScript program connects and receives an update of market_data."""
    client = await run_node(program("javascript", "// Connect to the master endpoint", cluster.ws("")), tmp_path)
    await client.prints("Connected!")
    await client.prints("type: 'subscription_confirmed'")
    await client.prints("type: 'update'")
    await client.end()


@needs_node
async def test_the_javascript_class_receives_market_data(cluster: Cluster, tmp_path: Path) -> None:
    """The document's JavaScript class connects, learns its client id, and its onUpdate prints prices."""
    client = await run_node(program("javascript", "class CryptoWebSocketClient", cluster.ws("")), tmp_path)
    await client.prints("Connected to /ws/master")
    await client.prints("Client ID: client_")
    await client.prints("Prices: {")
    await client.prints("bitcoin: ")
    await client.end()
