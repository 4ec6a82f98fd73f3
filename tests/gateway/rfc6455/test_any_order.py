"""Whatever way a client cuts its messages into fragments and writes, it receives the same answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.deflate import new_compressor, squeeze
from tests.gateway.rfc6455.cases import BINARY, PING, PONG, TEXT, Heard, converse, fragments, frame

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

MESSAGES = 12  # fewer than a burst of commands, whatever their size here


@dataclass
class Script:
    """Messages, and a way to write them."""

    messages: list[tuple[int, bytes]]
    """Opcodes and payloads."""
    frames: list[bytes]
    """The same in fragments, with control frames among them."""
    pongs: list[bytes]
    """What the pings among them have to be answered with."""
    writes: list[bytes]


texts = st.text(max_size=40)
commands = st.fixed_dictionaries(
    {"action": st.sampled_from(["ping", "ping", "unsubscribe", "nothing"])},
    optional={"data": st.dictionaries(texts, texts, max_size=3), "service": st.just("news"), "id": st.integers(0, 9)},
)
masks = st.binary(min_size=4, max_size=4)
controls = st.lists(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)), max_size=2)


def json_text(value: Any) -> bytes:
    """As a text frame carries it: characters beyond ASCII as they are, so that a cut may go through them."""
    return json.dumps(value, ensure_ascii=False).encode()


def messages(*, packed: bool) -> st.SearchStrategy[tuple[int, bytes]]:
    """Commands, nonsense, and messages of the kind that the connection does not speak."""
    text = st.tuples(st.just(TEXT), commands.map(json_text) | texts.map(str.encode))
    binary = st.tuples(st.just(BINARY), commands.map(msgpack.packb) | st.binary(max_size=60))
    return binary | text if packed else text | binary


@st.composite
def scripts(draw: st.DrawFn, *, packed: bool, compressed: bool = False) -> Script:
    """A script of up to a dozen messages, some of them `compressed`."""
    some = draw(st.lists(messages(packed=packed), min_size=1, max_size=MESSAGES))
    frames: list[bytes] = []
    pongs: list[bytes] = []
    for opcode, payload in some:
        squeezed = compressed and draw(st.booleans())
        sent = squeeze(new_compressor(15), payload) if squeezed and payload else payload
        cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=6)))
        ends = zip([0, *cuts], [*cuts, len(sent)], strict=True)
        rsv = 4 if sent is not payload else 0
        for part in fragments([sent[start:end] for start, end in ends], opcode, mask=draw(masks), rsv=rsv):
            frames.append(part)
            for kind, content in draw(controls):
                frames.append(frame(content, kind))
                pongs += [content] if kind == PING else []
    wire = b"".join(frames)
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=30)))
    writes = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    return Script(some, frames, pongs, writes)


async def answers(port: int, script: Script, *, subprotocol: str | None = None, offer: str | None = None) -> None:
    """Play a script whole and cut, and compare."""
    as_many: list[tuple[str, Any]] = [("", None)] * len(script.messages)
    frames = [frame(payload, opcode) for opcode, payload in script.messages]
    whole = await converse(port, frames, Heard(as_many, [], 1000), subprotocol)
    cut = await converse(port, script.writes, Heard(as_many, script.pongs, 1000), subprotocol, offer)
    assert whole == Heard(whole.messages, [], 1000)
    assert len(whole.messages) == len(script.messages)
    assert cut == Heard(whole.messages, script.pongs, 1000)


quickly = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@quickly
@given(script=scripts(packed=False))
async def test_cut_messages_have_the_answers_of_whole_ones(port: int, script: Script) -> None:
    """Fragments, control frames among them and writes that end anywhere change no answer; all pings are answered."""
    await answers(port, script)


@quickly
@given(script=scripts(packed=True))
async def test_cut_messages_have_the_answers_of_whole_ones_in_messagepack(port: int, script: Script) -> None:
    """The same on a MessagePack connection."""
    await answers(port, script, subprotocol="msgpack")


@quickly
@given(script=scripts(packed=False, compressed=True))
async def test_compressed_messages_have_the_answers_of_plain_ones(port: int, script: Script) -> None:
    """The same where some messages are compressed, and cut then."""
    await answers(port, script, offer="permessage-deflate")
