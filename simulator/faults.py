"""Faults on request: their kinds, and the hosts that have one now."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

FaultName = Literal[
    "429",
    "429_no_retry_after",
    "429_html",
    "429_in_200",
    "418",
    "500",
    "hang",
    "slow",
    "html",
    "truncated",
    "truncated_json",
    "wrong_types",
    "odd_row",
    "zeros",
    "empty",
    "error_in_200",
    "no_rows",
    "no_logs",
    "refuse",
    "stuck",
    "far_ahead",
    "mislabelled",
]
FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)


class Fault(BaseModel):
    """One fault of one host, as POSTed to `/_simulator/faults`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: str
    fault: FaultName
    retry_after: int = Field(30, ge=0, le=1_000_000, description="seconds; header of 429, 429_html and 418")
    seconds: float = Field(2.0, ge=0, le=3600, allow_inf_nan=False, description="how long `slow` takes")
    count: int | None = Field(None, ge=1, description="requests that it spoils; null until it is cleared")


class FaultBook:
    """The faults in force, at most one per host."""

    def __init__(self, hosts: Collection[str]) -> None:
        self.hosts = hosts
        self._faults: dict[str, Fault] = {}

    def set(self, fault: Fault) -> None:
        """Give `fault.host` this fault, in place of its previous one."""
        self._faults[fault.host] = fault

    def clear(self, host: str | None = None) -> None:
        """Remove the fault of `host`, or all faults."""
        if host is None:
            self._faults.clear()
        else:
            self._faults.pop(host, None)

    def in_force(self) -> list[Fault]:
        """All faults; `count` is the number of requests that remain."""
        return list(self._faults.values())

    def take(self, host: str) -> Fault | None:
        """The fault for the present request; one with a `count` is used up by one."""
        fault = self._faults.get(host)
        if fault is None or fault.count is None:
            return fault
        if fault.count == 1:
            del self._faults[host]
        else:
            self._faults[host] = fault.model_copy(update={"count": fault.count - 1})
        return fault
