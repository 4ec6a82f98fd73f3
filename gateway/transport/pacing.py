"""Pacing: answers over HTTP, a piece at a time.

A client that reads takes pieces of a page as fast as we write them, without a pause. A thousand such clients, or one
with requests that wait for their answers, would keep the loop for half a second.
"""

from __future__ import annotations

from collections.abc import Callable

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.transport.turn import Turn
from shared.errors import CoinwireError


class IncompleteError(CoinwireError):
    """The rest of a body that is being sent can't be had."""


def paced(
    app: ASGI3Application, flow: FlowControl, turn: Turn, break_off: Callable[[], None], *, later: bool
) -> ASGI3Application:
    """`app`, which waits for its turn before each piece of a body but the first; if `later`, before it begins, too.

    Where it raises IncompleteError, `break_off` is called: the end of the connection before the end of the body tells
    the client that something is missing.
    """

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        begun = False

        async def send_piece(message: ASGISendEvent) -> None:
            nonlocal begun
            if begun:
                await flow.drain()  # who reads nothing takes nobody's turn
                await turn.piece()
            begun = message["type"] == "http.response.body"
            await send(message)

        if later:
            await turn.piece()
        try:
            await app(scope, receive, send_piece)
        except IncompleteError:
            break_off()
            while (await receive())["type"] != "http.disconnect":
                pass

    return answer
