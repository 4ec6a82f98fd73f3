"""Media types of answers: which one of those that there are a client wants (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.requests import Request

_ENTRIES = 50  # of an Accept that are read; browsers send six
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def preferred(request: Request, offered: Sequence[str]) -> str:
    """The one of `offered` that the client's Accept prefers; of equals, the more exactly named one, else the first.

    The first of all is for who accepts none of them, or does not say.
    """
    entries = ",".join(request.headers.getlist("accept")).split(",", _ENTRIES)[:_ENTRIES]
    weights: dict[str, tuple[float, int]] = {}  # by media type: weight, and how exactly it is named
    for named, weight in map(_read, entries):
        for each in offered:
            forms = ("*/*", each.partition("/")[0] + "/*", each)
            if named in forms and forms.index(named) >= weights.get(each, (0.0, -1))[1]:
                weights[each] = weight, forms.index(named)
    best = max(offered, key=lambda each: weights.get(each, (0.0, -1)))
    return best if weights.get(best, (0.0, -1))[0] > 0 else offered[0]


def _read(entry: str) -> tuple[str, float]:
    """The media type of an entry, and its weight: 0 for one that is malformed."""
    named, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            return named, float(parameter[2:]) if _WEIGHT.fullmatch(parameter[2:]) else 0.0
    return named, 1.0
