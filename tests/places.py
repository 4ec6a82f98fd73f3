"""Where files are that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""

RECORDED = ROOT / "tests" / "recorded"
"""Our own fixtures of upstream answers, a folder per provider."""

OUTSIDE = ROOT.parent / "shared"
"""Beside the repository, where it is developed: real recordings. Tests that read them skip where it is absent."""

UPSTREAM = OUTSIDE / "recorded"
"""Real recorded upstream answers."""
