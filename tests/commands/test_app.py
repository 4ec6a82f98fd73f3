"""`coinwire` itself: its subcommands, its version, and what it does with errors."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from click.testing import Result
from typer.testing import CliRunner

from commands.app import COMMANDS, app
from shared.version import VERSION
from tests.places import ROOT


def run(*arguments: str) -> Result:
    """`coinwire` with these arguments."""
    return CliRunner().invoke(app, arguments, prog_name="coinwire")


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_lists_every_subcommand_with_what_it_does(arguments: tuple[str, ...]) -> None:
    """`coinwire` alone and `coinwire --help` print one line per subcommand, each with a whole sentence."""
    printed = run(*arguments).output
    listed = dict(line.split(maxsplit=1) for line in printed.partition("Commands:")[2].strip().splitlines())
    assert list(listed) == list(COMMANDS)
    assert all(text[0].isupper() and text.endswith(".") and "..." not in text for text in listed.values()), listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_has_help(command: str) -> None:
    """`coinwire COMMAND --help` explains it, with status 0, in lines of at most 100 columns."""
    done = run(command, "--help")
    assert done.exit_code == 0, done.output
    assert f"coinwire {command}" in done.output
    assert max(map(len, done.output.splitlines())) <= 100


def test_the_version_is_the_projects() -> None:
    """`coinwire --version` prints the version that pyproject.toml and the compose files have."""
    assert run("--version").output == f"coinwire {VERSION}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    for file in ROOT.glob("docker-compose*.yml"):
        assert file.read_text().count("image: coinwire:") == file.read_text().count(f"COINWIRE_VERSION:-{VERSION}}}")


def test_a_misspelled_subcommand_is_status_2_with_a_hint() -> None:
    """An unknown subcommand is refused, and a similar one is named."""
    done = run("exprot")
    assert done.exit_code == 2
    assert "Did you mean 'export'" in done.output


@pytest.mark.parametrize("arguments", [("tail", "weather"), ("worker", "weather"), ("export", "weather")])
def test_an_unknown_name_is_one_line_that_lists_those_there_are(arguments: tuple[str, ...]) -> None:
    """A service or category that does not exist: one line on stderr with all that do, and status 2."""
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("coinwire: no ")
    assert "; there are " in done.stderr


def test_a_subcommand_imports_only_its_own_module() -> None:
    """`coinwire credentials` loads neither a database driver nor the code of workers and gateways."""
    program = (
        "import sys\n"
        "from commands.__main__ import main\n"
        "try: main(['credentials', '--help'])\n"
        "except SystemExit: print('modules', *sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in printed.partition("modules ")[2].split()}
    assert not {"sqlalchemy", "workers", "gateway", "httpx"} & loaded


def test_the_script_is_named_in_pyproject() -> None:
    """Installing the project makes the command `coinwire`."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"coinwire": "commands.__main__:main"}
