"""wss:// at the balancer."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import websockets

from launcher.ports import free_port
from tests.compose.stack import FILES, CommandError, Stack
from tests.system.clients import update


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, as an operator has it in one file."""
    key, site = tmp_path / "key.pem", tmp_path / "site.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", str(key), "-out", str(site))
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1")
    subprocess.run([*new, *files, *subject], check=True, capture_output=True)
    site.write_text(site.read_text() + key.read_text())
    site.chmod(0o644)  # the balancer's user is none of this machine's
    return site


async def test_a_path_where_no_certificate_is_is_told(stack: Stack, tmp_path: Path) -> None:
    """The balancer does not start, Docker names the path, and no folder of that name is created."""
    tls = {
        "COMPOSE_FILE": ":".join((*FILES, "docker-compose.tls.yml")),
        "COMPOSE_PROJECT_NAME": f"{stack.project}-tls",
        "TLS_CERTIFICATE": str(tmp_path / "none.pem"),
        "TLS_PORT": str(free_port()),
    }
    try:
        with pytest.raises(CommandError, match=r"none\.pem"):
            await stack.compose("up", "--detach", "--no-deps", "balancer", **tls)
        assert not (tmp_path / "none.pem").exists()
    finally:
        await stack.compose("down", "--volumes", **tls)


async def test_clients_connect_by_tls_with_the_operator_s_certificate(stack: Stack, certificate: Path) -> None:
    """docker-compose.tls.yml adds a port with TLS 1.2 and 1.3 beside the plain one."""
    port = free_port()
    tls = {
        "COMPOSE_FILE": ":".join((*FILES, "docker-compose.tls.yml")),
        "TLS_CERTIFICATE": str(certificate),
        "TLS_PORT": str(port),
    }
    await stack.compose("up", "--detach", "--no-deps", "--wait", "balancer", **tls)
    try:
        trust = ssl.create_default_context(cafile=str(certificate))
        async with websockets.connect(f"wss://localhost:{port}/ws/market_data", ssl=trust) as client:
            assert (await update(client))["data"]["prices"]["bitcoin"] > 0
        async with httpx.AsyncClient(verify=trust) as http:
            answer = await http.get(f"https://localhost:{port}/health/ready")
        assert answer.status_code == 200
        old = ssl.create_default_context(cafile=str(certificate))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        async with websockets.connect(f"wss://localhost:{port}/ws", ssl=old):
            pass
        async with websockets.connect(stack.ws("/ws")):
            pass
    finally:
        await stack.compose("up", "--detach", "--no-deps", "--wait", "balancer")
