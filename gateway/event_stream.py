"""The format of event streams (WHATWG HTML, 9.2.5 and 9.2.6): lines of an event, and positions as ids. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from shared.bus import Position

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients ignore: it keeps proxies from closing a stream that is silent."""

_ID = re.compile(r"(?P<epoch>[!-~]{0,256})-(?P<seq>[0-9]{1,15})")  # the seq that Redis can count is below 2^53


def id_of(position: Position) -> str:
    """A position as an id. Escaped, because others could write any epoch to Redis: an id is one line without NUL."""
    return f"{quote(position.epoch, safe='')}-{position.seq}"


def read_id(text: str) -> Position:
    """The position that an id names. Raises ValueError for a text that `id_of` does not make."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError("not a position: <epoch>-<seq>")
    return Position(unquote(found["epoch"]), int(found["seq"]))


def head_of(name: str | None, position: Position | None) -> bytes:
    """What comes before the data of an event, which is one line; two line ends follow it.

    Without a `name` it is a `message`; without a `position`, the client keeps that of the event before.
    """
    event = "" if name is None else f"event: {name}\n"
    place = "" if position is None else f"id: {id_of(position)}\n"
    return f"{event}{place}data: ".encode()


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it comes back."""
    return b"retry: %d\n\n" % milliseconds
