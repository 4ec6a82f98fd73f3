"""Lists row by row: what is left out, what becomes null, when the whole is refused, and who is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw, Struct
from structlog.testing import capture_logs

from shared.errors import ProviderError
from shared.metrics import WorkerMetrics, open_registry
from tests.workers.upstream import Upstream, reply
from workers.asking.fetch import Fetcher
from workers.asking.json_text import with_nulls, with_whole_texts
from workers.asking.left_out import LeftOut
from workers.asking.provider import Amount, Request, decode
from workers.asking.rows import FEW, Label, Misfits, decode_list, decode_row_map, decode_rows, distinct, noting


class Deep(Struct):
    price: Amount | None = None
    must: int = 0


class Row(Struct):
    id: Label
    price: Amount | None = None
    deep: Deep | None = None
    tags: list[str] | None = None


def rows(*bodies: str, vital: tuple[str, ...] = ()) -> list[Row]:
    good = ['{"id":"good"}'] * len(bodies)
    return decode_list("acme", f"[{','.join((*bodies, *good))}]".encode(), Row, vital=vital)[: -len(bodies)]


@pytest.mark.parametrize(
    ("body", "expected", "label"),
    [
        ('{"id":"a","price":"?"}', Row("a"), "price"),
        ('{"id":"a","price":1e400}', Row("a"), "price"),
        ('{"id":"a","price":' + "9" * 5000 + "}", Row("a"), "price"),
        ('{"id":"a","deep":{"price":-1,"must":2}}', Row("a", deep=Deep(None, 2)), "deep.price"),
        ('{"id":"a","price":2,"deep":{"must":"x"}}', Row("a", 2), "deep.must"),
        ('{"id":"a","deep":[]}', Row("a"), "deep"),
        ('{"id":"a","tags":["x",1]}', Row("a"), "tags[]"),
    ],
)
def test_a_value_that_does_not_fit_is_null_where_null_fits(body: str, expected: Row, label: str) -> None:
    """The smallest value around it that may be null is: a figure, or what holds it."""
    with noting() as misfits:
        assert rows(body) == [expected]
    assert (dict(misfits.figures), dict(misfits.rows)) == ({label: 1}, {})


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ("null", "row"),
        ('{"price":1}', "id"),
        ('{"id":null}', "id"),
        ('{"id":""}', "id"),
        ('{"id":"a","deep":{"price":[]}}', "deep.price"),
        ('{"id":7,"price":"?"}', "id"),
    ],
)
def test_a_row_that_does_not_fit_is_left_out(body: str, label: str) -> None:
    """By the field that costs it: one without which there is no row, or one of those that the caller names."""
    with noting() as misfits:
        assert rows(body, vital=("deep.price",)) == []
    assert dict(misfits.rows) == {label: 1}


def test_labels_are_of_the_schema_alone() -> None:
    """No text of an upstream gets into a metric, so its labels are few."""

    class Map(Struct):
        values: dict[str, int]

    body = b'[{"values":{"upstream":"x"}},{"values":{}},{"upstream":1},{"values":{}}]'
    with noting() as misfits:
        decode_list("acme", body, Map)
    assert set(misfits.rows) == {"values"}


def test_rows_of_an_object_keep_their_keys() -> None:
    """The error has the key of the first misfit, shortened, as it may be anything."""
    raw = {"a": Raw(b"1"), "b": Raw(b"x"), "c": Raw(b"3")}
    assert decode_row_map("acme", raw, int) == {"a": 1, "c": 3}
    with pytest.raises(ProviderError, match="1 of 1 rows don't fit") as caught:
        decode_row_map("acme", {"k" * 500: Raw(b"[]")}, int, "$.result")
    assert caught.value.field == "$.result." + "k" * 80


@pytest.mark.parametrize(
    ("good", "odd", "stands"), [(1, 1, True), (1, 2, False), (0, 1, False), (5, 5, True), (0, 0, True)]
)
def test_more_odd_rows_than_others_refuse_the_list(good: int, odd: int, stands: bool) -> None:
    """Half may be odd. No rows at all are a matter of who asked."""
    body = f"[{','.join(['1'] * good + ['[]'] * odd)}]".encode()
    if stands:
        assert decode_list("acme", body, int) == [1] * good
    else:
        with pytest.raises(ProviderError, match=f"{odd} of {good + odd} rows don't fit") as caught:
            decode_list("acme", body, int)
        assert caught.value.field == f"$[{good}]"


@pytest.mark.parametrize("total", [FEW - 1, FEW])
def test_figures_that_do_not_fit_refuse_a_long_list(total: int) -> None:
    """In a short one they cost only themselves."""
    body = b"[" + b",".join([b'{"id":"a","price":"?"}'] * total) + b"]"
    if total < FEW:
        assert decode_list("acme", body, Row) == [Row("a")] * total
    else:
        with pytest.raises(ProviderError, match="10 of 10 rows") as caught:
            decode_list("acme", body, Row)
        assert caught.value.field == "$[0].price"


@pytest.mark.parametrize("body", [b'[{"id":"a"}', b'[{"id":"a"},', b'[{"id":"a"},{"id":"b', b"[1", b"[NaN", b"[\xff"])
def test_a_truncated_list_is_refused(body: bytes) -> None:
    """Whatever its rows are."""
    with pytest.raises(ProviderError, match="not JSON"):
        decode_list("acme", body, Row)


def test_a_row_nested_beyond_measure_is_no_crash() -> None:
    """It is a ProviderError, or left out."""
    with pytest.raises(ProviderError):
        decode_list("acme", b"[" + b"[" * 9000 + b"]" * 9000 + b",1]", int)


def test_the_second_row_of_an_id_is_left_out() -> None:
    """The first stands; the other is noted."""
    with noting() as misfits:
        assert distinct([Row("a", 1), Row("b"), Row("a", 2)], lambda row: row.id, "id") == [Row("a", 1), Row("b")]
    assert dict(misfits.rows) == {"id": 1}


def test_parsers_need_no_one_who_takes_notes() -> None:
    """They are functions of bytes alone; notes of an inner `noting` are not those of an outer one."""
    assert decode_rows("acme", [Raw(b"1"), Raw(b"x")], int) == [1]
    with noting() as outer:
        with noting() as inner:
            decode_rows("acme", [Raw(b"1"), Raw(b"x")], int)
        assert (inner.read, outer.read) == (2, 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'["\ud83d"]', "\ufffd"),
        (rb'["\ude00\ud83d"]', "\ufffd\ufffd"),
        (rb'["\uD83D\uDE00 \ud83d\ud83d\ude00"]', "😀 \ufffd😀"),
        (rb'["\\ud83d \\\ud83d"]', "\\ud83d \\\ufffd"),
        (b'["\xed\xa0\xbd\xed\xb8\x80 \xed\xa0\xbd"]', "😀 \ufffd"),
        (b'["\xf0\x9f\x98"]', "\ufffd"),
        (b'["caf\xe9"]', "caf\ufffd"),
        (b'\xef\xbb\xbf["a"]', "a"),
    ],
)
def test_half_an_emoji_is_one_character(body: bytes, expected: str) -> None:
    """By escapes or by bytes; whole pairs and escaped backslashes stay, and so does everything else."""
    assert decode("acme", body, list[str]) == [expected]


@pytest.mark.parametrize(
    "body", [rb'["\ud83d', rb'["\ud83', rb'["\ud83d"', b'["\xf0\x9f', b"\xff\xfe", b'{"a":"\xff"', b"\xef\xbb\xbf"]
)
def test_mending_completes_nothing(body: bytes) -> None:
    """What was cut stays no JSON."""
    with pytest.raises(ProviderError, match="not JSON"):
        decode("acme", body, Any)


def test_mending_leaves_good_json_alone() -> None:
    """Texts that look like what is mended stay as they are."""
    body = '["NaN", "a\\"NaN\\"", "-Infinity", "\\\\ud83d", "é😀", 1.5e3]'.encode()
    assert with_whole_texts(body) == with_nulls(body) == body
    assert with_nulls(b'[NaN, -Infinity, {"NaN": Infinity}, "NaN') == b'[null, null, {"NaN": null}, "NaN'


def noted(read: int = 10, **found: int) -> Misfits:
    misfits = Misfits(read=read)
    misfits.rows.update(found)
    misfits.reasons.update(dict.fromkeys(found, "Expected `float`, got `str`"))
    return misfits


def test_a_field_that_begins_to_misfit_is_logged_once() -> None:
    """And once more when it has fitted for an hour; each row and figure is counted."""
    now, registry = 0.0, open_registry()
    left_out = LeftOut(WorkerMetrics(registry), clock=lambda: now)
    with capture_logs() as logs:
        for moment in (0.0, 60.0, 120.0):
            now = moment
            left_out("acme", noted(price=2))
        left_out("other", noted(read=0))
        now = 3000.0
        left_out("acme", noted())
        assert [line["log_level"] for line in logs] == ["warning"]
        now = 3720.0
        left_out("other", noted())
        left_out("acme", noted())
        left_out("acme", noted(price=1))
    assert [(line["log_level"], line["provider"], line["field"]) for line in logs] == [
        ("warning", "acme", "price"),
        ("info", "acme", "price"),
        ("warning", "acme", "price"),
    ]
    assert (logs[0]["rows"], logs[0]["of"], logs[0]["reason"]) == (2, 10, "Expected `float`, got `str`")
    labels = {"provider": "acme", "field": "price"}
    assert registry.get_sample_value("coinwire_provider_rows_left_out_total", labels) == 7


async def test_the_fetcher_says_what_was_left_out(fetcher: Fetcher, upstream: Upstream) -> None:
    """Of each answer, of one that is refused for it, and of an old one that has not changed."""
    told: list[tuple[str, dict[str, int]]] = []
    fetcher._on_misfits = lambda provider, misfits: told.append((provider, dict(misfits.rows)))
    etag = 'etag: "1"'
    upstream.answers = [
        reply("200 OK", b"[1, null]", etag),
        reply("304 Not Modified", b"", etag),
        reply("200 OK", b"[1, null, null]"),
    ]
    ask = fetcher.asker(upstream, 5.0)
    request = Request("/", lambda body: decode_list("acme", body, int), conditional=True)
    assert await ask(request) == await ask(request) == [1]
    with pytest.raises(ProviderError, match="2 of 3"):
        await ask(request)
    assert told == [("acme", {"row": 1}), ("acme", {"row": 1}), ("acme", {"row": 2})]
