"""The clients in examples/ run against the cluster."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.system.processes import Cluster, Process
from tests.system.test_document_clients import NODE_FOLDER, needs_node

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_the_python_example_prints_updates_and_ends(cluster: Cluster) -> None:
    """examples/python_client.py receives as many updates as it was asked for, then exits with 0."""
    client = await Process(
        "example", [sys.executable, "examples/python_client.py", cluster.ws("/ws/market_data"), "--updates", "2"], {}
    ).start()
    assert await client.child.wait() == 0, client.output
    assert "market_data" in client.output


async def test_the_python_example_prints_a_line_per_update(cluster: Cluster) -> None:
    """Updates of any service are lines of at most 100 columns, whatever they hold."""
    arguments = ["--subscribe", "news", "explorers", "health_checker", "--updates", "4"]
    client = await Process(
        "example", [sys.executable, "examples/python_client.py", cluster.ws("/ws"), *arguments], {}
    ).start()
    assert await client.child.wait() == 0, client.output
    assert max(map(len, client.output.splitlines())) <= 100, client.output


@needs_node
async def test_the_node_example_prints_updates_and_ends(cluster: Cluster) -> None:
    """examples/node_client.js receives as many updates as it was asked for, then exits with 0."""
    node = shutil.which("node")
    assert node is not None
    client = await Process(
        "example",
        [node, "examples/node_client.js", cluster.ws("/ws/market_data"), "--updates", "2"],
        {"NODE_PATH": str(NODE_FOLDER / "node_modules")},
    ).start()
    assert await client.child.wait() == 0, client.output
    assert "market_data" in client.output


@needs_node
async def test_the_node_example_prints_a_line_per_update(cluster: Cluster) -> None:
    """So does examples/node_client.js."""
    node = shutil.which("node")
    assert node is not None
    arguments = ["--subscribe", "news,explorers,health_checker", "--updates", "4"]
    client = await Process(
        "example",
        [node, "examples/node_client.js", cluster.ws("/ws"), *arguments],
        {"NODE_PATH": str(NODE_FOLDER / "node_modules")},
    ).start()
    assert await client.child.wait() == 0, client.output
    assert max(map(len, client.output.splitlines())) <= 100, client.output
