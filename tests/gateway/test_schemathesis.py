"""schemathesis makes requests from `/openapi.json`, right ones and wrong ones, and checks each answer against it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.gateway.serving import Gateway
from tests.gateway.stocked import stocked as settings
from tests.gateway.test_document_tools import run
from tests.places import ROOT

__all__ = ["settings"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_errors")]

HERE = Path(__file__).parent
SEED = 14
EXAMPLES = 25
"""Requests per path made at random, besides those that cover each keyword of each schema."""


async def test_every_answer_is_as_documented(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All checks of schemathesis, on all routes, with updates, a history, candles and coins to answer with."""
    monkeypatch.setenv("SCHEMATHESIS_HOOKS", "tests.gateway.schemathesis_hooks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)  # where it leaves its caches
    program = (sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run")
    options = ("--checks=all", f"--seed={SEED}", f"--max-examples={EXAMPLES}", "--continue-on-failure")
    status, printed = await run(*program, *options, f"http://127.0.0.1:{gateway.node.port}/openapi.json")
    assert status == 0, printed
    document = await gateway.document("openapi")
    tested = re.search(r"Selected: (\d+)/(\d+)\n\s+Tested: (\d+)", printed)
    assert tested is not None, printed
    # It reads the document itself before, and makes no request from it.
    assert {int(each) for each in tested.groups()} == {len(document["paths"]) - 1}
