"""The fixtures of the gateway's tests, and a check for unexpected logged errors."""

from __future__ import annotations

import logging

import pytest

from tests.contract.conftest import cluster
from tests.gateway.serving import gateway
from tests.shared.conftest import own_redis, own_server

__all__ = ["cluster", "gateway", "no_errors", "own_redis", "own_server"]


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """At the end, neither uvicorn nor asyncio has logged an error: a client's mistake is not the gateway's."""
    caplog.set_level(logging.WARNING)
    return caplog


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    """Look at the log while the test still counts."""
    outcome = yield
    caplog = getattr(item, "funcargs", {}).get("no_errors")
    if caplog is not None:
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    return outcome
