"""The contract of every provider in PROVIDERS, over its recordings. A new provider needs no new test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ProviderError
from shared.settings import Settings
from simulator.hosts import HOSTS
from tests.places import RECORDED, ROOT, UPSTREAM
from tests.workers.stage import hosts_of, is_node
from workers.asking.provider import Provider
from workers.providers import PROVIDERS, load_provider, provider_class


def load(name: str) -> Provider:
    """A provider, with a key where it needs one."""
    return load_provider(name, "id:secret" if provider_class(name).needs_key else None)


REFERENCE = (ROOT / "docs" / "reference" / "services.md").read_text()
RECORDINGS = sorted(
    path
    for kind in ("json", "xml")
    for path in RECORDED.glob(f"*/*.{kind}")
    if not path.name.endswith(".expected.json")
)
PARSERS = [(name, parser) for name in PROVIDERS for parser in load(name).parsers]
HTML = b"<!DOCTYPE html><html><head><title>Access denied</title></head><body>1015</body></html>"
NO_JSON = (b"", b" ", HTML, b"\xff\xfe", b"[" * 5000, b"NaN")
NO_ANSWERS = (
    *(b"null", b"1", b'"x"', b"[]", b"{}", b"[[]]", b"[1]", b"[{}]", b'{"data": []}', b'{"error": [], "result": {}}'),
    b'{"error": "too many requests"}',
    b'{"error": ["EAPI:Rate limit exceeded"]}',
    b'{"code": -1121, "msg": "Invalid symbol."}',
    b'{"status": {"error_code": 429, "error_message": "You have exceeded the Rate Limit"}}',
)
WRONG: tuple[Any, ...] = ({}, [], "x", "nan", "-inf", "", True, None, -1, 1e300, [None], {"value": 1}, 10**40, "1e999")

WRONG_TEXTS = (
    "&nope;",
    "&#0;",
    "&amp;amp;",
    "http://[",
    "https://a@b/",
    "Mon, 99 Foo 99999 99:99:99 +9999",
    "\0",
    "<a>",
)


def parser_of(path: Path) -> Callable[[bytes], Any]:
    """`markets-nulls.json` belongs to the parser `markets`."""
    name, parser = path.parent.name, path.stem.partition("-")[0]
    assert name in PROVIDERS, f"tests/recorded/{name}/ is of no provider in PROVIDERS"
    parsers = load(name).parsers
    assert parser in parsers, f"tests/recorded/{name}/{path.name} is of no parser of {name}"
    return parsers[parser]


def plain(answer: Any) -> Any:
    """An answer as JSON has it; sets sorted."""
    return sorted(answer) if isinstance(answer, frozenset) else json.loads(msgspec.json.encode(answer))


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_line_of_the_table_loads(name: str) -> None:
    """A provider's name is its line's, and it has an address, a budget and parsers."""
    provider = load(name)
    assert provider.name == name
    assert provider.base_url.startswith("https://")
    assert provider.budget.units > 0
    assert provider.parsers


def test_every_file_of_a_provider_has_its_line() -> None:
    """A class of a provider in `workers/providers/` that the table does not name would never be asked."""
    listed = {line.partition(":")[0] for line in PROVIDERS.values()}
    for path in sorted((ROOT / "workers" / "providers").glob("*.py")):
        module = f"workers.providers.{path.stem}"
        kinds = [kind for kind in vars(import_module(module)).values() if isinstance(kind, type)]
        # What several files share has no name of its own.
        own = [
            kind for kind in kinds if kind.__module__ == module and Provider in kind.__mro__ and hasattr(kind, "name")
        ]
        assert not own or module in listed, f"PROVIDERS in workers/providers/__init__.py has no line for {path.name}"


@pytest.mark.parametrize(("name", "parser"), PARSERS)
def test_every_parser_has_a_recording(name: str, parser: str) -> None:
    """Each parser has at least one recorded answer with its expectation."""
    assert (RECORDED / name).is_dir(), f"no recording in tests/recorded/{name}/"
    recorded = [path for path in RECORDINGS if path.parent.name == name and path.stem == parser]
    assert recorded, f"no recording {parser}.json in tests/recorded/{name}/ for the parser {parser!r}"


@pytest.mark.parametrize("name", [name for name in PROVIDERS if not is_node(name)])
def test_the_simulator_answers_for_every_provider(name: str) -> None:
    """Each host that a provider asks is simulated; nodes are in test_nodes."""
    for host in hosts_of(load(name)):
        assert host in HOSTS, f"the simulator does not answer for {host}"


@pytest.mark.parametrize("name", [name for name in PROVIDERS if not is_node(name)])
def test_the_reference_names_every_provider(name: str) -> None:
    """The page of services says of each provider who asks it; which service does is in tests/project/test_reference."""
    assert f"`{name}`" in REFERENCE, f"docs/reference/services.md does not name {name}"


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_key_is_a_setting(name: str) -> None:
    """What makes up a provider's key are settings, and one that answers nothing without a key says which."""
    kind = provider_class(name)
    for setting in kind.key_settings:
        assert setting in Settings.model_fields, f"Settings has no {setting}, which is the key of {name}"
    assert kind.key_settings or not kind.needs_key, f"{name} needs a key and names no setting for it in key_settings"


@pytest.mark.parametrize("path", RECORDINGS, ids=label)
def test_every_recording_parses_to_its_expectation(path: Path) -> None:
    """A recorded answer gives exactly the values written beside it."""
    written = path.with_suffix(".expected.json")
    assert written.exists(), f"no {written.name} beside {path.name} in tests/recorded/{path.parent.name}/"
    expected = json.loads(written.read_bytes())
    assert plain(parser_of(path)(path.read_bytes())) == expected


@pytest.mark.parametrize(("name", "parser"), PARSERS)
@pytest.mark.parametrize("body", [*NO_JSON, *NO_ANSWERS], ids=lambda body: repr(body[:24]))
def test_what_is_not_an_answer_is_a_provider_error(name: str, parser: str, body: bytes) -> None:
    """Empty, HTML, another shape or an error inside a 200 raises ProviderError with the provider's name."""
    with pytest.raises(ProviderError) as caught:
        load(name).parsers[parser](body)
    assert caught.value.provider == name


@pytest.mark.parametrize("path", RECORDINGS, ids=label)
def test_a_truncated_answer_is_a_provider_error(path: Path) -> None:
    """Every prefix of an answer raises ProviderError: it is never half an update."""
    body, parse = path.read_bytes().rstrip(), parser_of(path)
    for end in range(0, len(body), 7):
        with pytest.raises(ProviderError):
            parse(body[:end])


@pytest.mark.parametrize("path", RECORDINGS, ids=label)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_spoilt_answer_parses_or_is_a_provider_error(path: Path, data: st.DataObject) -> None:
    """Whatever value is put anywhere into an answer, or left out of it, the parser raises ProviderError or nothing."""
    parse = parser_of(path)
    if path.suffix == ".xml":
        spoilt = spoil_markup(path.read_bytes(), data)
    else:
        spoilt = spoil_json(json.loads(path.read_bytes()), data)
    try:
        parse(spoilt)
    except ProviderError as error:
        assert error.provider == path.parent.name  # noqa: PT017


def spoil_json(body: Any, data: st.DataObject) -> bytes:
    """`body` with one value replaced or left out."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys: Any = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(body)
    node, key = data.draw(st.sampled_from(places))
    if data.draw(st.booleans()):
        node[key] = data.draw(st.sampled_from(WRONG) | st.floats(allow_nan=False, allow_infinity=False) | st.text())
    else:
        del node[key]
    return json.dumps(body).encode()


def spoil_markup(body: bytes, data: st.DataObject) -> bytes:
    """`body` with one tag, text or attribute replaced, moved elsewhere, doubled or left out."""
    pieces = re.findall(rb"<!\[CDATA\[|\]\]>|</?[\w:]+|\"[^\"]*\"|[^<>\"]+|.", body, re.DOTALL)
    at = data.draw(st.integers(0, len(pieces) - 1))
    other = data.draw(st.sampled_from(pieces))
    with_text = data.draw(st.text() | st.sampled_from(WRONG_TEXTS)).encode(errors="surrogatepass")
    pieces[at] = data.draw(st.sampled_from((b"", other, with_text, pieces[at] + other, pieces[at] * 2)))
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("name", "parser", "file", "rows"),
    [
        ("coingecko", "markets", "coins_markets_250_2022-02.json", 250),
        ("coingecko", "markets", "coins_markets_stablecoins_2022-11.json", 50),
        ("coingecko", "markets", "coins_markets_bitcoin_usd.json", 1),
        ("coinpaprika", "tickers", "tickers_usd_2021.json", 3795),
        ("binance", "day", "ticker_24hr_all_2019_v1.json", 57),
        ("kraken", "ticker", "Ticker_all_assetVersion1_2026.json", 646),
    ],
)
def test_real_answers_parse(name: str, parser: str, file: str, rows: int) -> None:
    """What the real upstream once sent parses whole, without a zero that means unknown."""
    path = UPSTREAM / name / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    answer = load(name).parsers[parser](path.read_bytes())
    assert len(answer) == rows
    assert all(row.price != 0 for row in answer)


@pytest.mark.parametrize(
    ("name", "parser", "file", "rows"),
    [
        ("coindesk", "feed", "rss_coindesk/coindesk_2023-03-13.xml", 50),
        ("cointelegraph", "feed", "rss_cointelegraph/cointelegraph_2025-12.xml", 30),
        ("decrypt", "feed", "rss_decrypt/decrypt_2025-12.xml", 58),
        ("theblock", "feed", "rss_theblock/theblock_2025-12.xml", 19),
        ("cryptopanic", "posts", "cryptopanic/posts_2022.json", 20),
    ],
)
def test_real_feeds_parse(name: str, parser: str, file: str, rows: int) -> None:
    """What the real outlets once sent parses whole: plain titles, links without tracking."""
    path = UPSTREAM / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    answer = load(name).parsers[parser](path.read_bytes())
    assert len(answer) == rows
    assert not any("utm_" in row.url or "mtm_" in row.url for row in answer)
    assert not any(mark in row.title for row in answer for mark in ("<", "&#", "&amp;"))


@pytest.mark.parametrize("file", ["error_500.json", "error_404_unknown_coin.json", "error_429_cloudflare_html.html"])
def test_real_errors_are_provider_errors(file: str) -> None:
    """Error bodies that CoinGecko really sent raise ProviderError, should they ever come with status 200."""
    path = UPSTREAM / "coingecko" / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    with pytest.raises(ProviderError):
        load("coingecko").parsers["markets"](path.read_bytes())
