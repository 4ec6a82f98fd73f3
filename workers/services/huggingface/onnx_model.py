"""OnnxModel: a text classifier, loaded from a folder with the layout of the Hugging Face hub.

`config.json` names the classes, `tokenizer.json` defines the tokens, `model.onnx` (or `onnx/model.onnx`) is the
network; `optimum-cli export onnx --task text-classification` writes all three. Needs the packages of the extra
`model`, which are loaded only here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from shared.errors import CoinwireError, SettingsError
from workers.answers.labels import signs

BATCH = 8
"""Texts per call of the model: enough to use the CPU well, and few enough that a worker can stop soon."""
_TOKENS = 128  # per text; a headline of 300 characters has fewer. Further tokens are not read
_LEAST = 16  # tokens that a model must accept
_THREADS = 1  # CPU cores for one call: headlines are not urgent, and the other cores are for other services
_TYPES = {"tensor(int64)": "int64", "tensor(int32)": "int32"}
_MODELS = ("model.onnx", "onnx/model.onnx")


class ModelError(CoinwireError):
    """The model failed on a text that it was given."""


class _Config(Struct):
    id2label: dict[str, str]
    pad_token_id: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    max_position_embeddings: Annotated[int, Meta(ge=_LEAST, lt=2**31)] | None = None


class OnnxModel:
    """A loaded classifier. The constructor checks it with two texts."""

    def __init__(self, folder: Path) -> None:
        """Load it, which may take seconds. Raises SettingsError with one line on what is missing or does not fit."""
        # onnxruntime sends telemetry unless this is set before the import (its Privacy.md, 1.32).
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            self._runtime: Any = import_module("onnxruntime")
            self._numpy: Any = import_module("numpy")
            tokenizers: Any = import_module("tokenizers")
        except ImportError as error:
            raise _wrong(f"needs the package {error.name}: install coinwire with its extra `model`") from None
        self._faults = _faults()
        config = _config(folder)
        self.name = folder.resolve().name
        self._signs = _signs(config, self.name)
        self._tokenizer = _tokenizer(tokenizers, folder, config)
        self._session = self._open(folder)
        self._inputs = {needed.name: _TYPES.get(needed.type) for needed in self._session.get_inputs()}
        outputs = [given.name for given in self._session.get_outputs()]
        self._output = "logits" if "logits" in outputs else outputs[0]
        self._check()

    def tones(self, texts: Sequence[str]) -> tuple[float, ...]:
        """The tone of each text, from -1 to 1. It computes on one core, so call it in a thread. Raises ModelError."""
        return tuple(
            tone for begin in range(0, len(texts), BATCH) for tone in self._batch(texts[begin : begin + BATCH])
        )

    def _batch(self, texts: Sequence[str]) -> list[float]:
        numpy = self._numpy
        with _tokenizing():
            encodings = self._tokenizer.encode_batch(list(texts))
        columns = {
            "input_ids": [encoding.ids for encoding in encodings],
            "attention_mask": [encoding.attention_mask for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }
        inputs = {name: numpy.asarray(columns[name], dtype=kind) for name, kind in self._inputs.items()}
        try:
            logits = numpy.asarray(self._session.run([self._output], inputs)[0], dtype="float64")
        except self._faults as error:
            raise ModelError(f"{type(error).__name__}: {_first_line(error)}") from None
        if logits.shape != (len(texts), len(self._signs)):
            raise ModelError(f"gives {logits.shape} figures for {len(texts)} texts and {len(self._signs)} labels")
        if not numpy.isfinite(logits).all():
            raise ModelError("gives figures that are no numbers")
        powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
        tones = (powers / powers.sum(axis=1, keepdims=True)) @ numpy.asarray(self._signs)
        return [max(-1.0, min(1.0, float(tone))) for tone in tones]

    def _open(self, folder: Path) -> Any:
        found = [folder / name for name in _MODELS if (folder / name).is_file()]
        if not found:
            raise _wrong(f"no {' or '.join(_MODELS)} in {folder}")
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = _THREADS
        options.log_severity_level = 4  # its own lines on stderr repeat ours
        try:
            return self._runtime.InferenceSession(str(found[0]), options, providers=["CPUExecutionProvider"])
        except self._faults as error:
            raise _wrong(f"{found[0].name} can't be loaded: {_first_line(error)}") from None

    def _check(self) -> None:
        """Check that the parts fit together."""
        ours = {"input_ids", "attention_mask", "token_type_ids"}
        if "input_ids" not in self._inputs or not set(self._inputs) <= ours:
            raise _wrong(f"the model takes {', '.join(self._inputs)}, not input_ids, attention_mask and token_type_ids")
        if None in self._inputs.values():
            raise _wrong("the model takes its inputs in another form than whole numbers")
        try:
            # Two texts, one of them longer than the limit: some models accept one text only, or one length only.
            self.tones(("Bitcoin", "Bitcoin falls below support as traders take profits. " * _LEAST))
        except ModelError as error:
            raise _wrong(f"the model can't read: {error}") from None


def _faults() -> tuple[type[Exception], ...]:
    """The exceptions of onnxruntime: they have no common base class of their own."""
    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented")
    own = [getattr(state, name) for name in (*names, "RuntimeException", "EPFail", "EngineError")]
    return (*own, RuntimeError, ValueError, OverflowError)


@contextmanager
def _tokenizing() -> Iterator[None]:
    """Turn exceptions of tokenizers into ModelError. It raises plain Exception."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ModelError(f"tokenizer: {_first_line(error)}") from None


def _config(folder: Path) -> _Config:
    try:
        return msgspec.json.decode((folder / "config.json").read_bytes(), type=_Config)
    except OSError as error:
        raise _wrong(f"config.json can't be read in {folder} ({type(error).__name__})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(f"config.json in {folder} is not a classifier's: {_first_line(error)}") from None


def _signs(config: _Config, name: str) -> tuple[float, ...]:
    """The sign of each class (see `signs`), by its number."""
    labels = [config.id2label.get(str(number)) for number in range(len(config.id2label))]
    named = [label for label in labels if label is not None]
    if len(named) != len(labels) or len(set(named)) != len(named):
        raise _wrong("id2label in config.json does not number its labels from 0, each once")
    try:
        known = signs(named, name)
    except ValueError as error:
        raise _wrong(f"id2label in config.json: {error}") from None
    return tuple(known[label] for label in named)


def _tokenizer(tokenizers: Any, folder: Path, config: _Config) -> Any:
    path = folder / "tokenizer.json"
    try:
        with _tokenizing():
            tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(f"tokenizer.json can't be read in {folder} ({type(error).__name__})") from None
    except ModelError as error:
        raise _wrong(f"tokenizer.json in {folder} can't be used: {error}") from None
    padding = config.pad_token_id or 0
    if (token := tokenizer.id_to_token(padding)) is None:
        raise _wrong(f"pad_token_id {padding} of config.json is not in tokenizer.json")
    # RoBERTa counts positions from its padding id on, so two fewer can be used than the config states.
    longest = (config.max_position_embeddings or _TOKENS + 2) - 2
    tokenizer.enable_truncation(max_length=min(_TOKENS, longest))
    tokenizer.enable_padding(pad_id=padding, pad_token=token)
    return tokenizer


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"MODEL_FOLDER: {what}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
