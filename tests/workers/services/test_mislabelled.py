"""Whatever an upstream's server says of the type of an answer, every service reads it."""

from __future__ import annotations

import msgspec
import pytest

from shared.catalog import SERVICES
from tests.workers.services.test_ages import named
from tests.workers.stage import Stage, hosts_of

ASKING = [name for name, spec in SERVICES.items() if spec.category == "data_collection"] + ["huggingface"]
"""Services that ask upstreams."""


@pytest.mark.parametrize("service", ASKING)
async def test_answers_that_are_labelled_as_pages_are_read(stage: Stage, service: str) -> None:
    """With every answer of every source labelled as HTML, the sources of an update are the same."""
    stage.open(service)
    right = named(msgspec.to_builtins(await stage.collect()))
    for pool in stage.open(service).pools:
        stage.spoil(*(host for source in pool.sources for host in hosts_of(source.provider)), fault="mislabelled")
    assert named(msgspec.to_builtins(await stage.collect(60.0))) == right
    assert right
