"""`python -m launcher.check URL`: asks once and exits with 0 for a success, 1 for anything else. For health checks.

The body is printed, so that whoever keeps the output (Docker does) has the reasons too. Run every few seconds in every
container, so it imports nothing that takes long.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

_MOST = 1 << 20  # bytes of a body that are printed: the metrics of a gateway are some 20 kB
_SECONDS = 3.0  # less than the health checks' own timeout, so that the reason is told by us


def check(url: str, seconds: float) -> tuple[bool, str]:
    """Whether `url` answers with a 2xx within `seconds` a step; and the body, or what went wrong instead."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MOST).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, f"{url}: no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return 200 <= answer.status < 300, body if 200 <= answer.status < 300 else f"{url}: {answer.status} {body}"


def main(arguments: list[str]) -> int:
    """Exit status: 0 for a success, 1 for none, 2 where it can't be asked."""
    try:
        (url,) = arguments
        usable = urlsplit(url).scheme == "http" and urlsplit(url).hostname is not None and urlsplit(url).port != 0
    except ValueError:
        usable = False
    if not usable:
        sys.stderr.write("usage: python -m launcher.check http://HOST:PORT/PATH\n")
        return 2
    good, text = check(url, _SECONDS)
    print(text, file=sys.stdout if good else sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
