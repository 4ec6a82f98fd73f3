"""`/_simulator/…`: faults, request counts and the clock, for any Host header."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.faults import Fault, FaultBook
from simulator.host import answer
from simulator.world.clock import Clock

PREFIX = "/_simulator/"
_MAX_PATHS = 1000
"""Paths counted by name per host, so that a scanner cannot fill memory; further ones count as `(other)`."""


class Tally:
    """Requests per host and path since the start, faults included."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def count(self, host: str, path: str) -> None:
        """Count one request."""
        paths = self._hosts[host]
        paths[path if path in paths or len(paths) < _MAX_PATHS else "(other)"] += 1

    def by_host(self) -> dict[str, dict[str, int]]:
        """Host → path → requests."""
        return {host: dict(paths) for host, paths in self._hosts.items()}


class _Skip(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    advance: float = Field(ge=0, le=1e9, allow_inf_nan=False)


def control(faults: FaultBook, tally: Tally, clock: Clock) -> Starlette:
    """The application behind `/_simulator/`."""

    async def list_faults(request: Request) -> Response:
        return answer({"faults": [fault.model_dump() for fault in faults.in_force()]})

    async def set_fault(request: Request) -> Response:
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            return _invalid("fault", error)
        if fault.host not in faults.hosts:
            return _unknown(fault.host, faults.hosts)
        faults.set(fault)
        return answer(fault.model_dump(), 201)

    async def clear_faults(request: Request) -> Response:
        host = request.query_params.get("host")
        if host is not None and host not in faults.hosts:
            return _unknown(host, faults.hosts)
        faults.clear(host)
        return await list_faults(request)

    async def requests(request: Request) -> Response:
        return answer({"requests": tally.by_host()})

    async def read_clock(request: Request) -> Response:
        return answer({"time": clock.now()})

    async def skip(request: Request) -> Response:
        try:
            clock.advance(_Skip.model_validate_json(await request.body()).advance)
        except ValidationError as error:
            return _invalid("clock", error)
        return await read_clock(request)

    return Starlette(
        routes=[
            Route("/_simulator/faults", list_faults, methods=["GET"]),
            Route("/_simulator/faults", set_fault, methods=["POST"]),
            Route("/_simulator/faults", clear_faults, methods=["DELETE"]),
            Route("/_simulator/requests", requests),
            Route("/_simulator/clock", read_clock, methods=["GET"]),
            Route("/_simulator/clock", skip, methods=["POST"]),
        ]
    )


def _invalid(what: str, error: ValidationError) -> Response:
    details: list[dict[str, Any]] = [
        {"field": ".".join(str(part) for part in fault["loc"]) or "body", "message": fault["msg"]}
        for fault in error.errors()
    ]
    return answer({"error": f"invalid {what}", "details": details}, 422)


def _unknown(host: str, hosts: Collection[str]) -> Response:
    details = [{"field": "host", "message": f"{host!r} is not simulated"}]
    return answer({"error": "invalid fault", "details": details, "hosts": sorted(hosts)}, 422)
