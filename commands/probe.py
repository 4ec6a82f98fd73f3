"""`coinwire probe URL`: asks an HTTP address once. Exit status 0 for a success, else 1. For health checks.

It prints the body: Docker keeps the output of a health check, and the body says why a part is not ready. It runs every
few seconds in every container, so its own command line needs nothing but the standard library.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

_MOST = 1 << 20  # bytes of a body that are printed: the metrics of a gateway are some 20 kB
_SECONDS = 3.0  # less than the timeout of our health checks, so that this prints the reason before it is killed
_LONGEST = 600.0  # s for --timeout: a slower answer says nothing about now

_USAGE = "usage: coinwire probe http://HOST:PORT/PATH [--timeout SECONDS]\n"


def ask(url: str, seconds: float) -> tuple[str, str | None]:
    """The body that `url` answers with, and what is wrong: None for a status of 2xx.

    `seconds` is the timeout of each step: connecting, and each read.
    """
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


def _parsed(arguments: list[str]) -> tuple[str, float]:
    """URL and timeout. Raises ValueError for a URL or timeout that can't be used, a URL with a password included."""
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
    """Probe as `arguments` say. Returns the exit status: 0 for a 2xx, 1 for anything else, 2 for wrong arguments."""
    try:
        url, seconds = _parsed(arguments)
    except ValueError:
        sys.stderr.write(_USAGE)
        return 2
    body, wrong = ask(url, seconds)
    if body:
        print(body)
    if wrong is not None:
        sys.stderr.write(f"{url}: {wrong}\n")
    return 0 if wrong is None else 1


def probe(url: str, timeout: float = _SECONDS) -> None:
    """Ask an HTTP address once, for health checks. Exit status 0 for a 2xx, else 1.

    Prints the body. The timeout is in seconds.
    """
    sys.exit(main([url, "--timeout", str(timeout)]))
