"""`.coinwire/`: which addresses a cluster leaves there, for whom, and for how long."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from launcher.plan import make_plan
from launcher.state import State, StateError, settings_here
from shared.catalog import CATEGORIES
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


def test_every_part_of_a_demo_has_the_user_that_it_has_in_a_deployment(state: State, nothing_set: Settings) -> None:
    """Workers and gateways log in as themselves, and tools as `reader`; no command line has a password."""
    plan = make_plan(nothing_set.model_copy(update={"redis_url": None}), "demo", state, colour=False)
    urls = {part.name: urlsplit(part.env["REDIS_URL"]) for part in plan.parts if "REDIS_URL" in part.env}
    assert {name: url.username for name, url in urls.items()} == {
        **dict.fromkeys(CATEGORIES, "worker"),
        **dict.fromkeys(("gateway-1", "gateway-2"), "gateway"),
    }
    redis, *_ = plan.parts
    tools = {"reader": plan.redis_url, **plan.other_redis_urls}
    assert set(tools) == {"reader", "consumer", "operator"}
    assert {user: urlsplit(url).username for user, url in tools.items()} == {user: user for user in tools}
    for url in (*urls.values(), *map(urlsplit, tools.values())):
        assert redis.env[f"REDIS_{url.username.upper()}_PASSWORD"] == url.password  # type: ignore[union-attr]
        assert str(url.password) not in str([part.command for part in plan.parts])
    assert len(set(redis.env.values())) == len(redis.env)


def test_a_redis_that_is_too_old_for_users_has_one_for_all(
    state: State, nothing_set: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every server is older than 7.2, parts and tools share one password, and the demo says so."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plan = make_plan(nothing_set.model_copy(update={"redis_url": None}), "demo", state, colour=False)
    assert set(plan.other_redis_urls.values()) == {plan.redis_url}
    assert {part.env["REDIS_URL"] for part in plan.parts if "REDIS_URL" in part.env} == {plan.redis_url}
    assert plan.parts[0].env["REDIS_PASSWORD"] == urlsplit(plan.redis_url).password
    assert "Redis is older than 7.2, so it has one user for all" in plan.parts[-1].command


def test_an_operators_redis_is_everybodys(state: State, nothing_set: Settings) -> None:
    """With REDIS_URL set, every part and tool has that one, and no further address is kept."""
    plan = make_plan(nothing_set, "demo", state, colour=False)
    assert {part.env["REDIS_URL"] for part in plan.parts if "REDIS_URL" in part.env} == {plan.redis_url}
    assert plan.other_redis_urls == {}


def test_addresses_of_further_users_are_there_while_it_runs(state: State) -> None:
    """Each is in a file of its own for this user only, and goes when the cluster does."""
    consumer = state.folder / "redis-url-consumer"
    with state.claim(REDIS, other_redis_urls={"consumer": REDIS + "?"}):
        assert consumer.read_text().strip() == REDIS + "?"
        assert stat.S_IMODE(consumer.stat().st_mode) == 0o600
    assert not consumer.exists()


def test_an_operators_database_is_everybodys(state: State, nothing_set: Settings) -> None:
    """With DATABASE_URL set, every part has that one, and no command line has its password."""
    settings = nothing_set.model_copy(update={"database_url": SecretStr(SERVER)})
    plan = make_plan(settings, "demo", state, colour=False)
    parts = [part for part in plan.parts if part.name not in ("redis", "simulator")]
    assert {part.env["DATABASE_URL"] for part in parts} == {SERVER}
    assert "sesame" not in str([part.command for part in plan.parts])
