"""Tables of what a service publishes: everything there is, as wide as the terminal, and harmless to it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from commands.live.tables import view
from commands.terminal import as_json, printable

MARKET = {
    "prices": {"bitcoin": 101234.5, "pepe": 0.0000123},
    "volumes": {"bitcoin": 25_000_000_000, "pepe": None},
    "price_changes": {"bitcoin": 1.234, "pepe": -0.5},
    "source": "coingecko",
    "as_of": {"coingecko": "2025-11-11T10:29:59.000Z"},
    "timestamp": "2025-11-11T10:30:00.000Z",
}
NODES = {
    "nodes": [
        {"name": "one", "status": "active", "block_number": 19_000_000, "error": None},
        {"name": "two", "status": "down", "block_number": None, "error": "HTTP 503 " * 20},
    ],
    "active_nodes": 1,
    "chains": {"bitcoin": {"fees": {"fast": 2}, "empty": False}, "ethereum": {"gas": 1.5}},
    "sources": ["a", "b"],
    "events": [],
}
EVIL = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e\r\n"


def printed(service: str, data: dict[str, Any], columns: int | None = None, *, colour: bool = False) -> str:
    """What a terminal of this width gets; a pipe without one."""
    text = io.StringIO()
    terminal = columns is not None
    system = "standard" if colour else None
    console = Console(
        file=text, width=columns or 10_000, force_terminal=terminal, color_system=system, highlight=False, _environ={}
    )
    console.print(view(service, data, f"{service} #1", console))
    return text.getvalue()


def lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_maps_with_the_same_keys_share_a_table() -> None:
    """Prices, volumes and changes of a coin are one row, under the names of their fields; a null is a dash."""
    found = lines(printed("market_data", MARKET, 80))
    assert ["coin", "prices", "volumes", "price_changes"] in found
    assert ["bitcoin", "101,234.50", "25,000,000,000", "1.23"] in found
    assert ["pepe", "1.23e-05", "–", "-0.5"] in found
    assert found[0] == ["market_data", "#1"]
    assert found[-2:] == [["as_of"], ["coingecko", "2025-11-11T10:29:59.000Z"]]


def test_what_is_empty_is_named() -> None:
    """An empty map and an empty list say so under the names of their fields."""
    found = lines(printed("market_data", {"prices": {"bitcoin": 1.5}, "disputed": {}, "events": []}, 80))
    assert ["disputed:", "none"] in found
    assert ["events", "–"] in found


def test_lists_and_maps_of_objects_have_a_row_each() -> None:
    """A row per node and per chain, a column per field of any; figures alone are a list of names and values."""
    found = lines(printed("rpc_nodes", NODES))
    assert ["name", "status", "block_number", "error"] in found
    assert ["one", "active", "19,000,000", "–"] in found
    assert ["chains", "fees", "empty", "gas"] in found
    assert ["bitcoin", "[fast", "2]", "no", "–"] in found
    assert ["active_nodes", "1"] in found
    assert ["sources", "a,", "b"] in found
    assert ["events", "–"] in found


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize(("service", "data"), [("market_data", MARKET), ("rpc_nodes", NODES)])
def test_no_line_is_wider_than_the_terminal(service: str, data: dict[str, Any], columns: int) -> None:
    """What does not fit is shortened, or its column left out and named."""
    assert max(cell_len(line.rstrip()) for line in printed(service, data, columns).splitlines()) <= columns


def test_a_column_that_does_not_fit_is_named() -> None:
    """On a narrow terminal, figures are never cut: whole columns are left out, and a line says which."""
    text = printed("market_data", MARKET, 45)
    assert "not shown: price_changes" in text
    assert "25,000,000,000" in text


def test_nothing_is_left_out_into_a_pipe() -> None:
    """Without a terminal there is no limit, and no escape sequence."""
    text = printed("rpc_nodes", NODES)
    assert "not shown" not in text
    assert ("HTTP 503 " * 20).strip() in text
    assert "\x1b" not in text


def test_nothing_of_an_upstream_reaches_the_terminal_as_a_command() -> None:
    """Control characters and changes of direction are replaced, in names, values, lists and headings."""
    data = {EVIL: EVIL, "map": {EVIL: EVIL}, "rows": [{EVIL: [EVIL]}], "list": [EVIL]}
    text = printed("market_data" + EVIL, data, 100)
    assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert "[31mred" in text


def test_markup_of_an_upstream_is_text() -> None:
    """Square brackets of a headline are no styles."""
    assert "[red]up[/red] [/]" in printed("news", {"articles": [{"title": "[red]up[/red] [/]"}]}, 80)


def test_changes_are_coloured_where_colours_are_wanted() -> None:
    """A rise is green, a fall red."""
    text = printed("market_data", MARKET, 80, colour=True)
    assert "\x1b[32m" in text
    assert "\x1b[31m" in text


@pytest.mark.parametrize(
    "data", [{}, {"prices": {}}, {"prices": {"bitcoin": [{}]}}, {"rows": [{}, 1]}, {"rows": [[{}]]}]
)
def test_any_shape_can_be_shown(data: dict[str, Any]) -> None:
    """What a newer gateway sends is shown as far as possible, and never an exception."""
    assert "#1" in printed("market_data", data, 80)
    assert "#1" in printed("tomorrow", data)


def test_json_for_a_terminal_is_the_same_to_a_program() -> None:
    """Control characters are escaped, letters of any script are not."""
    text = as_json({"title": EVIL + "بیت‌کوین €"})
    assert printable(text) == text
    assert "€" in text
    assert json.loads(text) == {"title": EVIL + "بیت‌کوین €"}
