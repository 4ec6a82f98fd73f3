"""Tools of others read `/openapi.json` and `/asyncapi.json`: validators, and generators of TypeScript."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.gateway.serving import Gateway
from tests.gateway.stocked import examples
from tests.gateway.stocked import stocked as settings
from tests.places import ROOT

__all__ = ["settings"]

pytestmark = pytest.mark.slow  # compilers and validators

NODE = ROOT / "tests" / "node"
DEADLINE = 120.0  # seconds: a compiler of TypeScript on a machine that is busy
BUILT_IN = {"Array", "Date", "Error", "Function", "Map", "Number", "Object", "Promise", "Set", "String", "Symbol"}

needs_node = pytest.mark.skipif(
    "CI" not in os.environ  # which has Node, and must run them
    and (shutil.which("node") is None or not (NODE / "node_modules" / "@asyncapi").is_dir()),
    reason="needs node and its packages (make node-modules)",
)


async def run(*command: str | Path, said: bytes = b"") -> tuple[int | None, str]:
    """A command's status, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(DEADLINE):
        printed, _ = await process.communicate(said)
    return process.returncode, printed.decode()


async def test_the_openapi_document_is_valid(gateway: Gateway) -> None:
    """openapi-spec-validator finds nothing wrong with it as OpenAPI 3.1."""
    document = await gateway.document("openapi")
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


@needs_node
async def test_the_asyncapi_document_is_valid(gateway: Gateway) -> None:
    """@asyncapi/parser finds nothing to say of it, not even that there is a newer AsyncAPI."""
    document = await gateway.document("asyncapi")
    found = await run("node", NODE / "validate_asyncapi.cjs", said=json.dumps(document).encode())
    assert found == (0, "")


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
async def test_no_schema_has_the_name_of_a_type_of_the_language(gateway: Gateway, name: str) -> None:
    """A generated client could not use its own `Error` otherwise."""
    assert not BUILT_IN & set((await gateway.document(name))["components"]["schemas"])


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
async def test_a_document_says_where_it_holds_and_that_no_key_is_needed(gateway: Gateway, name: str) -> None:
    """It names servers, and asks for no credentials in so many words."""
    document: dict[str, Any] = await gateway.document(name)
    assert document["servers"]
    secured = [document] if name == "openapi" else list(document["servers"].values())
    assert all(place["security"] == [] for place in secured)


async def test_every_message_has_a_title_of_its_own(gateway: Gateway) -> None:
    """So has its payload, as an identifier, which no schema has: generated types are named after it."""
    document = await gateway.document("asyncapi")
    messages = document["components"]["messages"].values()
    assert len({message["title"] for message in messages}) == len(messages)
    types = {message["payload"]["title"] for message in messages}
    assert len(types) == len(messages)
    assert all(name.isidentifier() and name[0].isupper() for name in types)
    assert not types & set(document["components"]["schemas"])


@needs_node
async def test_clients_in_typescript_can_be_generated(gateway: Gateway, tmp_path: Path) -> None:
    """With types made from both documents a program compiles that names fields, and none that names wrong ones."""
    for name in ("openapi", "asyncapi"):
        (tmp_path / f"{name}.json").write_text(json.dumps(await gateway.document(name)))
    shutil.copy(NODE / "client.ts", tmp_path)
    assert await run("node", NODE / "generate_types.mjs", tmp_path) == (0, "")
    options = ("--strict", "--noEmit", "--target", "es2022", "--lib", "es2022", "--pretty", "false")
    compiler = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    assert await run("node", compiler, *options, tmp_path / "client.ts") == (0, "")


@needs_node
async def test_a_generated_client_compiles_and_runs(gateway: Gateway, tmp_path: Path) -> None:
    """openapi-fetch with generated types calls every route under `/api/v1`; the compiler checks libraries, too."""
    for name in ("openapi", "asyncapi"):
        (tmp_path / f"{name}.json").write_text(json.dumps(await gateway.document(name)))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    for name in ("api.ts", "tsconfig.json"):
        shutil.copy(NODE / name, tmp_path)
    assert await run("node", NODE / "generate_types.mjs", tmp_path) == (0, "")
    compiler = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    assert await run("node", compiler, "--pretty", "false", "--project", tmp_path) == (0, "")
    program = f"import {{ run }} from '{tmp_path}/api.js'; console.log(JSON.stringify(await run(process.argv[1])))"
    address = f"http://127.0.0.1:{gateway.node.port}"
    status, printed = await run("node", "--input-type=module", "--eval", program, address)
    assert status == 0, printed
    found = json.loads(printed)
    event, highs, price = (
        found.pop("event"),
        found.pop("highs"),
        json.loads(examples()["market_data"])["prices"]["bitcoin"],
    )
    assert event["data"] == {"prices": {"bitcoin": price}}
    assert set(highs) == {price}
    assert found == {
        "price": price,
        "recorded": [price, price],
        "next": 2,
        "coins": ["BTC", "ETH"],
        "schema": True,
        "unknown": [400, []],
    }
