"""Marks these tests, gives each a report, and fails it at its end where a promise was broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import raise_file_limit
from tests.faults.report import Report, keep

TABLE = "FAULTS_TABLE"
"""Environment variable: the file that gets a row per scenario."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test-faults` runs what is here, and nothing else does."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(autouse=True)
def _many_files() -> None:
    """Thousands of clients need more files than a shell allows by default."""
    raise_file_limit()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """What this scenario measures. Its marker `fault` names the fault."""
    marker = request.node.get_closest_marker("fault")
    return Report(request.node.name.removeprefix("test_"), marker.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look at the report while the test still counts."""
    report = getattr(item, "funcargs", {}).get("report")
    try:
        outcome = yield
    finally:
        if report is not None:
            item.add_report_section("call", "report", str(report))
    if report is not None:
        assert report.checks, "nothing was promised"
        if os.environ.get(TABLE):
            keep(report.row(), Path(os.environ[TABLE]))
        if report.broken:
            pytest.fail("\n".join(report.broken), pytrace=False)
    return outcome
