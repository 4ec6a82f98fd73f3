"""What RFC 9110, 9112 and 6455 demand of a request's head, and uvicorn's protocols leave to others. Pure functions."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from websockets.utils import accept_key

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, with their values."""

_ABSOLUTE = re.compile(rb"(?:http|ws)s?://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
# uri-host [":" port] of RFC 9110, 7.2. Empty where the target has no authority.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%a-zA-Z_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
HANDSHAKE_LINE = 8_192  # bytes of a header in a handshake, as in the libraries of WebSockets
_KEY_BYTES = 16  # of the nonce in Sec-WebSocket-Key


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


def check_upgrade(method: bytes, target: bytes, headers: Headers) -> None:
    """Raise RefusedRequest unless a request that asks for a WebSocket is a valid handshake (RFC 6455, 4.2.1)."""
    if method != b"GET":
        raise RefusedRequest(HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket begins with GET.", ("Allow", "GET"))
    check_version(headers)
    if not target.isascii():
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "Invalid request target.")
    if any(len(name) + len(value) > HANDSHAKE_LINE for name, value in headers):
        text = "A header of the request is too large."
        raise RefusedRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
    if any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "The request for a WebSocket has no body.")
    for name in (b"sec-websocket-key", b"sec-websocket-version"):
        if sum(each == name for each, _ in headers) != 1:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"The request needs one {name.decode()} header.")
    try:
        valid = len(base64.b64decode(_key(headers), validate=True)) == _KEY_BYTES
    except ValueError:
        valid = False
    if not valid:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "Invalid sec-websocket-key header.")


def switching(headers: Headers, *, extensions: str | None, subprotocol: str | None) -> bytes:
    """The answer to a valid handshake that is accepted (RFC 6455, 4.2.2)."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(_key(headers).decode())}",
    ]
    if extensions is not None:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A whole answer over HTTP."""
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%s: %s" % pair for pair in headers]
    return b"\r\n".join([*lines, b"", body])


def lines_of(headers: Headers, name: bytes) -> list[str]:
    """The values of a header, a line each."""
    return [value.decode("latin-1") for each, value in headers if each == name]


def _key(headers: Headers) -> bytes:
    return next(value for name, value in headers if name == b"sec-websocket-key").strip(b" \t")
