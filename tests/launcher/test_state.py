"""`.coinwire/`: which addresses a cluster leaves there, for whom, and for how long."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from launcher.plan import make_plan
from launcher.state import State, StateError, settings_here
from shared.settings import Settings

REDIS = "redis://127.0.0.1:6379/0"
SERVER = "postgresql://writer:sesame@127.0.0.1/history"


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A folder of the test's own."""
    return State(tmp_path / "state")


@pytest.fixture
def nothing_set(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an operator who named a Redis and no database."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return Settings(_env_file=None, redis_url=settings.redis_url, port=0)  # type: ignore[call-arg]


def test_both_addresses_are_there_while_it_runs(state: State) -> None:
    """Only users who may read the operator's files find the addresses of Redis and database."""
    with state.claim(REDIS, SERVER):
        assert (state.redis_url(), state.database_url()) == (REDIS, SERVER)
        for name in ("redis-url", "database-url"):
            assert stat.S_IMODE((state.folder / name).stat().st_mode) == 0o600


def test_a_folder_in_use_is_reported_before_anything_is_planned(state: State) -> None:
    """A second `make demo` learns that one runs here, and not that the port of this one is taken."""
    state.refuse_a_second()
    assert not state.folder.exists()
    with state.claim(REDIS), pytest.raises(StateError, match="is in use"):
        state.refuse_a_second()
    state.refuse_a_second()


def test_a_password_is_not_left_behind(state: State) -> None:
    """The address of a database server goes when the cluster does."""
    with state.claim(REDIS, SERVER):
        pass
    assert state.database_url() is None
    assert "sesame" not in "".join(path.read_text() for path in state.folder.iterdir())


def test_a_file_can_be_found_after_the_cluster_stopped(state: State) -> None:
    """The address of a SQLite file stays: what ran here last can be exported from."""
    url = f"sqlite:///{state.database_file('demo')}"
    with state.claim(REDIS, url):
        pass
    assert (state.redis_url(), state.database_url()) == (None, url)


def test_an_operators_database_counts_before_the_clusters(state: State, nothing_set: Settings) -> None:
    """DATABASE_URL where it is set, else the cluster's, else the default."""
    assert settings_here(nothing_set, state) == nothing_set
    with state.claim(REDIS, "sqlite:////tmp/its-own.db"):
        assert settings_here(nothing_set, state).database_url.get_secret_value() == "sqlite:////tmp/its-own.db"
        operators = nothing_set.model_copy(update={"database_url": SecretStr(SERVER)})
        assert settings_here(operators, state) == operators


@pytest.mark.parametrize("mode", ["demo", "run"])
def test_every_part_is_given_the_clusters_own_database(state: State, nothing_set: Settings, mode: str) -> None:
    """An absolute file in the state folder, one per mode; the last part gets its address."""
    plan = make_plan(nothing_set, mode, state, colour=False)
    own = f"sqlite:///{state.database_file(mode)}"
    assert plan.database_url == own
    assert f"/{mode}" in own
    assert Path(own.removeprefix("sqlite:///")).is_absolute()
    parts = [part for part in plan.parts if part.name not in ("redis", "simulator")]
    assert {part.env["DATABASE_URL"] for part in parts} == {own}
    assert own in plan.parts[-1].command
    assert not state.folder.exists()


def test_the_password_of_the_clusters_own_redis_is_in_no_command_line(state: State, nothing_set: Settings) -> None:
    """Every part gets the address with the password, and the one that runs Redis the password, by its environment."""
    plan = make_plan(nothing_set.model_copy(update={"redis_url": None}), "demo", state, colour=False)
    password = urlsplit(plan.redis_url).password
    assert password
    redis, *others = plan.parts
    assert redis.env["REDIS_PASSWORD"] == password
    assert {part.env["REDIS_URL"] for part in others} == {plan.redis_url}
    assert password not in str([part.command for part in plan.parts])


def test_an_operators_database_is_everybodys(state: State, nothing_set: Settings) -> None:
    """With DATABASE_URL set, every part has that one, and no command line has its password."""
    settings = nothing_set.model_copy(update={"database_url": SecretStr(SERVER)})
    plan = make_plan(settings, "demo", state, colour=False)
    parts = [part for part in plan.parts if part.name not in ("redis", "simulator")]
    assert {part.env["DATABASE_URL"] for part in parts} == {SERVER}
    assert "sesame" not in str([part.command for part in plan.parts])
