"""Delivery to clients that are behind: every update, or the newest one, in order, with exact counts."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from shared.catalog import CHANNEL_NAMES, SERVICES
from tests.gateway.line import UNHINDERED, Line

PLAYED = ("market_data", "news", "whale_tracking", "system")
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "meta": {"meta": True},
    "packed": {"binary": True},
    "deflated": {"deflates": True},
}

Step = tuple[str, Any, Any]


def steps(dice: random.Random) -> list[Step]:
    """A script: what is published, what the client says, and how much it reads."""
    kinds = {"publish": 12, "turn": 5, "take": 5, "subscribe": 4, "recover": 1, "unsubscribe": 1, "ping": 1}
    script: list[Step] = []
    for kind in dice.choices(list(kinds), list(kinds.values()), k=dice.randint(10, 80)):
        if kind == "take":
            script.append((kind, dice.choice([0, 0, 0, 1, 1, 2, 3, UNHINDERED]), None))
        elif kind == "publish":
            script.append((kind, dice.choice(PLAYED), dice.choice([0, 0, 5_000, 40_000])))
        else:
            script.append((kind, dice.choice(PLAYED), dice.choice([None, None, "latest", "every"])))
    return script


async def played(script: list[Step], **options: Any) -> Line:
    """A line after a script, and after its client has read everything; checked at every step."""
    line = Line(services=PLAYED, **options)
    for kind, what, how in script:
        if kind == "take":
            line.socket.take(what)
        elif kind == "turn":
            await asyncio.sleep(0)
        elif kind == "publish":
            line.publish(what, how)
        elif kind == "ping":
            line.say("ping")
        elif kind == "unsubscribe":
            line.say("unsubscribe", service=what)
        else:
            asked: dict[str, Any] = {} if how is None else {"deliver": how}
            if kind == "recover":
                view = line.views.get(what)
                asked["since"] = {"epoch": "e", "seq": view.last} if view and view.last else {"epoch": "", "seq": 0}
            line.say("subscribe", service=what, **asked)
        line.check()
    await line.end()
    line.check_end()
    return line


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form == "plain" else pytest.mark.slow) for form in FORMS]
)
@pytest.mark.parametrize("messages", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_a_client_misses_nothing_that_it_was_not_to_miss(form: str, messages: int) -> None:
    """Whatever it subscribes to and however slowly it reads: in order, never twice, what is left out is counted, and
    in the end the newest; or, where every update was to be delivered and too many waited, it is closed with 4008."""
    dice, ends = random.Random(f"{form} {messages}"), {"skipped": 0, "closed": 0, "whole": 0}
    for _ in range(60):
        script = steps(dice)
        try:
            line = asyncio.run(played(script, messages=messages, **FORMS[form]))
        except AssertionError as error:
            error.add_note(f"script = {script!r}")
            raise
        ends["closed" if line.socket.code else "skipped" if line.skipped else "whole"] += 1
    assert min(ends["skipped"], ends["whole"]) > 5, ends  # the scripts lead everywhere
    assert messages == 100 or ends["closed"] > 5, ends


async def behind(*services: str, deliver: str | None = None, **form: Any) -> Line:
    """A client that is subscribed, has what was published before, and reads nothing more."""
    line = Line(**form)
    for service in services:
        line.publish(service)
        line.say("subscribe", service=service, **({} if deliver is None else {"deliver": deliver}))
    line.socket.take(1)
    line.say("ping")  # the socket is full now
    line.check()
    return line


async def publish(line: Line, service: str, count: int = 1, size: int = 0) -> None:
    """Publish, each in a turn of its own."""
    for _ in range(count):
        line.publish(service, size)
        await asyncio.sleep(0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("service", CHANNEL_NAMES)
async def test_by_default_states_are_latest_for_clients_that_see_no_positions(service: str, form: str) -> None:
    """A client that is behind gets the newest state; of events, and of everything if it sees `meta`, every update."""
    line = await behind(service, **FORMS[form])
    await publish(line, service, 3)
    await line.end()
    line.check_end()
    latest = form in ("plain", "deflated") and service in SERVICES and SERVICES[service].carries == "state"
    assert line.got[service] == ([1, 4] if latest else [1, 2, 3, 4])


@pytest.mark.parametrize(("deliver", "got"), [("latest", [1, 4]), ("every", [1, 2, 3, 4])])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("service", ["market_data", "whale_tracking", "system"])
async def test_a_client_chooses_per_service(service: str, form: str, deliver: str, got: list[int]) -> None:
    """`deliver` goes before the default, of a state and of events alike: who asks for the latest knows the service."""
    line = await behind(service, deliver=deliver, **FORMS[form])
    await publish(line, service, 3)
    await line.end()
    line.check_end()
    assert line.got[service] == got
    assert line.skipped == 4 - len(got)


async def test_a_choice_lasts_until_the_service_is_unsubscribed() -> None:
    """Subscribing again without `deliver` keeps it; after an unsubscribe the default holds again."""
    line = await behind("whale_tracking", deliver="latest")
    line.say("subscribe", service="whale_tracking")
    await publish(line, "whale_tracking", 3)
    await line.end()
    assert line.got["whale_tracking"] == [1, 4]
    line.say("unsubscribe", service="whale_tracking")
    line.say("subscribe", service="whale_tracking")
    line.socket.take(1)
    line.say("ping")
    await publish(line, "whale_tracking", 3)
    await line.end()
    line.check_end()
    assert line.got["whale_tracking"] == [1, 4, 4, 5, 6, 7]


async def test_a_client_of_states_holds_nothing_however_slowly_it_reads() -> None:
    """No update waits for it, it is never closed, and it gets the newest of each service."""
    line = await behind("market_data", "news", messages=4)
    for _ in range(15):
        await publish(line, "market_data", 3, size=100_000)
        await publish(line, "news", 2, size=100_000)
        assert line.session.outbox.size == 0
        line.socket.take(1)
    await line.end()
    line.check_end()
    assert line.socket.code is None
    assert line.skipped == 5 * 15 - sum(len(got) - 1 for got in line.got.values())


async def test_a_busy_service_does_not_hold_up_the_others() -> None:
    """A client that reads one update at a time gets those of its services in turn."""
    line = await behind("market_data", "news", "sentiment")
    for service in ("sentiment", "news"):
        await publish(line, service)
    order = []
    for _ in range(6):
        await publish(line, "market_data", 3)
        before = {service: len(got) for service, got in line.got.items()}
        line.socket.take(1)
        line.check()
        order += [service for service, got in line.got.items() if len(got) > before[service]]
        await publish(line, "news")
    assert order == ["sentiment", "news", "market_data", "news", "market_data", "news"]


async def test_events_close_a_client_that_is_too_far_behind() -> None:
    """4008 once too many wait; what was postponed is counted with what was dropped."""
    line = await behind("whale_tracking", "market_data", messages=10)
    await publish(line, "market_data", 3)
    await publish(line, "whale_tracking", 20)
    assert line.socket.code == 4008
    assert line.metrics.dropped.labels("closed")._value.get() == 11 + 3


async def test_a_subscribe_of_a_client_that_is_behind_is_answered_with_the_newest() -> None:
    """Confirmed, then one update: marked `snapshot` if nothing was published since, else with what it stands for."""
    line = await behind("whale_tracking", meta=True)
    await publish(line, "news", 2)
    line.say("subscribe", service="news", deliver="latest")
    line.say("subscribe", service="sentiment", deliver="latest")
    line.publish("sentiment")
    assert line.session.outbox.size < 1000  # the confirmations wait, the updates don't
    await line.end()
    line.check_end()
    assert (line.got["news"], line.got["sentiment"]) == ([2], [1])
    assert line.skipped == 0


@pytest.mark.parametrize("command", [{"action": "unsubscribe"}, {"action": "subscribe", "deliver": "every"}])
async def test_a_client_that_wants_the_latest_no_more_gets_it_before_the_confirmation(command: dict[str, str]) -> None:
    """What was published before the command comes before its reply, as for a client that keeps up."""
    line = await behind("market_data")
    await publish(line, "market_data", 3)
    line.say(service="market_data", **command)
    await publish(line, "market_data", 3)
    await line.end()
    line.check_end()
    assert line.got["market_data"] == ([1, 4] if command["action"] == "unsubscribe" else [1, 4, 4, 5, 6, 7])


async def test_a_replay_is_whole_whatever_is_delivered() -> None:
    """Every missed update comes, also to a client that is behind and wants the latest; after it the choice holds."""
    line = await behind("whale_tracking", meta=True, messages=100)
    await publish(line, "news", 40)
    line.say("subscribe", service="news", deliver="latest", since={"epoch": "e", "seq": 3})
    for _ in range(10):
        await publish(line, "news")
        line.socket.take(1)
    for _ in range(100):
        line.socket.take(3)
        await asyncio.sleep(0)
    line.check()
    assert line.got["news"] == list(range(4, 51))
    line.socket.take(1)
    line.say("ping")
    await publish(line, "news", 5)
    await line.end()
    line.check_end()
    assert line.got["news"][47:] == [55]
