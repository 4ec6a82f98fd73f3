"""A local model: read from a folder as the hub lays them out, and refused in one line where it does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from shared.errors import SettingsError
from tests.places import ROOT
from tests.workers.services.huggingface.tiny_model import make_model
from workers.services.huggingface.onnx_model import ModelError, OnnxModel


@pytest.mark.parametrize("nested", [False, True], ids=["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32], ids=["int64", "int32"])
def test_a_model_reads_texts(tmp_path: Path, nested: bool, kind: int) -> None:
    """Both layouts, both integer types: good news is near 1, bad news near -1, neutral news near 0."""
    model = OnnxModel(make_model(tmp_path / "finbert", nested=nested, kind=kind))
    good, bad, flat = model.tones(("Rally", "crash", "Ether trades"))
    assert model.name == "finbert"
    assert (good > 0.9, bad < -0.9, abs(flat) < 0.01) == (True, True, True)


def test_texts_of_one_batch_do_not_change_each_other(tmp_path: Path) -> None:
    """What shorter texts are padded with counts for nothing, and more texts than a batch holds keep their order."""
    model = OnnxModel(make_model(tmp_path))
    texts = [f"{'rally' if number % 3 else 'crash'} {'word ' * (number % 7)}" for number in range(21)]
    assert list(model.tones(texts)) == pytest.approx([model.tones([text])[0] for text in texts], abs=1e-6)


@pytest.mark.parametrize(("longest", "read"), [(None, 128), (64, 62), (512, 128)])
def test_a_long_text_is_cut(tmp_path: Path, longest: int | None, read: int) -> None:
    """No more is read than a headline has, and than the model has positions for."""
    model = OnnxModel(make_model(tmp_path, longest=longest))
    words = ["word"] * 400
    assert model.tones([" ".join(words)])[0] == model.tones([" ".join([*words[:read], *["crash"] * 300])])[0]
    assert model.tones([" ".join(words)])[0] != model.tones([" ".join([*words[: read - 1], *["crash"] * 300])])[0]


@pytest.mark.parametrize("labels", [("Bullish", "Neutral", "Bearish"), ("POS", "NEU", "NEG")])
def test_labels_may_have_other_names(tmp_path: Path, labels: tuple[str, ...]) -> None:
    """Those that are known."""
    assert OnnxModel(make_model(tmp_path, labels=labels)).tones(["rally"])[0] > 0.9


def test_labels_may_be_in_another_order(tmp_path: Path) -> None:
    """id2label defines the order."""
    assert OnnxModel(make_model(tmp_path, labels=("negative", "neutral", "positive"))).tones(["rally"])[0] < -0.9


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"labels": ("LABEL_0", "LABEL_1", "LABEL_2")}, "id2label in config.json: unknown label 'LABEL_0'"),
        ({"labels": ("positive", "neutral", "joy")}, "unknown label 'joy'"),
        ({"labels": ("positive", "negative")}, r"gives \(2, 3\) figures for 2 texts and 2 labels"),
        ({"classes": 2}, r"gives \(2, 2\) figures for 2 texts and 3 labels"),
        ({"labels": ("positive", "positive", "negative")}, "does not number its labels"),
        ({"config": {"id2label": {"1": "positive", "2": "negative"}}}, "does not number its labels"),
        ({"config": {"id2label": {}}}, "missing"),
        ({"config": {"id2label": ["positive"]}}, "not a classifier's"),
        ({"config": {"max_position_embeddings": 4}}, "not a classifier's"),
        ({"config": {"pad_token_id": 99}}, "pad_token_id 99"),
        ({"config": {"pad_token_id": -1}}, "not a classifier's"),
        ({"kind": TensorProto.FLOAT}, r"MODEL_FOLDER: "),
        ({"inputs": ("input_ids", "attention_mask", "position_ids")}, "takes input_ids, attention_mask, position_ids"),
        ({"batch": 1}, "the model can't read"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path: Path, made: dict[str, Any], reason: str) -> None:
    """Every fault is found when the model is loaded, and reported in one line."""
    refused(make_model(tmp_path, **made), reason)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("config.json", "config.json can't be read"),
        ("tokenizer.json", "tokenizer.json can't be read"),
        ("model.onnx", "no model.onnx or onnx/model.onnx"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, file: str, reason: str) -> None:
    """And so is the folder."""
    make_model(tmp_path)
    (tmp_path / file).unlink()
    assert str(tmp_path) in refused(tmp_path, reason)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"model": 1}', b"\xff\xfe", b"version https://git-lfs"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.onnx"])
def test_a_file_with_something_else_is_refused(tmp_path: Path, file: str, body: bytes) -> None:
    """A pointer of Git LFS instead of the file it stands for is the most frequent one."""
    make_model(tmp_path)
    (tmp_path / file).write_bytes(body)
    refused(tmp_path, "MODEL_FOLDER: ")


def test_a_tokenizer_without_a_word_for_the_unknown_is_refused(tmp_path: Path) -> None:
    """It would fail at the first headline."""
    make_model(tmp_path)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["model"]["unk_token"] = "[MISSING]"  # noqa: S105
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(tmp_path, "tokenizer: WordLevel error")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """Nothing there, or a file."""
    refused(tmp_path / "nothing", "config.json can't be read")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "config.json can't be read")


def test_a_model_that_fails_on_a_text_says_so(tmp_path: Path) -> None:
    """A tokenizer with more words than the model has fails where such a word is met, and only there."""
    make_model(tmp_path)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["ether"] = 99
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    model = OnnxModel(tmp_path)
    with pytest.raises(ModelError, match="InvalidArgument"):
        model.tones(["ether"])
    assert model.tones(["rally"])[0] > 0.9


def refused(folder: Path, reason: str) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(SettingsError, match=reason) as caught:
        OnnxModel(folder)
    message = str(caught.value)
    assert message.startswith("MODEL_FOLDER: ")
    assert "\n" not in message
    assert len(message) < 500
    return message


def worker(redis_url: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """An integration worker, with what it printed until it ended."""
    return subprocess.run(
        [sys.executable, "-m", "workers", "integration"],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": redis_url, "LOG_LEVEL": "warning", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_worker_with_a_model_that_it_cannot_use_does_not_start(tmp_path: Path) -> None:
    """The operator asked for it: one line, exit status 2, before Redis is asked for anything."""
    done = worker("redis://127.0.0.1:1/0", MODEL_FOLDER=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("workers: MODEL_FOLDER: config.json can't be read")


def test_a_worker_without_the_packages_says_which_extra_has_them(tmp_path: Path) -> None:
    """They are not part of a plain installation."""
    make_model(tmp_path / "model")
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('no', name='onnxruntime')\n")
    done = worker("redis://127.0.0.1:1/0", MODEL_FOLDER=str(tmp_path / "model"), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "needs the package onnxruntime: install coinwire with its extra `model`" in done.stderr


@pytest.mark.slow
def test_the_runtime_tells_its_maker_nothing(tmp_path: Path) -> None:
    """onnxruntime's telemetry is off: it leaves no identifier of this machine in the user's folders."""
    program = (
        "import sys; from pathlib import Path; from workers.services.huggingface.onnx_model import OnnxModel\n"
        "print(OnnxModel(Path(sys.argv[1])).tones(['rally']))"
    )
    home = tmp_path / "home"
    home.mkdir()
    given = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", program, str(make_model(tmp_path / "model"))],
        cwd=ROOT,
        env={**given, "HOME": str(home)},
        check=True,
    )
    assert list(home.rglob("*")) == []
