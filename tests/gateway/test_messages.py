"""Every message is said once: what is sent, what answers what, and what the documents show are one type."""

from __future__ import annotations

from typing import get_args

import msgpack
import msgspec
import pytest

from gateway.frames import encode
from gateway.messages.actions import COMMANDS, AnyCommand, Command
from gateway.messages.message import Notice
from gateway.messages.notices import MESSAGE_TYPES, NOTICES
from gateway.protocol import notice, parse_command
from shared.envelope import UPDATE
from tests.contract.conftest import Cluster


def test_every_command_is_one_that_must_be_carried_out() -> None:
    """Each type of command is part of AnyCommand, over which mypy demands that the session's `match` is complete."""
    assert set(Command.__subclasses__()) == set(get_args(AnyCommand)) == set(COMMANDS.values())


@pytest.mark.parametrize("action", COMMANDS)
async def test_every_command_gets_the_reply_that_it_states(cluster: Cluster, action: str) -> None:
    """A gateway answers each documented example of a command with a message of the type in `reply`, with its id."""
    client = await cluster.connect("/ws/data")
    command = COMMANDS[action]
    for example in command.examples():
        sent = msgspec.to_builtins(example) | {"id": "this one"}
        answer = await client.say(**sent)
        assert (answer["service"], answer["type"], answer["data"]["id"]) == ("system", command.reply.type, "this one")
        assert command.reply in NOTICES


@pytest.mark.parametrize("kind", NOTICES)
def test_every_message_has_a_type_a_description_and_an_example(kind: type[Notice]) -> None:
    """All that the documents show of a message is stated where it is sent."""
    assert kind.type in MESSAGE_TYPES
    assert kind.__doc__
    assert kind.examples()


def test_message_types_are_those_that_are_sent() -> None:
    """`update`, and whatever the gateway itself sends; each once."""
    assert sorted(MESSAGE_TYPES) == sorted({UPDATE, *(kind.type for kind in NOTICES)})


@pytest.mark.parametrize("kind", NOTICES)
def test_a_message_is_the_same_in_both_encodings(kind: type[Notice]) -> None:
    """JSON and MessagePack carry the same keys in the same order, and nothing that is absent."""
    for example in kind.examples():
        message = notice(example.type, example.data)
        text = msgspec.json.decode(encode(message, binary=False).payload)
        packed = msgpack.unpackb(encode(message, binary=True).payload)
        assert text == packed
        assert list(text) == list(packed) == ["service", "type", "data", "timestamp"]
        assert list(text["data"]) == list(packed["data"])


def test_an_action_without_fields_needs_no_code_to_be_read() -> None:
    """A command type reads its own fields: wrong ones are `invalid_message`, unknown keys are ignored."""
    assert parse_command({"action": "get_status", "id": 7, "service": 5}) == COMMANDS["get_status"](id=7)
