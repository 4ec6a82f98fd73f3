"""Frames that are compressed by themselves."""

from __future__ import annotations

import json
import random

import pytest

from gateway.frames import Form, Frame, join
from gateway.updates import Update
from shared.envelope import Envelope
from tests.gateway.inflating import decoded


def message(size: int) -> bytes:
    """Text that repeats itself from far away, and does not consist of repetitions alone."""
    draw = random.Random(size)
    parts = [json.dumps({"figure": draw.random()}).encode() for _ in range(50)]
    text = b"".join(draw.choice(parts) + draw.randbytes(5).hex().encode() for _ in range(size // 20 + 1))
    return text[:size]


@pytest.mark.parametrize("size", [64, 125, 126, 5_000, 65_536, 300_000])
@pytest.mark.parametrize("bits", range(9, 16))
def test_a_frame_is_compressed_for_any_window(size: int, bits: int) -> None:
    """An inflater with exactly that window decodes it, with or without memory, at every size of header."""
    frame = Frame(message(size), binary=False)
    wire = frame.alone(bits)
    assert wire[0] == 0xC1
    assert decoded(wire * 3, bits) == decoded(wire * 3, bits, takeover=False) == [frame.payload] * 3
    assert len(wire) < len(frame.wire) or size < 1000


def test_a_compressed_frame_is_built_once_per_window() -> None:
    """Whoever asks again gets the same bytes; another window is another frame; the plain frame stays."""
    frame = Frame(message(1000), binary=True)
    assert frame.alone(15) is frame.alone(15)
    assert frame.alone(9) is not frame.alone(15)
    assert (frame.alone(15)[0], frame.wire[0]) == (0xC2, 0x82)
    assert decoded(frame.wire) == [frame.payload]


@pytest.mark.parametrize("size", [0, 1, 63])
def test_a_tiny_frame_is_not_compressed(size: int) -> None:
    """It would hardly become smaller."""
    frame = Frame(b"x" * size, binary=False)
    assert not frame.compressible
    assert frame.alone(15) == frame.wire


def test_compressed_frames_are_joined_like_plain_ones() -> None:
    """In order, up to what a transport holds of their compressed bytes; a buffer still has its frames."""
    some = [Frame(message(30_000), binary=False) for _ in range(20)]
    buffers = join(some, [frame.alone(15) for frame in some])
    assert [frame for buffer in buffers for frame in buffer.frames] == some
    assert decoded(b"".join(buffer.wire for buffer in buffers)) == [frame.payload for frame in some]
    assert all(len(buffer.wire) <= 65_536 for buffer in buffers)
    assert 1 < len(buffers) < len(join(some))


def test_a_buffer_of_one_compressed_frame_has_its_compressed_bytes() -> None:
    """One frame is joined with nothing, and yet is not sent plain."""
    frame = Frame(message(1000), binary=False)
    (buffer,) = join([frame], [frame.alone(15)])
    assert (buffer.wire, list(buffer.frames)) == (frame.alone(15), [frame])


def test_an_update_s_frame_names_its_service() -> None:
    """In every live form. A frame that must be sent has none: no update, one of a replay, or a snapshot with `meta`."""
    update = Update(Envelope("news", "update", {"n": 1}, "t", "e", 1), b"")
    live = {Form.TEXT, Form.TEXT_META, Form.PACKED, Form.EVENTS}
    assert {form for form in Form if update.frame(form).service == "news"} == live
    assert {update.frame(form).service for form in Form} == {"news", None}
    assert Frame(b"{}", binary=False).service is None
