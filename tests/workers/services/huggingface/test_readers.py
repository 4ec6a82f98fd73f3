"""The best reader available rates headlines: each text once, never two readers in one score."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.workers.services.huggingface.tiny_model import make_model
from workers.services.huggingface.onnx_model import ModelError, OnnxModel
from workers.services.huggingface.readers import LocalReader, Method, Readers
from workers.services.sentiment.tone import tone


class Scripted:
    """A model that gives every text the same tone, unless it is told to fail."""

    method: Method = "hub_model"
    model = "acme/model"
    at_once = 2

    def __init__(self, value: float = 1.0) -> None:
        self.value = value
        self.asked: list[tuple[str, ...]] = []
        self.fails = False
        self.on_read = lambda: None

    async def read(self, texts: Sequence[str], deadline: float) -> Sequence[float] | None:
        self.asked.append(tuple(texts))
        self.on_read()
        return None if self.fails else [self.value] * len(texts)


async def test_without_a_model_the_lexicon_reads() -> None:
    """The tone is the mean of the lexicon's tones."""
    reading = await Readers(()).read(["Bitcoin crashes", "Bitcoin rallies"], 1.0)
    assert reading == ("lexicon", None, pytest.approx((tone("Bitcoin crashes") + tone("Bitcoin rallies")) / 2))


async def test_each_text_is_read_once() -> None:
    """What a model has read it is not given again, however often it comes, and no more at once than it takes."""
    model = Scripted()
    readers = Readers([model])
    assert await readers.read(["a", "b", "c", "a"], 1.0) == ("hub_model", "acme/model", 1.0)
    assert await readers.read(["c", "d", "a"], 1.0) == ("hub_model", "acme/model", 1.0)
    assert model.asked == [("a", "b"), ("c",), ("d",)]


async def test_a_text_that_comes_twice_counts_twice() -> None:
    """The mean is over headlines, not over different words."""
    model = Scripted(0.0)
    readers = Readers([model])
    await readers.read(["flat"], 1.0)
    model.value = 1.0
    assert (await readers.read(["flat", "good", "good"], 1.0)).tone == pytest.approx(2 / 3)


async def test_the_next_one_speaks_while_the_first_fails() -> None:
    """For all texts, those too that the first one knows; when it is back it is given only what it has not read."""
    first, second = Scripted(1.0), Scripted(-1.0)
    second.method, second.model = "local_model", "mine"
    readers = Readers([first, second])
    await readers.read(["a"], 1.0)
    first.fails = True
    assert await readers.read(["a", "b"], 1.0) == ("local_model", "mine", -1.0)
    second.fails = True
    assert (await readers.read(["a", "b", "c"], 1.0)).method == "lexicon"
    first.fails = False
    assert await readers.read(["a", "b"], 1.0) == ("hub_model", "acme/model", 1.0)
    assert first.asked[-1] == ("b",)


async def test_what_is_known_already_needs_no_reader_that_is_well() -> None:
    """A model that read all headlines still counts while it can't be reached."""
    model = Scripted()
    readers = Readers([model])
    await readers.read(["a", "b"], 1.0)
    model.fails = True
    assert (await readers.read(["b", "a"], 1.0)).method == "hub_model"


async def test_a_reader_that_is_not_done_in_time_goes_on_in_the_next_cycle() -> None:
    """What it has read until then is not lost."""
    now = [0.0]
    model = Scripted()

    def take_time() -> None:
        now[0] += 0.6

    model.on_read = take_time
    readers = Readers([model], clock=lambda: now[0])
    texts = list("abcdefgh")
    assert (await readers.read(texts, 1.0)).method == "lexicon"
    assert len(model.asked) == 2
    assert (await readers.read(texts, 1.5)).method == "hub_model"
    assert [text for part in model.asked for text in part] == texts


async def test_what_is_remembered_is_bounded() -> None:
    """The texts used least lately are forgotten; those of the current list never."""
    model = Scripted()
    readers = Readers([model])
    await readers.read(["kept"], 1.0)
    for number in range(1000):
        await readers.read(["kept", f"text {number}"], 1.0)
    asked = len(model.asked)
    await readers.read(["kept"], 1.0)
    assert len(model.asked) == asked
    await readers.read(["text 0"], 1.0)
    assert len(model.asked) == asked + 1
    assert (await readers.read([f"many {number}" for number in range(1500)], 1.0)).method == "hub_model"


async def test_a_local_model_reads_in_a_thread(tmp_path: Path) -> None:
    """The event loop is not held meanwhile."""
    model = OnnxModel(make_model(tmp_path / "mine"))
    threads: list[int] = []
    inner = model.tones

    def noted(texts: Sequence[str]) -> tuple[float, ...]:
        threads.append(threading.get_ident())
        return inner(texts)

    model.tones = noted  # type: ignore[method-assign]
    reading = await Readers([LocalReader(model)]).read(["rally"], 1.0)
    assert (reading.method, reading.model) == ("local_model", "mine")
    assert reading.tone > 0.9
    assert threads
    assert threading.get_ident() not in threads


async def test_a_local_model_that_fails_is_told_once(tmp_path: Path) -> None:
    """The transition is logged, not each attempt; the lexicon answers meanwhile."""
    model = OnnxModel(make_model(tmp_path / "mine"))
    inner = model.tones

    def broken(texts: Sequence[str]) -> tuple[float, ...]:
        raise ModelError("out of memory")

    readers = Readers([LocalReader(model)])
    with capture_logs() as logs:
        model.tones = broken  # type: ignore[method-assign]
        assert (await readers.read(["rally"], 1.0)).method == "lexicon"
        assert (await readers.read(["rally"], 1.0)).method == "lexicon"
        model.tones = inner  # type: ignore[method-assign]
        assert (await readers.read(["rally"], 1.0)).method == "local_model"
    told = [(line["event"], line.get("reason")) for line in logs]
    assert told == [("local model down", "out of memory"), ("local model back", None)]
