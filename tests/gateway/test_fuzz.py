"""Whatever is said, there is one answer, and the connection stays."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import msgspec
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.endpoints import SUBSCRIBABLE
from gateway.frames import decode_binary, decode_text, encode
from gateway.messages.actions import Ping
from gateway.protocol import ACTIONS, ERROR_CODES, Fault, id_of, notice, parse_command
from tests.contract.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_errors")]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
commands = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(ACTIONS) | anything,
        "service": st.sampled_from(SUBSCRIBABLE) | st.lists(st.sampled_from(SUBSCRIBABLE)) | anything,
        "id": st.integers() | st.text() | anything,
        "data": anything,
        # A known epoch is in no fuzz, so that no example waits for an update to come.
        "since": st.fixed_dictionaries({"epoch": st.text(), "seq": st.integers()}) | anything,
    },
)
texts = (
    st.text() | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")) | (commands | anything).map(json.dumps)
)


def packed(value: Any) -> bytes:
    """As MessagePack; integers that it has no form for as JSON's digits."""
    try:
        return bytes(msgpack.packb(value))
    except OverflowError:
        return b"\xc1"


payloads = st.binary(max_size=60) | (commands | anything).map(packed)


def answer(message: Any, *, binary: bool) -> bytes:
    """What a session would say of a decoded message, in bytes. Only a Fault may come of it."""
    try:
        command = parse_command(message)
        data: Any = command.data if isinstance(command, Ping) else msgspec.to_builtins(command)
        return encode(notice("pong", data), binary=binary).payload
    except Fault as fault:
        refused = fault
    assert refused.code in ERROR_CODES
    said = refused.data if id_of(message) is None else refused.data | {"id": id_of(message)}
    return encode(notice("error", said), binary=binary).payload


@given(texts)
def test_any_text_is_a_command_or_a_fault(text: str) -> None:
    """Nothing else ever comes of it, and the answer can always be said."""
    refused = message = None
    try:
        message = decode_text(text)
    except Fault as fault:
        refused = fault
    if refused is not None:
        assert refused.code == "invalid_json"
    else:
        assert set(json.loads(answer(message, binary=False))) == {"service", "type", "data", "timestamp"}


@given(payloads)
def test_any_bytes_are_a_command_or_a_fault(payload: bytes) -> None:
    """The same in MessagePack, with its extensions, bytes and timestamps."""
    refused = message = None
    try:
        message = decode_binary(payload)
    except Fault as fault:
        refused = fault
    if refused is not None:
        assert refused.code == "invalid_msgpack"
    else:
        assert set(msgpack.unpackb(answer(message, binary=True))) == {"service", "type", "data", "timestamp"}


@pytest.mark.parametrize("key", ["action", "id", "service", "since", "data"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth_is_a_fault_at_most(key: str, opening: str, closing: str) -> None:
    """Also where it is just shallow enough to be read, and too deep for whatever comes after."""
    other = '"action":"ping",' if key in ("data", "id") else '"action":"subscribe",' if key != "action" else ""
    for depth in range(400, 1100):
        text = f'{{{other}"{key}":{opening * depth}1{closing * depth}}}'
        try:
            message = decode_text(text)
        except Fault:
            continue
        assert answer(message, binary=False)
        try:
            message = decode_binary(msgpack.packb(message))
        except (Fault, ValueError):
            continue
        assert answer(message, binary=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"action":' + "9" * 4000 + "}",
        '{"action":"subscribe","service":' + "9" * 4000 + "}",
        '{"action":"subscribe","service":"news","since":{"epoch":"e","seq":' + "9" * 4000 + "}}",
        '{"action":"ping","data":' + "9" * 4000 + "}",
        '{"action":"ping","data":1e400}',
        '{"action":"ping","data":"\\ud800 alone"}',
        '{"action":"ping","action":"get_status"}',
        '{"action":"ping","id":' + "9" * 30 + "}",
        "\ufeff{}",
        '{"action":"ping"}{"action":"ping"}',
        '{"action":"\\u0000"}',
    ],
)
async def test_a_strange_text_is_answered_once_and_the_connection_stays(cluster: Cluster, text: str) -> None:
    """Huge integers, lone surrogates, doubled keys, byte order marks."""
    client = await cluster.connect("/ws/data")
    await client.connection.send(text)
    message = await client.next()
    assert set(message) == {"service", "type", "data", "timestamp"}
    await client.quiet()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(texts | st.binary(max_size=40), max_size=30))
async def test_every_message_has_one_answer(cluster: Cluster, messages: list[str | bytes]) -> None:
    """Thirty messages of any kind, thirty answers, and then the answer to a ping."""
    url = f"ws://127.0.0.1:{cluster.nodes[0].port}/ws/data"
    async with websockets.connect(url) as socket:
        for message in [*messages, '{"action":"ping","id":"the last of all"}']:
            try:
                await socket.send(message)
            except UnicodeEncodeError:  # a lone surrogate is no text that could be sent
                await socket.send("nope")
        kinds = [json.loads(await socket.recv()) for _ in range(len(messages) + 2)]
    assert kinds[0]["type"] == "connection_established"
    assert all(kind["type"] != "connection_established" for kind in kinds[1:])
    assert kinds[-1]["data"] == {"id": "the last of all"}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(payloads, max_size=30))
async def test_every_packed_message_has_one_answer(cluster: Cluster, messages: list[bytes]) -> None:
    """The same in MessagePack."""
    url = f"ws://127.0.0.1:{cluster.nodes[0].port}/ws/data"
    async with websockets.connect(url, subprotocols=[websockets.Subprotocol("msgpack")]) as socket:
        for message in [*messages, msgpack.packb({"action": "ping", "id": 1, "data": {"last": True}})]:
            await socket.send(message)
        kinds = [msgpack.unpackb(await socket.recv()) for _ in range(len(messages) + 2)]
    assert kinds[-1]["data"] == {"id": 1, "last": True}
