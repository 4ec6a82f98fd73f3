"""`python -m launcher.watch`: prints what to open once every gateway is ready, then when one no longer is."""

from __future__ import annotations

import argparse
import http.client
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

_PAUSE = 0.25  # s between requests: loopback, one small answer each
_ANSWER_SECONDS = 2.0  # s for an answer; a gateway that is ready needs milliseconds
_IMPATIENCE = 20.0  # s after which to print who is not ready yet: two slow cores need about ten


def main() -> int:
    """Watch until stopped."""
    parser = argparse.ArgumentParser(prog="launcher.watch", description=__doc__)
    parser.add_argument("gateways", nargs="+", help="base URLs: http://127.0.0.1:7860")
    parser.add_argument("--simulated", action="store_true", help="the figures come from the simulator")
    parser.add_argument("--state", help="the folder that has the addresses of its own Redis")
    parser.add_argument("--note", action="append", default=[], help="a line for who looks on")
    parser.add_argument("--database", help="where updates are kept, without credentials")
    options = parser.parse_args()
    began_at, announced, impatient = time.monotonic(), False, False
    ready: dict[str, bool] = {}
    while True:
        for url in options.gateways:
            fault = fault_of(url)
            if announced and ready[url] != (fault is None):
                _say(f"{url} is ready again" if fault is None else f"{url} is not ready: {fault}")
            ready[url] = fault is None
        if not announced and all(ready.values()):
            announced = True
            places = {"database": options.database, "state": options.state, "notes": options.note}
            _say(*invitation(options.gateways, simulated=options.simulated, **places))
        if not announced and not impatient and time.monotonic() - began_at > _IMPATIENCE:
            impatient = True
            _say(*(f"still waiting for {url}: {fault_of(url)}" for url, fine in ready.items() if not fine))
        time.sleep(_PAUSE)


def fault_of(url: str) -> str | None:
    """Why the gateway at `url` is not ready, or None if it is."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if answer.status == 200 else f"HTTP {answer.status}"


def invitation(
    gateways: list[str],
    *,
    simulated: bool,
    database: str | None = None,
    state: str | None = None,
    notes: Sequence[str] = (),
) -> list[str]:
    """What a person can open now, in lines. The first address is one that a browser shows."""
    first = gateways[0]
    figures = "simulated: no upstream is asked" if simulated else "real: the public upstreams are asked"
    sockets = [url.replace("http://", "ws://", 1) for url in gateways]
    return [
        "ready. What to open:",
        f"  API docs     {first}/docs",
        f"  statistics   {first}/ws/stats",
        f"  history      {first}/api/v1/history/market_data",
        *(f"  prices       {url}/ws/market_data" for url in sockets),
        f"  everything   {sockets[0]}/ws/all",
        "  Redis        make tail SERVICE=market_data",
        *([f"  your tools   REDIS_URL=$(cat {state}/redis-url)"] if state else []),
        *([f"  with groups  REDIS_URL=$(cat {state}/redis-url-consumer)"] if state else []),
        *([f"  database     {database}"] if database else []),
        f"  figures      {figures}",
        *(f"  note         {note}" for note in notes),
        "Ctrl-C stops all of it.",
    ]


def _say(*lines: str) -> None:
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
