"""The simulator's own paths: faults, request counts, the clock; and what a stranger is told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.control import Tally
from simulator.world.clock import Clock
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

GECKO, KRAKEN = "api.coingecko.com", "api.kraken.com"
FAULTS = "/_simulator/faults"


async def test_fault_by_request(client: httpx.AsyncClient, ask: Ask) -> None:
    """A POSTed fault is answered with what is in force, spoils its host, is listed, and goes by DELETE."""
    answer = await client.post(FAULTS, json={"host": GECKO, "fault": "429", "retry_after": 9})
    fault = {"host": GECKO, "fault": "429", "retry_after": 9, "seconds": 2.0, "count": None}
    assert (answer.status_code, answer.json()) == (201, fault)
    assert (await ask(GECKO, "/api/v3/ping")).status_code == 429
    assert (await client.get(FAULTS)).json() == {"faults": [fault]}
    assert (await client.delete(FAULTS)).json() == {"faults": []}
    assert (await ask(GECKO, "/api/v3/ping")).status_code == 200


async def test_clear_one_host(client: httpx.AsyncClient) -> None:
    """DELETE with a host heals that host only."""
    for host in (GECKO, KRAKEN):
        await client.post(FAULTS, json={"host": host, "fault": "empty"})
    left = (await client.delete(FAULTS, params={"host": GECKO})).json()["faults"]
    assert [fault["host"] for fault in left] == [KRAKEN]


async def test_a_second_fault_replaces_the_first(client: httpx.AsyncClient) -> None:
    """A host has one fault at a time."""
    for name in ("empty", "html"):
        await client.post(FAULTS, json={"host": GECKO, "fault": name})
    assert [fault["fault"] for fault in (await client.get(FAULTS)).json()["faults"]] == ["html"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"host": GECKO, "fault": "no_such"}, "fault"),
        ({"host": GECKO, "fault": 429}, "fault"),
        ({"host": GECKO}, "fault"),
        ({"fault": "500"}, "host"),
        ({"host": "example.org", "fault": "500"}, "host"),
        ({"host": GECKO, "fault": "500", "count": 0}, "count"),
        ({"host": GECKO, "fault": "slow", "seconds": -1}, "seconds"),
        ({"host": GECKO, "fault": "429", "retry_after": "soon"}, "retry_after"),
        ({"host": GECKO, "fault": "500", "typo": 1}, "typo"),
        ([], "body"),
    ],
)
async def test_bad_fault(client: httpx.AsyncClient, body: Any, field: str) -> None:
    """A fault that makes no sense is a 422 that names the field, and changes nothing."""
    answer = await client.post(FAULTS, json=body)
    assert answer.status_code == 422
    assert [detail["field"] for detail in answer.json()["details"]] == [field]
    assert (await client.get(FAULTS)).json() == {"faults": []}


async def test_fault_that_is_not_json(client: httpx.AsyncClient) -> None:
    """A body that is not JSON is a 422 that says so."""
    answer = await client.post(FAULTS, content=b"{nope")
    assert answer.status_code == 422
    assert "Invalid JSON" in answer.json()["details"][0]["message"]


async def test_clearing_an_unknown_host(client: httpx.AsyncClient) -> None:
    """DELETE of a host that is not simulated is a 422 that lists the hosts."""
    answer = await client.delete(FAULTS, params={"host": "example.org"})
    assert answer.status_code == 422
    assert GECKO in answer.json()["hosts"]


async def test_requests_are_counted(simulator: Simulator, client: httpx.AsyncClient, ask: Ask) -> None:
    """Every request is counted by host and path, spoilt ones too; the simulator's own paths are not."""
    before = simulator.tally.by_host()
    await client.post(FAULTS, json={"host": KRAKEN, "fault": "500"})
    for _ in range(2):
        await ask(GECKO, "/counted", any=1)
    await ask(KRAKEN, "/counted")
    counts = (await client.get("/_simulator/requests")).json()["requests"]
    assert counts[GECKO] == before.get(GECKO, {}) | {"/counted": 2}
    assert counts[KRAKEN] == before.get(KRAKEN, {}) | {"/counted": 1}
    assert counts.keys() == before.keys() | {GECKO, KRAKEN}


async def test_counts_are_bounded() -> None:
    """Beyond 1000 different paths of a host, the rest are counted together."""
    tally = Tally()
    for number in range(1005):
        tally.count(GECKO, f"/{number}")
    tally.count(GECKO, "/3")
    counts = tally.by_host()[GECKO]
    assert (len(counts), counts["(other)"], counts["/3"]) == (1001, 5, 2)


async def test_clock(client: httpx.AsyncClient, clock: Clock) -> None:
    """The clock can be read and moved forward."""
    now = (await client.get("/_simulator/clock")).json()["time"]
    assert now == clock.now()
    assert (await client.post("/_simulator/clock", json={"advance": 60})).json() == {"time": now + 60}
    assert clock.now() == now + 60


@pytest.mark.parametrize("body", [{}, {"advance": -1}, {"advance": "soon"}, {"set": 0}])
async def test_bad_clock(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """A clock command that makes no sense is a 422."""
    answer = await client.post("/_simulator/clock", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid clock")


async def test_unknown_host(ask: Ask) -> None:
    """A Host that is not simulated is a 404 that lists those that are."""
    answer = await ask("api.example.org", "/api/v3/ping")
    assert answer.status_code == 404
    assert "api.example.org" in answer.json()["error"]
    assert GECKO in answer.json()["hosts"]


async def test_host_is_read_as_http_has_it(ask: Ask) -> None:
    """The Host's case and port do not matter."""
    assert (await ask("API.CoinGecko.com:443", "/api/v3/ping")).status_code == 200


@pytest.mark.parametrize(("host", "path"), [(GECKO, "/api/v3/ping"), (GECKO, "/nope"), ("nope", "/"), ("nope", FAULTS)])
async def test_label(ask: Ask, host: str, path: str) -> None:
    """Every answer says that it is simulated."""
    assert (await ask(host, path)).headers.get_list("x-simulated") == ["coinwire"]


async def test_label_of_a_spoilt_answer(client: httpx.AsyncClient, ask: Ask) -> None:
    """So do answers with a fault."""
    await client.post(FAULTS, json={"host": GECKO, "fault": "wrong_types"})
    assert (await ask(GECKO, "/api/v3/global")).headers.get_list("x-simulated") == ["coinwire"]
