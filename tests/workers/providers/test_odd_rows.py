"""One odd row costs itself: over every list of independent rows that a provider has."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ProviderError
from tests.places import RECORDED
from tests.workers.providers.lists import LISTS, ListOfRows, Path, inner, with_value
from workers.asking.rows import noting
from workers.providers import load_provider, provider_class

ODD_ROWS: tuple[Any, ...] = (None, 0, 7, -1.5, True, "", "x", [], [1], [None], [[{}]], {"odd": {}}, "nan", "\ud83d")
BAD_VALUES = ({}, [], [1], "?", "nan", "-Infinity", True, -1e308, "\ud83d", [[]])
"""Values that are no figure, no text that identifies something, no time and no flag of any list."""
TEXTS = ("name", "symbol", "id", "hash", "blockchain", "status", "title", "owner", "address", "protocolType")
"""Fields in which any text that is not empty will do."""
TOO_MUCH = "1e400"
"""Put in as a bare number: beyond all floats."""
BARE = ("NaN", "-Infinity", TOO_MUCH, f"-{TOO_MUCH}")
IDENTITIES = ("name", "symbol", "id", "hash", "blockchain")

recorded = [
    pytest.param(rows, body, id=f"{rows.provider}/{rows.parser}/{number}")
    for rows in LISTS
    for number, body in enumerate(rows.recordings)
]


def sent(body: Any) -> bytes:
    """An answer as bytes; the marks of BARE become bare tokens."""
    text = json.dumps(body)
    for token in BARE:
        text = text.replace(f'"bare {token}"', token)
    return text.encode()


def plain(answer: Any) -> Any:
    """An answer as JSON has it; sets sorted."""
    return sorted(answer) if isinstance(answer, frozenset) else json.loads(msgspec.json.encode(answer))


def fits(rows: ListOfRows, path: Path, value: Any) -> bool:
    """Whether a value of BAD_VALUES is good in this field after all."""
    if isinstance(value, str):
        return path[-1] in TEXTS and not value.startswith("bare")
    if value is True:
        return path[-1] in ("private", "latestFetchIsOk")
    if isinstance(value, float):
        return path[-1] == "y"
    return value == {} and path[-1] in ("from", "to", "USD")


def fields(*, figures: bool) -> list[Any]:
    """Every field that costs its row, or every one that costs only itself."""
    return [
        pytest.param(rows, path, id=f"{rows.provider}/{rows.parser}/{'.'.join(map(str, path))}")
        for rows in LISTS
        for path in (rows.figures if figures else rows.vital)
    ]


def sample(rows: ListOfRows, path: Path) -> tuple[Any, Any]:
    """The first recorded answer with a row that has a value at `path`, and that row."""
    for body in rows.recordings:
        held = rows.rows(body)
        for row in held.values() if isinstance(held, dict) else held:
            try:
                if inner(row, path) is not None:
                    return body, row
            except (KeyError, IndexError, TypeError):
                continue
    raise AssertionError(f"no recorded row of {rows.provider} has {path}")


@pytest.mark.parametrize(("rows", "body"), recorded)
def test_an_odd_row_vanishes_alone(rows: ListOfRows, body: Any) -> None:
    """The answer is the same as without it, and one row is noted."""
    with noting() as before:
        expected = rows.parse(sent(body))
    for odd in (*ODD_ROWS, *(f"bare {token}" for token in BARE)):
        with noting() as misfits:
            assert rows.parse(sent(rows.with_rows(body, [(1, odd)]))) == expected, odd
        assert misfits.read == before.read + 1
        if rows.parser not in ("simple_price", "fees") or not isinstance(odd, dict):
            assert sum(misfits.rows.values()) == sum(before.rows.values()) + 1


@pytest.mark.parametrize(("rows", "body"), recorded)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_only_odd_rows_vanish(rows: ListOfRows, body: Any, data: st.DataObject) -> None:
    """Up to as many as there are others, whatever is odd about them, and wherever they stand."""
    held = rows.rows(body)
    real = list(held.values() if isinstance(held, dict) else held)
    with noting() as misfits:
        rows.parse(sent(body))
    spare = misfits.read - 2 * sum(misfits.rows.values())
    bad = [(path, value) for path in rows.vital for value in BAD_VALUES if not fits(rows, path, value)]
    spoilt = st.tuples(st.sampled_from(real), st.sampled_from(bad)).map(lambda drawn: _spoilt(drawn[0], *drawn[1]))
    odd = st.tuples(st.integers(0, 20), st.sampled_from(ODD_ROWS) | spoilt)
    added = data.draw(st.lists(odd, min_size=1, max_size=min(spare, 4)))
    with_them = rows.with_rows(body, added)
    assert plain(rows.parse(sent(with_them))) == plain(rows.parse(sent(body)))


def _spoilt(row: Any, path: Path, value: Any) -> Any:
    try:
        return with_value(row, path, value)
    except (KeyError, IndexError, TypeError):
        return None  # a recorded row without that part


@pytest.mark.parametrize(("rows", "path"), fields(figures=False))
def test_a_field_that_a_row_needs_costs_the_row(rows: ListOfRows, path: Path) -> None:
    """What identifies a row, its price and its time: with another value there, the row is left out."""
    body, row = sample(rows, path)
    expected = plain(rows.parse(sent(body)))
    for value in (*BAD_VALUES, f"bare {TOO_MUCH}"):
        if not fits(rows, path, value):
            odd = with_value(row, path, value)
            assert plain(rows.parse(sent(rows.with_rows(body, [(0, odd)])))) == expected, value


@pytest.mark.parametrize(
    ("rows", "path"), [(rows, path) for rows in LISTS for path in rows.vital if path[-1] in IDENTITIES]
)
def test_an_empty_text_is_as_good_as_none(rows: ListOfRows, path: Path) -> None:
    """A row whose name is `""` or blank has none."""
    body, row = sample(rows, path)
    for empty in ("", " \t"):
        odd = with_value(row, path, empty)
        assert plain(rows.parse(sent(rows.with_rows(body, [(0, odd)])))) == plain(rows.parse(sent(body)))


@pytest.mark.parametrize(("rows", "path"), fields(figures=True))
def test_a_figure_costs_only_itself(rows: ListOfRows, path: Path) -> None:
    """Where it does not fit, the row stands as if it were null."""
    body, row = sample(rows, path)
    held = rows.rows(body)
    at = next(key for key in (held if isinstance(held, dict) else range(len(held))) if held[key] is row)
    with noting() as before:
        expected = rows.parse(sent(with_value(body, (*rows.at, at, *path), None)))
    for value in ({}, [1], True, [[]], f"bare {TOO_MUCH}", f"bare -{TOO_MUCH}", "bare NaN"):
        if fits(rows, path, value):
            continue
        with noting() as misfits:
            assert rows.parse(sent(with_value(body, (*rows.at, at, *path), value))) == expected, value
        assert misfits.rows == before.rows
        assert sum(misfits.figures.values()) == (0 if value == "bare NaN" else 1)


@pytest.mark.parametrize(("rows", "body"), recorded)
def test_a_list_of_which_most_is_odd_is_refused(rows: ListOfRows, body: Any) -> None:
    """More odd rows than others, or no others: the error names the first of them."""
    held = rows.rows(body)
    none = with_value({"all": body}, ("all", *rows.at), type(held)())["all"]
    for spoilt in (rows.with_rows(body, [(0, None)] * (len(held) + 1)), rows.with_rows(none, [(0, 7)])):
        with pytest.raises(ProviderError, match="rows don't fit") as caught:
            rows.parse(sent(spoilt))
        assert caught.value.provider == rows.provider
        place = "$" + "".join(f".{key}" for key in rows.at)
        assert str(caught.value.field).startswith(place)


@pytest.mark.parametrize("rows", [rows for rows in LISTS if rows.figures], ids=lambda rows: rows.provider)
def test_a_figure_that_fits_in_few_of_many_rows_refuses_the_list(rows: ListOfRows) -> None:
    """A format that has changed is noticed: another source may have the figure."""
    path = rows.figures[0]
    body, row = sample(rows, path)
    odd = with_value(row, path, [1])
    held = rows.rows(body)
    held.clear()
    whole = rows.with_rows(body, [(0, row)] * 5 + [(9, odd)] * 5)
    assert rows.parse(sent(whole))
    with pytest.raises(ProviderError, match="6 of 10 rows don't fit"):
        rows.parse(sent(rows.with_rows(body, [(0, row)] * 4 + [(9, odd)] * 6)))


@pytest.mark.parametrize(("rows", "body"), recorded)
def test_a_truncated_answer_with_odd_rows_is_refused(rows: ListOfRows, body: Any) -> None:
    """Leaving rows out never makes the beginning of an answer an answer."""
    spoilt = sent(rows.with_rows(body, [(1, "\ud83d"), (2, "bare NaN")]))
    for end in range(0, len(spoilt), 23):
        with pytest.raises(ProviderError):
            rows.parse(spoilt[:end])


HALVES = (rb"\ud83d", rb"\ude00", rb"\ud83d\ud83d", rb"\uDBFF x", b"\xed\xa0\xbd", b"\xf0\x9f\x98", b"\xe2\x82")


@pytest.mark.parametrize(
    ("rows", "path"),
    [pytest.param(rows, path, id=f"{rows.provider}/{rows.parser}") for rows in LISTS for path in rows.texts],
)
def test_half_an_emoji_costs_one_text(rows: ListOfRows, path: Path) -> None:
    """It is read as U+FFFD, and nothing else changes."""
    body, row = sample(rows, path)
    held = rows.rows(body)
    at = next(key for key in (held if isinstance(held, dict) else range(len(held))) if held[key] is row)
    marked = sent(with_value(body, (*rows.at, at, *path), "rocket @@"))
    with noting() as before:
        rows.parse(marked)
    for half in HALVES:
        with noting() as misfits:
            answer = json.dumps(plain(rows.parse(marked.replace(b"@@", half))), ensure_ascii=False)
        assert "rocket \ufffd" in answer
        assert misfits.rows == before.rows
        assert not misfits.figures


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(RECORDED.glob("*/*.json")) if not path.name.endswith(".expected.json")],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_half_an_emoji_elsewhere_costs_nothing(path: Any) -> None:
    """In a text that no one reads, in the answer of any provider."""
    name = path.parent.name
    provider = load_provider(name, "id:secret" if provider_class(name).needs_key else None)
    parse = provider.parsers[path.stem.partition("-")[0]]
    body = path.read_bytes()
    for half in HALVES if b"{" in body and path.stem != "estimates" else ():  # those are an object of numbers only
        assert parse(body.replace(b"{", b'{"note": "' + half + b'", ', 1)) == parse(body)
