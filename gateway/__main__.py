"""`python -m gateway`: settings, then a Node, then its exit status."""

from __future__ import annotations

import asyncio
import gc
import sys

import structlog

from gateway.node import Node
from gateway.transport.listener import raise_file_limit, websockets_within
from shared.errors import SettingsError
from shared.logs import configure_logs
from shared.settings import Settings, load_settings

log = structlog.get_logger()


async def serve() -> int:
    """Run one gateway. Returns 0 after a signal, 1 if a task died, 2 if it can't start."""
    try:
        settings = load_settings()
        configure_logs(settings, "gateway")
        node = Node(_within_files(settings))
        listener = node.bind()
    except SettingsError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"gateway: can't listen on {settings.host}:{settings.port}: {error.strerror}\n")
        return 2
    spare_the_collector()
    return await node.run(listener)


def spare_the_collector() -> None:
    """Keep pauses of the garbage collector short: it looks at every object, and everybody's updates wait meanwhile.

    What exists at the start stays for good, and is not looked at again. The rest is looked at after 10,000 new objects
    instead of 700: connections and updates leave almost no circles of references that only the collector could free.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _within_files(settings: Settings) -> Settings:
    """The settings, with no more connections than the limit of open files allows."""
    files = raise_file_limit()
    most = websockets_within(files)
    if settings.max_connections <= most:
        return settings
    asked = settings.max_connections
    log.warning("MAX_CONNECTIONS is cut to what the limit of open files allows", files=files, asked=asked, most=most)
    return settings.model_copy(update={"max_connections": most})


if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
