"""`python -m commands.check URL [--timeout 3]`: for health checks. Asks once; 0 for a success, else 1.

The body is printed, so that whoever keeps the output (Docker does) has the reasons too. Run every few seconds in every
container, so it imports nothing that takes long.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

_MOST = 1 << 20  # bytes of a body that are printed: the metrics of a gateway are some 20 kB
_SECONDS = 3.0  # less than the health checks' own timeout, so that the reason is told by us
_LONGEST = 600.0  # s for --timeout: a health check that waits longer tells of another time

_USAGE = "usage: python -m commands.check http://HOST:PORT/PATH [--timeout SECONDS]\n"


def check(url: str, seconds: float) -> tuple[str, str | None]:
    """The body that `url` answers with, within `seconds` a step; and what is wrong, None where it is a 2xx."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MOST).decode(errors="replace")
    except (OSError, HTTPException, UnicodeError) as error:  # the last: a host that no DNS could have
        return "", f"no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return body, None if 200 <= answer.status < 300 else f"{answer.status} {answer.reason}".rstrip()


def _asked(arguments: list[str]) -> tuple[str, float]:
    """URL and timeout. Raises ValueError where they can't be used; a URL with a password in it is not printed about."""
    seconds = _SECONDS
    if "--timeout" in arguments[:-1]:
        place = arguments.index("--timeout")
        seconds = float(arguments[place + 1])
        arguments = arguments[:place] + arguments[place + 2 :]
    (url,) = arguments
    parts = urlsplit(url)
    named = parts.scheme == "http" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    if not (named and url.isascii() and 0 < seconds <= _LONGEST):
        raise ValueError
    return url, seconds


def main(arguments: list[str]) -> int:
    """Exit status: 0 for a success, 1 for none, 2 where it can't be asked."""
    try:
        url, seconds = _asked(arguments)
    except ValueError:
        sys.stderr.write(_USAGE)
        return 2
    body, wrong = check(url, seconds)
    if body:
        print(body)
    if wrong is not None:
        sys.stderr.write(f"{url}: {wrong}\n")
    return 0 if wrong is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
