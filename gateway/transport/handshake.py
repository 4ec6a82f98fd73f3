"""What RFC 9110, 9112 and 6455 demand of a request's head, and uvicorn's protocols leave to others. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, with their values."""

_ABSOLUTE = re.compile(rb"(?:http|ws)s?://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
# uri-host [":" port] of RFC 9110, 7.2. Empty where the target has no authority.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%a-zA-Z_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_REWRITTEN = (b"connection", b"upgrade")


class RefusedRequest(Exception):
    """A request that gets an error status, and ends its connection."""

    def __init__(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        """`text` is the body, for people; `headers` are those that the status calls for."""
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


def tokens(headers: Headers, name: bytes) -> Iterator[bytes]:
    """The list that all lines of a header make together, in lower case (RFC 9110, 5.3)."""
    for each, value in headers:
        if each == name:
            yield from (token.strip().lower() for token in value.split(b","))


def asks_for_websocket(headers: Headers, http_version: str) -> bool:
    """Whether a request asks to become a WebSocket. In HTTP/1.0, Upgrade has to be ignored (RFC 9110, 7.8)."""
    if http_version == "1.0":
        return False
    return b"upgrade" in tokens(headers, b"connection") and b"websocket" in tokens(headers, b"upgrade")


def origin_form(target: bytes, headers: Headers) -> bytes:
    """Path and query of a target in origin or absolute form; an absolute one replaces Host (RFC 9112, 3.2.2).

    Raises RefusedRequest for an absolute target without an authority, or with userinfo (RFC 9110, 4.2.4).
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target
    authority = absolute["authority"]
    if not authority or not _HOST.fullmatch(authority):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "Invalid request target.")
    headers[:] = [(b"host", authority), *((name, value) for name, value in headers if name != b"host")]
    rest = absolute["rest"]
    return rest if rest.startswith(b"/") else b"/" + rest


def check_host(headers: Headers, http_version: str) -> None:
    """Raise RefusedRequest unless there is one valid Host (RFC 9112, 3.2); HTTP/1.0 may leave it out."""
    hosts = [value.strip(b" \t") for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and http_version != "1.0"):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "A request needs one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "Invalid Host header.")


def check_version(headers: Headers) -> None:
    """Raise RefusedRequest for another version of the WebSocket protocol than 13 (RFC 6455, 4.2.2)."""
    versions = [value.strip() for name, value in headers if name == b"sec-websocket-version"]
    if any(version != b"13" for version in versions):
        text = "This server speaks version 13 of the WebSocket protocol."
        upgrade = (("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        raise RefusedRequest(HTTPStatus.UPGRADE_REQUIRED, text, *upgrade)


def rewritten(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The handshake for the `websockets` library, which wants one line of Connection and one of Upgrade."""
    lines = [b"%s %s HTTP/1.1" % (method, target), b"connection: Upgrade", b"upgrade: websocket"]
    lines += [b"%s: %s" % (name, value) for name, value in headers if name not in _REWRITTEN]
    return b"\r\n".join([*lines, b"", b""])
