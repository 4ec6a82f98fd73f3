"""The image, and what the stack left behind in logs and in Redis' list of refusals."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote

import pytest

from tests.compose.stack import ROOT, VERSION, Stack

IMAGE = f"coinwire:{VERSION}"
BASE = "python:3.13-slim"
BUILD_TOOLS = ("gcc", "cc", "g++", "clang", "ld", "as", "make", "cmake", "cargo", "go", "git", "pip", "pip3", "uv")
MEGABYTE = 1_000_000


async def size(stack: Stack, image: str) -> int:
    """Bytes of an image, unpacked."""
    return int(await stack.run("docker", "image", "inspect", "--format", "{{.Size}}", image))


async def test_the_image_has_no_build_tool(stack: Stack) -> None:
    """No compiler, no linker, no installer of packages, neither as a program nor as a module."""
    look = f"for tool in {' '.join(BUILD_TOOLS)}; do command -v $tool; done; true"
    assert await stack.run("docker", "run", "--rm", IMAGE, "sh", "-c", look) == ""
    for module in ("pip", "ensurepip", "setuptools"):
        gone = await stack.run("docker", "run", "--rm", IMAGE, "python", "-c", f"import {module}", check=False)
        assert "ModuleNotFoundError" in gone


async def test_the_image_has_only_what_runs(stack: Stack) -> None:
    """/app holds the packages and the documentation that gateways serve; no test, no .env, no .git, no data."""
    found = (await stack.run("docker", "run", "--rm", IMAGE, "ls", "-A", "/app")).split()
    assert sorted(found) == ["commands", "docs", "gateway", "launcher", "shared", "simulator", "workers"]


async def test_the_image_has_no_secret(stack: Stack) -> None:
    """No layer and no setting of the image holds a credential; those of the stack are in its volumes only."""
    inspected = json.loads(await stack.run("docker", "image", "inspect", IMAGE))[0]
    names = {line.partition("=")[0] for line in inspected["Config"]["Env"]}
    assert not [name for name in names if re.search("PASSWORD|SECRET|TOKEN|KEY|URL", name)], names
    history = await stack.run("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert not re.search("password|secret|token|://[^ ]*@", history, re.IGNORECASE)
    assert (
        await stack.run(
            "docker", "run", "--rm", IMAGE, "sh", "-c", "ls -A /run/coinwire /run/secrets 2>/dev/null; true"
        )
        == ""
    )


async def test_no_credential_of_the_stack_is_told(stack: Stack) -> None:
    """Neither logs nor `docker inspect` show a generated password."""
    passwords = await _passwords(stack)
    assert len(passwords) == 5  # of postgres both, of Redis the worker's, the gateway's, the operator's
    shown = await stack.logs()
    containers = [container.id for container in await stack.containers()]
    shown += await stack.run("docker", "inspect", *containers)
    assert not [password for password in passwords if password in shown or quote(password, safe="") in shown]


async def test_its_size_is_what_the_documents_say(stack: Stack) -> None:
    """docs/how-to/operate.md states what the image adds to its base, within a tenth."""
    stated = re.search(r"adds (\d+) MB", (ROOT / "docs/how-to/operate.md").read_text())
    assert stated
    added = (await size(stack, IMAGE) - await size(stack, BASE)) / MEGABYTE
    assert float(stated[1]) == pytest.approx(added, rel=0.1)


async def test_nobody_was_refused_what_they_need(stack: Stack) -> None:
    """Redis refused no command of workers and gateways during the tests before this one."""
    refused = await stack.redis("ACL", "LOG", "128")
    assert not re.search(r"\b(worker|gateway)\b", refused), refused


async def _passwords(stack: Stack) -> set[str]:
    found = set[str]()
    for service, files in {
        "postgres": "postgres_password reader_password",
        "redis": "operator_password",
        "gateway": "redis_url database_url",
        "worker-integration": "redis_url database_url",
    }.items():
        container = (await stack.containers(service))[0]
        for file in files.split():
            text = (await stack.exec(container, "cat", f"/run/coinwire/{file}")).strip()
            url = re.search("://[^:]+:([^@]+)@", text)
            found.add(unquote(url[1]) if url else text)
    return found
