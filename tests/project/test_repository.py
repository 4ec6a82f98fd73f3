"""What holds for the repository itself: its entry point, its locks, its links."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT

LOCKS = (
    *("requirements.lock", "requirements-dev.lock", "tests/node/package-lock.json"),
    *("benchmarks/programs/requirements.lock", "benchmarks/programs/package-lock.json"),
)
NAMED_LIKE_HOSTS = re.compile(r"\b(?:socket|engine|notepack)\.io\b")
"""Packages, not hosts."""
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    )
)


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_host(lock: str) -> None:
    """A lock holds names and versions: neither a URL nor a host."""
    text = NAMED_LIKE_HOSTS.sub("", (ROOT / lock).read_text())
    assert not re.search(r"://|--(extra-)?index|--find-links|\b[a-z0-9-]+\.(org|com|net|io|dev)\b", text)


def test_make_alone_lists_every_target() -> None:
    """`make` prints each phony target with one line of explanation, on a terminal of 100 columns."""
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607
    assert re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE) == targets
    assert [line for line in listed.splitlines() if len(line) > 100] == []


def test_an_old_python_is_named(tmp_path: Path) -> None:
    """A Python older than 3.11 is refused with a line that names the remedy, before anything is created."""
    old = tmp_path / "python3.6"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements-dev.lock").touch()
    command = ["make", "--no-print-directory", "install", f"PYTHON={old}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode != 0
    assert "coinwire needs Python 3.11 or newer" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_restore_without_a_file_asks_for_one(tmp_path: Path) -> None:
    """`make restore` alone is one line that shows how to name the backup, and nothing is read or written."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements-dev.lock").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".runtime").touch()
    command = ["make", "--no-print-directory", "restore"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode != 0
    assert result.stderr.startswith("which file? make restore FILE=")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link of a document names a file of the repository."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / document).read_text()):
        if "://" not in target:
            assert (ROOT / document.parent / target).exists(), target
