"""A deterministic event loop on a virtual clock, shared by processes that can be paused and killed.

A turn of the loop takes a moment, and while nothing can run, the loop jumps to the next timer. The order in which
callbacks run depends on nothing but the order in which they were scheduled, so a schedule that is run twice goes the
same way twice.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process whose code runs."""

_TURN = 0.0001  # s at most that one turn of the loop takes: what arrives meanwhile comes between two turns
_MOST_CALLBACKS = 2_000_000  # of one schedule; beyond it, something loops without letting time pass


class Stuck(Exception):
    """Nothing can run any more, or something runs for ever."""


class Process:
    """Everything that one process of the cluster runs. SIGSTOP and SIGKILL act on it."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.context: Context = self._enter()
        """For callbacks that run as this process."""
        self._loop = loop
        self._paused = False
        self._missed: deque[asyncio.Handle] = deque()
        self._tasks: list[asyncio.Task[Any]] = []
        self._main: list[asyncio.Task[Any]] = []
        self._closes: list[Callable[[], Coroutine[Any, Any, None]]] = []
        loop.processes.append(self)

    def _enter(self) -> Context:
        token = CURRENT.set(self)
        try:
            return copy_context()
        finally:
            CURRENT.reset(token)

    @property
    def paused(self) -> bool:
        """Whether it is stopped by SIGSTOP: nothing of it runs, and its deadlines pass."""
        return self._paused

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a task of this process. If it raises, the process has died."""
        self._main.append(self.call(self._loop.create_task, coroutine))

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as this process, whatever it schedules then belongs to it."""
        token = CURRENT.set(self)
        try:
            return function(*args)
        finally:
            CURRENT.reset(token)

    def pause(self) -> None:
        """SIGSTOP."""
        self._paused = True

    def resume(self) -> None:
        """SIGCONT: all that became due meanwhile runs now, in its order."""
        self._paused = False
        self._loop.again(self._missed)
        self._missed.clear()

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more, not even a `finally`."""
        self.alive = False

    def stop(self) -> None:
        """SIGTERM: its own tasks are cancelled, and end in order."""
        for task in self._main:
            task.cancel()

    def close_at_end(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call this when the schedule is over."""
        self._closes.append(close)

    async def close(self) -> None:
        """Close what is still open when the schedule is over."""
        for close in self._closes:
            await close()

    def run_later(self, handle: asyncio.Handle) -> None:
        """Keep what becomes due while this process is stopped."""
        self._missed.append(handle)

    def add(self, task: asyncio.Task[Any]) -> None:
        """A task that code of this process has started."""
        self._tasks.append(task)

    @property
    def died(self) -> BaseException | None:
        """What one of its own tasks raised, if any did: the real process would exit."""
        for task in self._main:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    def end(self) -> bool:
        """Cancel all tasks when the schedule is over, so that Python has nothing to complain about.

        Returns whether there were any.
        """
        self.alive = True
        self.resume()
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        return bool(left)


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `connect` is what opens a connection to an address: it gets the protocol, and returns its transport."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.now = 0.0
        self._chance = dice.random
        self.outside = copy_context()
        """For callbacks that belong to no process."""
        self.processes: list[Process] = []
        self.connect: Callable[[asyncio.Protocol, str, int], Coroutine[Any, Any, asyncio.Transport]]
        self.fault: BaseException | None = None
        """What a callback raised that nobody awaits."""
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self._callbacks = 0
        self.set_exception_handler(self._keep_fault)

    def time(self) -> float:
        return self.now

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        task = super().create_task(coro, name=name, context=context)
        process = CURRENT.get() if context is None else context.get(CURRENT)
        if process is not None:
            process.add(task)
        return task

    def again(self, handles: deque[asyncio.Handle]) -> None:
        """Run callbacks that were due before."""
        self._ready.extend(handles)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    async def create_connection(self, factory: Callable[[], asyncio.Protocol], host: str, port: int, **_: Any) -> Any:
        protocol = factory()
        return await self.connect(protocol, host, port), protocol

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its time comes."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise Stuck("nothing is left to run")
            self.now = max(self.now, timers[0][0])
        self.now += _TURN * self._chance()
        while timers and timers[0][0] <= self.now:
            ready.append(heapq.heappop(timers)[2])
        self._callbacks += len(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(CURRENT)
            if process is not None and (process._paused or not process.alive):
                process.run_later(handle)
                continue
            handle._run()
        if self._callbacks > _MOST_CALLBACKS:
            raise Stuck("callbacks run without end")

    def _keep_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fault = self.fault or context.get("exception") or Stuck(context["message"])

    def _process_events(self, _events: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing waits in a selector."""
