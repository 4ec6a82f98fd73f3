"""`make docs`: a setting is one field of Settings, and documents and deployment follow from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from shared.settings import Group, Settings
from tests.places import ROOT

GENERATED = (".env.example", "docker-compose.yml", "docs/reference/settings.md")
OTHERS = ("docs/explanation/delivery.md", "docs/explanation/faults.json", "docs/reference/services.md")
"""What `make docs` also reads and writes, and that has no settings."""
STALE = "documents and deployment do not list the settings as they are: run `make docs` and commit what it writes"
FIELD = '    another_one: int = _setting(3, Group.{group}, "setting that only this test has", unit="min", ge=1)\n'


def make_docs(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs, in a copy of the repository."""
    command = [sys.executable, ".ci/docs.py", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def copy_with(folder: Path, group: Group) -> None:
    """What `make docs` reads and writes, and one setting more."""
    for room in ("shared", "workers"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*GENERATED, *OTHERS, ".ci/docs.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    source = folder / "shared" / "settings" / "settings.py"
    field = '    host: str = _setting("127.0.0.1"'
    assert field in source.read_text()
    source.write_text(source.read_text().replace(field, FIELD.format(group=group.name) + field))


def test_documents_and_deployment_list_the_settings_as_they_are() -> None:
    """If this fails, run `make docs` and commit what it writes."""
    done = make_docs(ROOT, "--check")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0), STALE


def test_what_is_not_fresh_is_named(tmp_path: Path) -> None:
    """`--check` fails with one line for each file that would change, and changes none."""
    copy_with(tmp_path, Group.GATEWAY)
    done = make_docs(tmp_path, "--check")
    assert done.stdout.splitlines() == [f"`make docs` would change {name}" for name in GENERATED]
    assert done.returncode == 1
    assert [name for name in GENERATED if (tmp_path / name).read_text() != (ROOT / name).read_text()] == []


def test_a_setting_is_added_in_one_place(tmp_path: Path) -> None:
    """After `make docs` its example, its row and its line for Compose are there, and no line is missing."""
    assert make_docs(ROOT, "--check").returncode == 0, STALE
    copy_with(tmp_path, Group.GATEWAY)
    assert make_docs(tmp_path).returncode == 0
    added = {}
    for name in GENERATED:
        before, after = (folder.joinpath(name).read_text().splitlines() for folder in (ROOT, tmp_path))
        added[name] = [line for line in after if line and line not in before]
        assert [line for line in before if line not in after] == []
    assert added == {
        ".env.example": ["# setting that only this test has", "#ANOTHER_ONE=3"],
        "docker-compose.yml": ["      ANOTHER_ONE:"],
        "docs/reference/settings.md": ["| `ANOTHER_ONE` | `3` | min | setting that only this test has |"],
    }
    assert make_docs(tmp_path, "--check").returncode == 0


def test_each_group_reaches_the_containers_that_read_it(tmp_path: Path) -> None:
    """Settings of gateways go to gateways only, those of workers to workers only, those of every process to all.

    Those of commands go to no container.
    """
    indents = {Group.ALL: 2, Group.GATEWAY: 6, Group.WORKER: 4, Group.PROVIDERS: 4}
    assert set(indents) == set(Group) - {Group.COMMANDS}
    for group, indent in indents.items():
        folder = tmp_path / group.name
        copy_with(folder, group)
        assert make_docs(folder).returncode == 0
        lines = (folder / "docker-compose.yml").read_text().splitlines()
        assert [line for line in lines if "ANOTHER_ONE" in line] == [f"{' ' * indent}ANOTHER_ONE:"]


def test_every_number_has_a_unit() -> None:
    """But for ports, which count nothing."""
    numbers = {name: field for name, field in Settings.model_fields.items() if type(field.default) in (int, float)}
    without = {name for name, field in numbers.items() if not field.json_schema_extra["unit"]}  # type: ignore[index,call-overload]
    assert without == {"port", "worker_metrics_port"}
