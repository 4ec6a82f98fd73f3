"""`python -m workers data_collection | monitoring | integration`: one category in this process."""

from __future__ import annotations

import asyncio
import sys

from shared.catalog import CATEGORIES
from shared.errors import SettingsError
from shared.logs import configure_logs
from shared.settings import load_settings
from workers.worker import Worker


async def work(arguments: list[str]) -> int:
    """Run one worker. Returns 0 after a signal, 1 if a task of it died, 2 if it can't start."""
    if len(arguments) != 1 or arguments[0] not in CATEGORIES:
        sys.stderr.write(f"usage: python -m workers {' | '.join(CATEGORIES)}\n")
        return 2
    category = arguments[0]
    try:
        settings = load_settings()
        configure_logs(settings, category)
        worker = Worker(settings, category)
        worker.serve_status()
    except SettingsError as error:
        sys.stderr.write(f"workers: {error}\n")
        return 2
    return await worker.run()


if __name__ == "__main__":
    sys.exit(asyncio.run(work(sys.argv[1:])))
