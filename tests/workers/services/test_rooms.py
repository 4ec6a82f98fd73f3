"""The contract of every service in the catalogue. A new service needs no new test here."""

from __future__ import annotations

import pytest

from shared.catalog import SERVICES
from shared.payloads import Payload
from tests.workers.stage import Stage
from workers.services import load_service, service_class
from workers.services.service import Resuming


@pytest.mark.parametrize("name", SERVICES)
def test_every_line_of_the_catalogue_has_a_room(stage: Stage, name: str) -> None:
    """A service is found by its name and made from a context, with nothing started and nothing asked."""
    service = load_service(name, stage.context())
    assert isinstance(service, service_class(name))
    assert isinstance(service.pools, tuple)
    assert not stage.asked


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_publishes_the_payload_of_its_line(name: str) -> None:
    """`collect` returns the payload type of the catalogue."""
    payload = service_class(name).collect.__annotations__["return"]
    assert payload == SERVICES[name].payload.__name__
    assert issubclass(SERVICES[name].payload, Payload)


@pytest.mark.parametrize("name", SERVICES)
def test_services_that_continue_where_they_ended_carry_events(stage: Stage, name: str) -> None:
    """A cursor exists so that something is published exactly once; an update without one is a state."""
    resuming = isinstance(load_service(name, stage.context()), Resuming)
    assert SERVICES[name].carries == ("events" if resuming else "state")


def test_a_missing_room_is_named() -> None:
    """For a line of the catalogue without code, the error names the missing file."""
    with pytest.raises(LookupError, match=r"there is no workers/services/no_such/service\.py"):
        service_class("no_such")
