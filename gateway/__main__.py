"""`python -m gateway`: settings, then a Node, then its exit status."""

from __future__ import annotations

import asyncio
import sys

from gateway.node import Node
from shared.errors import SettingsError
from shared.logs import configure_logs
from shared.settings import load_settings


async def serve() -> int:
    """Run one gateway. Returns 0 after a signal, 1 if a task died, 2 if it can't start."""
    try:
        settings = load_settings()
        configure_logs(settings, "gateway")
        node = Node(settings)
        listener = node.bind()
    except SettingsError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"gateway: can't listen on {settings.host}:{settings.port}: {error.strerror}\n")
        return 2
    return await node.run(listener)


if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
