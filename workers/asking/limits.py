"""Limits: how an upstream says that it refuses because it was asked too often, and how long to wait.

An upstream says so by an HTTP status, by headers, or by the text of its answer, which may come with HTTP 200. What all
upstreams have in common is here; what one has for itself is in its own file, as `limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.errors import ProviderError
from workers.asking.http_date import http_date

LIMIT_STATUSES = frozenset({402, 403, 418, 429, 430, 434, 435, 436, 437})
"""Statuses of a limit, unless a provider's own `limits` have others.

429 is RFC 6585's; 418 a ban by Binance; 403 a block by a CDN; 402 a used-up quota (Blockchair, Hugging Face). 430 and
434 to 437 are Blockchair's, and mean nothing else anywhere.
"""
LONGEST: Mapping[int, float] = {418: 3 * 86400.0}
"""Longest pause that is obeyed, in seconds, by status. Binance's bans (418) last up to three days."""
LONGEST_ELSE = 3600.0
"""As LONGEST, for all other statuses, and for limits told in the text of an answer. A larger number is a mistake."""

_LEAST_READ_AS_MS = 60.0  # s: the pause for a number that only makes sense as ms; it may still be hours in seconds
_NOTICE = 4096  # bytes of the largest body that is searched for a notice: notices are a sentence, data is longer
_DEPTH = 4  # levels of a JSON body that are searched for one

_LONGEST_TEXT = 120  # characters of a message that an error keeps: about a sentence; geth appends whole stack traces
_URL = re.compile(r"(?:https?|wss?)://\S+", re.IGNORECASE)
_KEYLIKE = re.compile(r"[A-Za-z0-9_-]{20,}")  # keys and hashes have 20 characters or more, words have fewer

# Words of notices that were recorded, documented, or reported in public issues, in lower case.
_RATE = re.compile(
    r"rate[ _-]?limit|too[ _-]?many[ _-]?(?:request|call|concurrent)|throttl|quota|request(?:s)? (?:rate|limit)"
    r"|requests? per (?:second|minute|day|month)|\brps\b|calls? per (?:sec|min|day)|daily (?:limit|request)|day/limit"
    r"|(?:monthly|usage|capacity|credits?|call) (?:limit|cap)|exceeded [^.]{0,40}(?:credit|capacity|compute unit)"
    r"|(?:credits?|capacity|units) (?:limit )?(?:were |was |are |is )?(?:exceeded|exhausted|used up)"
    r"|concurrent requests|request weight|over capacity|higher than your plan|don'?t abuse"
    r"|number of (?:requests|calls)[^.]{0,20}(?:exceeded|reached)|exceeded [^.]{0,30}number of (?:requests|calls)"
    r"|(?:rate|usage) (?:was |is |has been )?exceeded|(?:out of|insufficient|no more|no) (?:\w+ )?credits"
    r"|\b(?:ip|you|address)\b[^.]{0,40}(?:banned|blocked|blacklisted)"
    r"|temporar\w+ (?:ban|block|lock)|error(?: code)?:? 1015\b|used cloudflare to restrict|\bslow down\b"
    r"|too (?:frequent|much traffic|many (?:visits|queries|hits|messages|connections))|request frequency|call frequency"
    r"|excessive (?:requests|usage|use|calls)|max(?:imum)? (?:usage|requests|calls)|requests? (?:was |were )?exceeded"
    r"|limit of (?:requests|calls)|(?:monthly|daily|hourly) (?:limit|cap|allotment|allowance)|request[_ -]limit"
    r"|all (?:of )?(?:your |the )?(?:available |included )?(?:requests|calls|credits)"
    r"|(?:http|error|status)(?: code)?:? 429\b"
)
_LIMIT = re.compile(
    r"limits?[ _-](?:is |was |has been |have been )?(?:exceeded|reached|hit)|(?:exceed\w*|reached|hit) [^.]{0,30}limit"
)
# What may not be too large, as opposed to too often.
_SIZE = re.compile(
    r"\brange|results|\bgas\b|\bsize\b|\blarge|\bblocks\b|\blength|\bbatch|\barchive|\blogs\b|returned more"
)
_IN = re.compile(
    r"(?:\bin|after|wait|for)\s+(?:about\s+|another\s+)?"
    r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)\b"
)
_DURATION = re.compile(
    r"(?:\bin|after|wait)\s+(?:(\d{1,3})h)?(?:(\d{1,3})m)?(?:(\d{1,3})(?:\.\d+)?s)?\b"
)  # Go's: 10m0s
_FIELD = re.compile(
    rb'"(?:retry[_-]?after|backoff)(?:[_-]?(s|seconds|ms|milliseconds))?"\s*:\s*"?(\d{1,9}(?:\.\d{1,6})?)\b',
    re.IGNORECASE,
)
_UNTIL = re.compile(r"(?:until|throttled:?)\D{0,12}(\d{10}|\d{13})(?!\d)")
_UNITS = {"m": 60.0, "h": 3600.0, "s": 1.0}
_WINDOWS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"per[ _-]?sec|/ ?s(?:ec)?\b|/second|\brps\b"), 1.0),
    (re.compile(r"month|dai|per day|/ ?day|\bday\b"), LONGEST_ELSE),  # when it ends depends on the plan: look hourly
    (re.compile(r"hour"), LONGEST_ELSE),
    (re.compile(r"per[ _-]?min|/ ?min|minute"), 60.0),
)
_USED_UP, _RESET = re.compile(r";\s*r=0\s*(?:;|$)"), re.compile(r";\s*t=(\d{1,9})\s*(?:;|$)")
_RESETS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upstream's limits look like."""

    statuses: frozenset[int] = LIMIT_STATUSES
    """HTTP statuses that mean a limit."""
    reset_in_ms: bool = False
    """Whether the delay in its X-RateLimit-Reset counts milliseconds, as documented; Retry-After is in seconds."""


class LimitError(ProviderError):
    """The upstream said, in an answer with HTTP 200, that it was asked too often."""

    limited = True

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        until: float | None = None,
    ) -> None:
        """`until` is when the limit ends, in unix seconds, where the upstream says that instead of a pause."""
        self.until = until
        super().__init__(provider, reason, field=field, retry_after=retry_after)


def says_limited(text: str) -> bool:
    """Whether an upstream's message says that it was asked too often, or too much for the plan.

    Not so if it says that one question was too large.
    """
    said = text.lower()
    return bool(_RATE.search(said)) or (bool(_LIMIT.search(said)) and not _SIZE.search(said))


def says_too_large(text: str) -> bool:
    """Whether a message refuses one question as too large (a range of blocks, a number of results), not as too much."""
    said = text.lower()
    return bool(_SIZE.search(said)) and not _RATE.search(said)


def refusal(provider: str, reason: str, said: str, *, field: str | None = None) -> ProviderError:
    """The error for an answer with HTTP 200 whose message is `said`: a LimitError if that names a limit."""
    return (
        limit(provider, reason, said, field=field)
        if says_limited(said)
        else ProviderError(provider, reason, field=field, kind="error")
    )


def limit(provider: str, reason: str, said: str, *, field: str | None = None) -> LimitError:
    """The error for an answer that names a limit, with the pause that its message `said` implies."""
    return LimitError(provider, reason, field=field, retry_after=pause_in(said), until=_until_in(said))


def limit_in(provider: str, body: bytes) -> LimitError | None:
    """The error for a body that is no answer but a notice of a limit; None for any other body.

    Only short bodies are searched: plain text, a page, or a JSON object. A list is data, whatever its texts say.
    """
    if len(body) > _NOTICE:
        body = body[:_NOTICE] if body.lstrip()[:1] == b"<" else b""
    for text in _texts(body):
        if says_limited(text):
            found = limit(provider, f"limited: {shortened(text)[:80]}", text)
            if (pause := pause_field(body)) is not None:
                found.retry_after = pause
            return found
    return None


def pause_field(body: bytes) -> float | None:
    """Seconds of a field like `retry_after` or Infura's `backoff_seconds`, anywhere in a refusal; None without one."""
    if (found := _FIELD.search(body)) is None:
        return None
    seconds = float(found[2]) / (1000 if (found[1] or b"").lower().startswith(b"m") else 1)
    return min(seconds, LONGEST_ELSE) if seconds > 0 else None


def shortened(message: str) -> str:
    """An upstream's message for our errors: shortened, without URLs and strings that might be keys."""
    return _KEYLIKE.sub("…", _URL.sub("…", " ".join(message.split())))[:_LONGEST_TEXT]


def pause_in(said: str) -> float | None:
    """Seconds to wait according to a message: its own number, or the window that it names; None if it has neither."""
    text = said.lower()
    if found := _IN.search(text):
        number, unit = float(found[1]), found[2]
        seconds = number / 1000 if unit.startswith(("ms", "milli")) else number * _UNITS[unit[0]]
        return min(seconds, LONGEST_ELSE) if seconds > 0 else None
    for found in _DURATION.finditer(text):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        if whole := hours * 3600 + minutes * 60 + seconds:
            return min(whole, LONGEST_ELSE)
    if _UNTIL.search(text):
        return None
    return next((pause for words, pause in _WINDOWS if words.search(text)), None)


def pause_of(headers: Mapping[str, str], status: int, limits: Limits, now: float) -> float | None:
    """Seconds to wait according to the headers of a refusal; None if they say nothing usable.

    `headers` have names in lower case or ignore case; `now` is our own unix time, used where the answer has no Date.
    """
    most = LONGEST.get(status, LONGEST_ELSE)
    sent = http_date(headers.get("date", ""))  # by the clock that also gave the other dates; ours may have been set
    now = now if sent is None else sent
    seconds = _retry_after(headers, now, milliseconds=status not in LONGEST, most=most)
    if seconds is None and status in limits.statuses:
        seconds = _reset_of(headers, limits, now)
    return min(seconds, most) if seconds is not None and seconds > 0 else None


def _retry_after(headers: Mapping[str, str], now: float, *, milliseconds: bool, most: float) -> float | None:
    """Seconds of Retry-After, RFC 9110 section 10.2.3, or of the retry-after-ms of Azure's gateways."""
    if (exact := _number(headers.get("retry-after-ms", ""))) is not None and exact > 0:
        return exact / 1000
    value = headers.get("retry-after", "")
    number = _number(value)
    if number is None:
        moment = http_date(value)
        return None if moment is None else moment - now
    if number > 1e9:
        return number / (1000 if number > 1e12 else 1) - now  # no delay of 30 years, but a moment
    if milliseconds and most < number <= most * 1000:
        return max(number / 1000, _LEAST_READ_AS_MS)  # more than an hour: in all likelihood milliseconds
    return number


def _reset_of(headers: Mapping[str, str], limits: Limits, now: float) -> float | None:
    """Seconds until an exhausted limit resets, from RateLimit or the older headers.

    `RateLimit: "api";r=0;t=55`, one item per limit:
    https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-09.html. In RateLimit-Reset, of earlier drafts,
    the number is a delay; in X-RateLimit-Reset it is a delay or a moment in unix seconds or milliseconds.
    """
    used_up = [item for item in headers.get("ratelimit", "").split(",") if _USED_UP.search(item)]
    resets = [float(reset[1]) for item in used_up if (reset := _RESET.search(item))]
    if any(resets):
        return max(resets)
    left = (_number(headers.get(name, "")) for name in _REMAINING)
    if any(number is not None and number >= 1 for number in left):
        return None  # not this limit is used up
    for name in _RESETS:
        if (number := _number(headers.get(name, ""))) is not None:
            if number > 1e12:
                return number / 1000 - now
            if number > 1e9:
                return number - now
            return number / 1000 if limits.reset_in_ms else number
    return None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*[+]?\d{1,15}(?:\.\d{1,9})?\s*", text, re.ASCII) else None


def _until_in(said: str) -> float | None:
    """Unix seconds when a limit ends, of `Throttled: 1700000000` (Kraken) or `banned until 1700000000000` (Binance)."""
    found = _UNTIL.search(said.lower())
    return None if found is None else float(found[1]) / (1000 if len(found[1]) == 13 else 1)


def _texts(body: bytes) -> Iterator[str]:
    """The texts of a body in which a notice may be."""
    stripped = body.strip()
    if not stripped.startswith((b"{", b"[", b'"')):
        yield stripped.decode("utf-8", "replace")
        return
    try:
        decoded = msgspec.json.decode(stripped)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not isinstance(decoded, list):
        yield from _strings(decoded, _DEPTH)


def _strings(node: Any, depth: int) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif depth and isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _strings(child, depth - 1)
