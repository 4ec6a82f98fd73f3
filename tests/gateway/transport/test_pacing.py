"""Pacing: answers over HTTP are written in pieces, and nobody's first piece waits behind the pages of others."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.transport.pacing import paced
from gateway.transport.turn import Turn

PIECES = 4


async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An answer in several pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(PIECES):
        await send({"type": "http.response.body", "body": b"x", "more_body": number < PIECES - 1})


class Answers:
    """Answers in progress, and the order in which their messages are written."""

    def __init__(self, pieces: int) -> None:
        self.turn = Turn(asyncio.get_running_loop(), pieces=pieces)
        self.written: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, flow: FlowControl | None = None, *, later: bool = False) -> None:
        """Answer a request."""

        async def send(_message: Any) -> None:
            self.written.append(name)

        paces = flow or FlowControl(asyncio.Transport())
        app: Any = paced(page, paces, self.turn, lambda: None, later=later)  # type: ignore[arg-type]
        self.tasks[name] = asyncio.create_task(app({}, None, send))

    async def end(self) -> None:
        """Wait until all have ended."""
        await asyncio.gather(*self.tasks.values())


async def test_a_turn_writes_few_pieces_and_all_answers_come_on() -> None:
    """Of ten answers at once, each has its head and its first piece at once; of the others, one per turn, in order."""
    answers, sizes = Answers(1), list[int]()
    for number in range(10):
        answers.begin(f"{number}")
    while not all(task.done() for task in answers.tasks.values()):
        await asyncio.sleep(0)
        sizes.append(len(answers.written))
    assert sizes[0] >= 20
    assert all(after - before <= 1 for before, after in itertools.pairwise(sizes))
    assert answers.written[21:31] == [*map(str, range(10))]


async def test_the_first_piece_waits_for_nobody() -> None:
    """A health check that comes while pages are written is answered in the same turn."""
    answers = Answers(1)
    for number in range(10):
        answers.begin(f"page {number}")
    await asyncio.sleep(0)
    answers.begin("health")
    await asyncio.sleep(0)
    assert answers.written.count("health") == 2
    await answers.end()


async def test_a_request_that_waited_for_another_answer_waits_for_its_turn() -> None:
    """Many at once on one connection get no more than one on each of many."""
    answers = Answers(1)
    answers.begin("page")
    answers.begin("another")
    await asyncio.sleep(0)
    answers.begin("queued", later=True)
    await asyncio.sleep(0)
    assert "queued" not in answers.written
    await answers.end()
    assert answers.written.count("queued") == 1 + PIECES


async def test_who_reads_nothing_takes_nobodys_turn() -> None:
    """Nor does who is cut while he waits."""
    answers, full = Answers(1), FlowControl(asyncio.Transport())
    full.pause_writing()
    answers.begin("stalled", full)
    for name in ("reads", "leaves", "reads too"):
        answers.begin(name)
    await asyncio.sleep(0)
    answers.tasks.pop("leaves").cancel()
    stalled = answers.tasks.pop("stalled")
    await answers.end()
    assert answers.written.count("stalled") == 2
    full.resume_writing()
    await stalled
    assert answers.written.count("stalled") == 1 + PIECES
