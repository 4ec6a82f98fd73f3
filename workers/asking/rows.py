"""Decodes lists row by row, so that one odd row costs itself and not the list. docs/adr/0033 has the rules.

A row that does not fit is left out. A value that does not fit where null would is null. Both are noted by the field of
the schema, never by text of the upstream; whoever opens `noting` around a parser gets the notes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw

from shared.errors import ProviderError
from workers.asking.json_text import with_nulls, with_whole_texts
from workers.asking.provider import decode

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

SHARE = 0.5
"""Share of odd rows above which a list is refused: its format has changed, and other sources may have a better one."""
FEW = 10
"""Rows of a list from which on rows count as odd that lost only a figure. A list of fewer rows is refused for rows that
are left out only: half of two rows shows no change of the format.
"""
_MOST_NULLED = 16  # values of one row that are tried as null: more than any row's optional figures
_MOST_REASON = 100  # characters of msgspec's reason, which may quote the upstream

Label = Annotated[str, Meta(pattern=r"\S", max_length=300)]
"""A text that identifies something: not empty, and shorter than any real id or name."""

_WHOLE_ROW = "row"
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(slots=True)
class Misfits:
    """What did not fit in the lists of one answer."""

    read: int = 0
    """Rows read, the odd ones too."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows left out, by the field that cost them (`price`, `quotes.USD`, `c[]`; `row` for one that is no object)."""
    figures: Counter[str] = field(default_factory=Counter)
    """Values that became null, by field."""
    reasons: dict[str, str] = field(default_factory=dict)
    """By field, the reason for the first: msgspec's, or the parser's own."""


@dataclass(slots=True)
class Rows(Generic[K, T]):
    """The rows of a list, by their number or key."""

    fitting: dict[K, T] = field(default_factory=dict)
    odd: list[Raw] = field(default_factory=list)
    """Rows left out."""


@dataclass(frozen=True, slots=True)
class _Misfit:
    reason: str
    steps: tuple[str | int, ...] | None
    """The way to the value that does not fit; None if it can't be followed, () for the row itself."""
    path: str
    label: str


_notes: ContextVar[Misfits | None] = ContextVar("misfits", default=None)


@contextmanager
def noting() -> Iterator[Misfits]:
    """Collect the misfits of all lists that are decoded within."""
    misfits = Misfits()
    token = _notes.set(misfits)
    try:
        yield misfits
    finally:
        _notes.reset(token)


def decode_outside(provider: str, body: bytes, kind: type[T]) -> T:
    """The outside of an answer with rows as `Raw`: strict, so that a truncated answer is refused.

    A bare NaN or Infinity is read as null. Raises ProviderError.
    """
    try:
        return decode(provider, body, kind)
    except ProviderError:
        if (mended := with_nulls(body)) == body:
            raise
        return decode(provider, mended, kind)


def decode_list(
    provider: str, body: bytes, kind: type[T], *, lax: bool = False, vital: Collection[str] = ()
) -> list[T]:
    """The rows of an answer that is one list. See `fit_rows`. Raises ProviderError."""
    return decode_rows(provider, decode_outside(provider, body, list[Raw]), kind, lax=lax, vital=vital)


def decode_rows(
    provider: str,
    rows: Sequence[Raw],
    kind: type[T],
    path: str = "$",
    *,
    lax: bool = False,
    vital: Collection[str] = (),
) -> list[T]:
    """Those of `rows` that fit, in their order. See `fit_rows`. Raises ProviderError."""
    numbered = dict(enumerate(rows))
    return list(fit_rows(provider, numbered, kind, path + "[{}]", lax=lax, vital=vital).fitting.values())


def decode_row_map(
    provider: str,
    rows: Mapping[str, Raw],
    kind: type[T],
    path: str = "$",
    *,
    lax: bool = False,
    vital: Collection[str] = (),
) -> dict[str, T]:
    """Those of `rows` that fit, by key. See `fit_rows`. Raises ProviderError."""
    return fit_rows(provider, rows, kind, path + ".{}", lax=lax, vital=vital).fitting


def fit_rows(
    provider: str, rows: Mapping[K, Raw], kind: type[T], place: str, *, lax: bool = False, vital: Collection[str] = ()
) -> Rows[K, T]:
    """Each of `rows` as `kind`; with `lax`, numbers also from strings. Odd rows are left out.

    A value that does not fit is read as null if that fits, unless its field is in `vital`: then, too, it costs the row.
    `place` makes the path of a row from its key. Raises ProviderError if no row fits, if more than SHARE of them don't,
    or if, of FEW or more, more than SHARE don't fit whole; it has the path of the first misfit. No rows are no error.
    """
    decoder = msgspec.json.Decoder(kind, strict=not lax)
    found: Rows[K, T] = Rows()
    notes = _notes.get() or Misfits()
    notes.read += len(rows)
    first: tuple[str, _Misfit] | None = None
    spoilt = 0
    for key, raw in rows.items():
        try:
            found.fitting[key] = decoder.decode(raw)
            continue
        except _FAULTS:
            misfits = _fit(decoder, key, raw, found, vital)
        if not misfits:
            continue  # only a text was mended
        spoilt += 1
        if key in found.fitting:
            notes.figures.update(misfit.label for misfit in misfits)
        else:
            found.odd.append(raw)
            notes.rows[misfits[-1].label] += 1
        for misfit in misfits:
            notes.reasons.setdefault(misfit.label, misfit.reason)
        first = first or (place.format(str(key)[:80]), misfits[-1])
    if first is not None:
        _judge(provider, len(rows), found, spoilt, first)
    return found


def note_read(rows: int) -> None:
    """Note that a list of `rows` was read by a parser that decodes them itself."""
    (_notes.get() or Misfits()).read += rows


def decode_figures(provider: str, body: bytes, kind: type[T], *, lax: bool = False, vital: Collection[str] = ()) -> T:
    """An answer of several figures as `kind`: as a row of `fit_rows`, but without its needs there is no answer.

    Raises ProviderError naming the first field that does not fit.
    """
    notes = _notes.get() or Misfits()
    notes.read += 1
    try:
        return decode(provider, body, kind, lax=lax)
    except ProviderError as error:
        found: Rows[int, T] = Rows()
        misfits = [] if error.limited else _fit(msgspec.json.Decoder(kind, strict=not lax), 0, Raw(body), found, vital)
        if 0 not in found.fitting:
            raise
    notes.figures.update(misfit.label for misfit in misfits)
    for misfit in misfits:
        notes.reasons.setdefault(misfit.label, misfit.reason)
    return found.fitting[0]


def note_left_out(label: str, reason: str, rows: int = 1) -> None:
    """Note that a parser leaves out `rows` by a rule of its own, for the field `label`."""
    notes = _notes.get() or Misfits()
    notes.rows[label] += rows
    notes.reasons.setdefault(label, reason)


def distinct(rows: Iterable[T], key: Callable[[T], Hashable], label: str) -> list[T]:
    """`rows` without those whose `key` an earlier row has; these are noted as left out for the field `label`."""
    first: dict[Hashable, T] = {}
    for row in rows:
        if first.setdefault(key(row), row) is not row:
            note_left_out(label, "the same as that of an earlier row")
    return list(first.values())


def _fit(
    decoder: msgspec.json.Decoder[T], key: K, raw: Raw, found: Rows[K, T], vital: Collection[str]
) -> list[_Misfit]:
    """Put the row into `found` if it fits once its misfits are null. Returns the misfits; the last one cost the row."""
    body, misfits = bytes(raw), list[_Misfit]()
    nulled: tuple[str | int, ...] | None = None
    for _ in range(_MOST_NULLED):
        try:
            found.fitting[key] = decoder.decode(body)
        except msgspec.ValidationError as error:
            misfit = _misfit(error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if (mended := with_whole_texts(body)) == body:
                return [*misfits, _Misfit("not JSON", None, "", _WHOLE_ROW)]
            body = mended
            continue
        except RecursionError:
            return [*misfits, _Misfit("nested too deeply", None, "", _WHOLE_ROW)]
        else:
            return misfits
        steps = misfit.steps
        if nulled is not None and steps == nulled:
            steps = nulled[:-1]  # null does not fit there: the value that holds it may be null
        else:
            misfits.append(misfit)
        if not steps or misfit.label in vital or _label(steps) in vital:
            break
        body, nulled = _nulled(body, steps), steps
    return misfits


def _misfit(error: msgspec.ValidationError) -> _Misfit:
    reason, _, path = str(error).partition(" - at `")
    path = path.rstrip("`").removeprefix("$")
    steps: list[str | int] = []
    for name, number, unknown in _STEP.findall(path):
        if unknown:  # a key of an object without a schema: only the upstream's text would name it
            return _Misfit(reason[:_MOST_REASON], None, path, _label(steps) or _WHOLE_ROW)
        steps.append(name or int(number))
    missing = _MISSING.search(reason)
    label = _label([*steps, missing[1]] if missing else steps) or _WHOLE_ROW
    return _Misfit(reason[:_MOST_REASON], tuple(steps), path, label)


def _label(steps: Sequence[str | int]) -> str:
    """The name of a field in logs and metrics: `quotes.USD.price`, `c[]`."""
    return "".join("[]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _nulled(body: bytes, steps: Sequence[str | int]) -> bytes:
    """`body` with null as the value at `steps`."""
    if not steps:
        return b"null"
    first, rest = steps[0], steps[1:]
    holder: Any = msgspec.json.decode(body, type=list[Raw] if isinstance(first, int) else dict[str, Raw])
    holder[first] = Raw(_nulled(bytes(holder[first]), rest))
    return msgspec.json.encode(holder)


def _judge(provider: str, total: int, found: Rows[Any, Any], spoilt: int, first: tuple[str, _Misfit]) -> None:
    """Raise ProviderError if too many of `total` rows don't fit."""
    odd = len(found.odd)
    few = total < FEW
    if found.fitting and (odd if few else spoilt) <= total * SHARE:
        return
    place, misfit = first
    said = f"{odd if few else spoilt} of {total} rows don't fit: {misfit.reason}"
    raise ProviderError(provider, said, field=place + misfit.path)
