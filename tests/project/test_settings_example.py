"""`.env.example`: what an operator reads instead of the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.settings import SECRET_FOLDERS, Settings
from tests.places import ROOT

EXAMPLE = ROOT / ".env.example"
STALE = ".env.example does not list the settings as they are: run `make docs` and commit what it writes"


def lines() -> dict[str, str]:
    """Name to value, of every setting that the example has."""
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_the_example_names_every_setting_and_no_other() -> None:
    """`.env.example` holds exactly the fields of Settings, in their order."""
    expected = [name.upper() for name in Settings.model_fields]
    assert list(lines()) == expected, STALE


def test_the_example_holds_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every line of the example in force, the settings are those of an empty environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    env = tmp_path / ".env"
    env.write_text("".join(f"{name}={value}\n" for name, value in lines().items()))
    assert Settings(_env_file=env) == Settings(_env_file=None)  # type: ignore[call-arg]


def test_every_setting_has_its_line_of_explanation() -> None:
    """Above each setting of the example stands one comment line: its description."""
    for name, field in Settings.model_fields.items():
        assert f"\n# {field.description}\n#{name.upper()}=" in EXAMPLE.read_text(), STALE


def test_the_example_says_where_files_are_looked_for() -> None:
    """Its first lines name the folders of secrets, the one that wins first."""
    header = EXAMPLE.read_text().partition("\n\n")[0]
    places = [header.index(f"{folder}/redis_url") for folder in reversed(SECRET_FOLDERS)]
    assert places == sorted(places)
