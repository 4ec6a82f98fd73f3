"""Time for decisions: that of the machine, without its jumps."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.shared.outage import Clock
from workers.steady_clock import SteadyClock


def approx(seconds: float) -> object:
    """To the millisecond: floats of unix seconds have seven digits behind the point."""
    return pytest.approx(seconds, rel=0, abs=0.001)


class Machine:
    """Its two clocks, and a SteadyClock that is read often."""

    def __init__(self) -> None:
        self.wall, self.steady = Clock(), Clock()
        self.wall.now = 1_800_000_000.0
        self.clock = SteadyClock(self.wall, self.steady)

    def wait(self, seconds: float, drift: float = 0.0) -> float:
        """Let time pass; the time at the end."""
        for _ in range(10):
            self.wall.now += seconds / 10 + drift / 10
            self.steady.now += seconds / 10
            self.clock()
        return self.clock()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_it_is_the_machine_s_time_while_that_is_not_set(machine: Machine) -> None:
    """Also where NTP slews it: by seconds in the long run, by less than one between two readings."""
    for _ in range(10):
        assert machine.wait(60, drift=0.9) == approx(machine.wall.now)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 400_000_000.0])
def test_a_clock_that_is_set_changes_nothing_for_ten_minutes(machine: Machine, jump: float) -> None:
    """Set right again, it never did; otherwise it is followed. Each is logged once."""
    with capture_logs() as logs:
        before = machine.clock()
        machine.wall.now += jump
        assert machine.wait(599) == approx(before + 599)
        machine.wall.now -= jump
        assert machine.wait(60) == approx(before + 659) == approx(machine.wall.now)
        machine.wall.now += jump
        assert machine.wait(590) == approx(before + 659 + 590)
        assert machine.wait(120) == approx(machine.wall.now)
    assert [line["event"] for line in logs] == [
        "this machine's clock was set",
        "this machine's clock was set",
        "the clock that was set is used from now on",
    ]
    assert logs[0]["seconds"] == jump


def test_a_new_time_must_stand_for_ten_minutes(machine: Machine) -> None:
    """A clock that is set again and again is not followed."""
    before = machine.clock()
    for _ in range(5):
        machine.wall.now += 100
        machine.wait(500)
    assert machine.clock() == approx(before + 2500)
