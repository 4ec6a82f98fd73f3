"""A classifier of a few hundred bytes, in the layout of the Hugging Face hub, for tests of model loading.

Each word has logits of its own in a table; those of a text are the means over its words, padding left out. "rally" is
bullish, "crash" is bearish, every other word is neutral.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

LABELS = ("positive", "neutral", "negative")
WORDS = {"[PAD]": 0, "[UNK]": 1, "rally": 2, "crash": 3}
_TABLE = ((9.0, 9.0, 9.0), (0.0, 3.0, 0.0), (40.0, 0.0, 0.0), (0.0, 0.0, 40.0))


def make_model(
    folder: Path,
    *,
    nested: bool = False,
    labels: tuple[str, ...] = LABELS,
    kind: int = TensorProto.INT64,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    batch: int | str = "batch",
    longest: int | None = 64,
    classes: int = 3,
    config: dict[str, Any] | None = None,
) -> Path:
    """Write one to `folder`: `nested` puts the network where optimum once did, the rest spoils it in some way."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Any] = {"id2label": {str(number): label for number, label in enumerate(labels)}, "pad_token_id": 0}
    if longest is not None:
        made["max_position_embeddings"] = longest
    (folder / "config.json").write_text(json.dumps(made | (config or {})))
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    network = folder / "onnx" / "model.onnx" if nested else folder / "model.onnx"
    network.parent.mkdir(exist_ok=True)
    onnx.save(_network(kind, inputs, batch, classes), str(network))
    return folder


def _network(kind: int, inputs: tuple[str, ...], batch: int | str, classes: int) -> onnx.ModelProto:
    table = numpy.array([row[:classes] for row in _TABLE], dtype=numpy.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["real"]),
        helper.make_node("ReduceSum", ["real", "words"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["column", "words"], ["counts"], keepdims=0),
        helper.make_node("Div", ["sums", "counts"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(numpy.array([2], dtype=numpy.int64), "last"),
        numpy_helper.from_array(numpy.array([1], dtype=numpy.int64), "words"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kind, [batch, "length"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes])],
        constants,
    )
    # An operator set and a format that every onnxruntime of the last years reads.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
