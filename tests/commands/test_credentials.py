"""The passwords of a deployment: made once, kept, replaced on request, and in nobody's hands but their owner's."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import Result
from pydantic import ValidationError
from typer.testing import CliRunner

from commands.app import app
from commands.credentials import LOGINS, REPLICATED_SERVICE, UID, CredentialsError, make
from shared.bus.address import parse_address
from shared.settings import Settings, load_settings
from tests.places import ROOT

FILES = {
    "redis/users.acl",
    "redis/operator_password",
    "postgres/postgres_password",
    "postgres/reader_password",
    "consumer/redis_url",
    *(f"{part}/{setting}" for part in ("worker", "gateway", "tools") for setting in ("redis_url", "database_url")),
}
ODD = " päss:w@rd/with?all&the #'\"`$signs%41 "


def run(*arguments: object) -> Result:
    """`coinwire credentials …`, as the deployment runs it."""
    return CliRunner().invoke(app, ["credentials", *map(str, arguments)])


def texts(folder: Path) -> dict[str, str]:
    """Every file below `folder`, by name."""
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def password(url: str) -> str:
    """The password in a URL."""
    return unquote(urlsplit(url).password or "")


def test_the_first_start_makes_a_password_for_each(tmp_path: Path) -> None:
    """All files, seven passwords of 43 characters, no two alike."""
    assert set(make(tmp_path, {})) == FILES
    found = texts(tmp_path)
    assert found.keys() == FILES
    own = {password(text) if "_url" in name else text for name, text in found.items() if name != "redis/users.acl"}
    assert len(own) == len(LOGINS)
    assert all(re.fullmatch(r"[\w-]{43}", one) for one in own)


def test_a_later_start_changes_nothing(tmp_path: Path) -> None:
    """Not a byte, and no file is written again."""
    make(tmp_path, {})
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in FILES}
    was = texts(tmp_path)
    assert make(tmp_path, {}) == []
    assert texts(tmp_path) == was
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in FILES} == before


@pytest.mark.slow
def test_two_at_once_agree(tmp_path: Path) -> None:
    """`make credentials` while `docker compose up` runs the same: one waits for the other, and changes nothing."""
    command = [sys.executable, "-m", "commands", "credentials", str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(6)]
    said = sorted(process.communicate()[0] for process in started)
    assert [line.partition(": ")[2].split()[0] for line in said] == ["nothing"] * 5 + ["wrote"], said
    assert [process.returncode for process in started] == [0] * 6
    assert texts(tmp_path).keys() == FILES
    assert make(tmp_path, {}) == []


@pytest.mark.parametrize("lost", sorted(FILES))
def test_what_a_crash_left_out_is_made_up_for(tmp_path: Path, lost: str) -> None:
    """Whatever file is missing, all of them agree afterwards, and those of other users are as they were."""
    make(tmp_path, {})
    before = texts(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / lost).with_name(f".{Path(lost).name}.draft").write_text("half")
    assert lost in make(tmp_path, {})
    after = texts(tmp_path)
    assert after.keys() == FILES
    for name, user in (("worker", "worker"), ("gateway", "gateway"), ("tools", "reader"), ("consumer", "consumer")):
        digest = hashlib.sha256(password(after[f"{name}/redis_url"]).encode()).hexdigest()
        assert re.search(rf"^user {user} .* #{digest}$", after["redis/users.acl"], re.MULTILINE)
    assert password(after["worker/database_url"]) == after["postgres/postgres_password"]
    assert password(after["gateway/database_url"]) == after["postgres/reader_password"]
    if lost.endswith("redis_url"):
        del before[lost], before["redis/users.acl"]
    elif "password" in lost:
        before = {name: text for name, text in before.items() if name.endswith("redis_url")}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"redis://[", b"redis://worker@redis:6379/0"])
def test_a_file_that_holds_no_password_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """A truncated or damaged file is replaced: its user gets a new password, which Redis then has."""
    make(tmp_path, {})
    file = tmp_path / "worker/redis_url"
    file.unlink()
    file.write_bytes(content)
    assert set(make(tmp_path, {})) == {"worker/redis_url", "redis/users.acl"}
    digest = hashlib.sha256(password(file.read_text()).encode()).hexdigest()
    assert f"#{digest}\n" in (tmp_path / "redis/users.acl").read_text()


def test_what_a_crash_left_behind_is_removed(tmp_path: Path) -> None:
    """A draft of a file that is whole by now: it has a password in it too."""
    make(tmp_path, {})
    draft = tmp_path / "worker/.redis_url.draft"
    draft.write_text("half")
    assert make(tmp_path, {}) == []
    assert not draft.exists()


@pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.variable)
def test_the_environment_replaces_what_was_made(tmp_path: Path, login: object) -> None:
    """A password from the environment is used as it is, whatever signs it has, and stays when the variable is gone."""
    assert isinstance(login, type(LOGINS[0]))
    make(tmp_path, {})
    assert login.file in make(tmp_path, {login.variable: ODD})
    text = (tmp_path / login.file).read_text()
    assert (password(text) if login.file.endswith("_url") else text) == ODD
    assert make(tmp_path, {}) == []


def test_the_files_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load_settings` reads the files that a part mounts as they are."""
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    make(tmp_path, {"REDIS_WORKER_PASSWORD": ODD})
    settings = load_settings((tmp_path / "worker",))
    assert settings.redis_url is not None
    assert password(settings.redis_url.get_secret_value()) == ODD
    assert settings.database_url.get_secret_value() == (tmp_path / "worker/database_url").read_text()


def test_another_prefix_rewrites_the_rules_and_nothing_else(tmp_path: Path) -> None:
    """Users may touch what begins with REDIS_PREFIX."""
    make(tmp_path, {})
    assert make(tmp_path, {"REDIS_PREFIX": "stage.2"}) == ["redis/users.acl"]
    rules = (tmp_path / "redis/users.acl").read_text()
    assert "~stage.2:presence:*" in rules
    assert "coinwire:" not in rules


@pytest.mark.parametrize("prefix", ["coinwire", "a.b_c-9", "a b", "a:b", "a*", "a[b]", "ä", "a\n"])
def test_a_prefix_is_what_settings_take_for_one(tmp_path: Path, prefix: str) -> None:
    """REDIS_PREFIX is refused here where every other process would refuse it, and nowhere else."""
    try:
        Settings(_env_file=None, redis_prefix=prefix)
    except ValidationError:
        with pytest.raises(CredentialsError):
            make(tmp_path, {"REDIS_PREFIX": prefix})
    else:
        make(tmp_path, {"REDIS_PREFIX": prefix})


def test_hosts_of_other_names_are_options(tmp_path: Path) -> None:
    """Redis and PostgreSQL are found where the options say; passwords stay as they were."""
    make(tmp_path, {})
    was = password((tmp_path / "gateway/redis_url").read_text())
    assert run(tmp_path, "--redis-host", "bus.internal", "--postgres-host", "10.0.0.9").exit_code == 0
    assert (tmp_path / "gateway/redis_url").read_text() == f"redis://gateway:{was}@bus.internal:6379/0"
    assert (tmp_path / "worker/database_url").read_text().endswith("@10.0.0.9:5432/coinwire")


def test_redis_learns_hashes_only(tmp_path: Path) -> None:
    """users.acl has no password; a user without one can't log in, or may only PING."""
    make(tmp_path, {})
    rules = (tmp_path / "redis/users.acl").read_text()
    for name, text in texts(tmp_path).items():
        if name.endswith("password"):
            assert text not in rules
        elif name.endswith("redis_url"):
            assert password(text) not in rules
    for line in rules.splitlines():
        if line.startswith("user default "):
            assert line.startswith("user default off resetpass ")
        elif line.startswith("user health "):
            assert line.endswith(" -@all +ping nopass")
        else:
            assert "nopass" not in line
            assert len(re.findall(r" #[0-9a-f]{64}", line)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away, as the one-shot container does")
def test_who_may_read_what(tmp_path: Path) -> None:
    """Gateways, workers and tools own theirs alone; what servers of other images read is open to their container."""
    before = os.umask(0o077)
    try:
        make(tmp_path, {})
    finally:
        os.umask(before)
    for name in FILES:
        found = (tmp_path / name).stat()
        part = name.partition("/")[0]
        open_to_all = part == "postgres" or name == "redis/users.acl"
        assert found.st_mode & 0o777 == (0o444 if open_to_all else 0o400), name
        assert found.st_uid == (0 if part in ("redis", "postgres") else UID), name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away, as the one-shot container does")
def test_files_that_another_uid_must_read_are_given_to_it(tmp_path: Path) -> None:
    """`--uid` moves what gateways, workers and tools read, and nothing else."""
    make(tmp_path, {})
    written = make(tmp_path, {}, uid=4711)
    assert set(written) == {name for name in FILES if name.partition("/")[0] not in ("redis", "postgres")}
    assert (tmp_path / "tools/redis_url").stat().st_uid == 4711
    assert make(tmp_path, {}, uid=4711) == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"POSTGRES_PASSWORD": "secret"}, "POSTGRES_PASSWORD"),
        ({"REDIS_READER_PASSWORD": "sixteen\ncharacters"}, "REDIS_READER_PASSWORD"),
        ({"REDIS_PREFIX": "a b"}, "REDIS_PREFIX"),
    ],
)
def test_what_can_not_be_used_is_refused_without_being_shown(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    """The variable is named, its value is not, and nothing is written."""
    with pytest.raises(CredentialsError, match=said) as refused:
        make(tmp_path, environment)
    assert not any(value in str(refused.value) for value in environment.values())
    assert texts(tmp_path) == {}


def test_its_output_names_files_and_shows_none(tmp_path: Path) -> None:
    """Each start prints one line; without a folder it prints how to call it."""
    done, again = run(tmp_path), run(tmp_path)
    assert done.exit_code == again.exit_code == 0
    first, second = (done.stdout + again.stdout).splitlines()
    assert first.startswith("credentials: wrote ")
    assert second == "credentials: nothing to change"
    assert not any(text in first for text in texts(tmp_path).values())
    wrong = run()
    assert wrong.exit_code == 2
    assert "Usage" in wrong.stderr
    (tmp_path / "file").write_text("")
    refused = run(tmp_path / "file")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1


SENTINELS = ("one", "two", "three")


def test_with_sentinels_everybody_asks_them_and_servers_have_more_users(tmp_path: Path) -> None:
    """Each part's address names all Sentinels, with a password that may change nothing there."""
    made = make(tmp_path, {}, sentinels=SENTINELS)
    extra = {f"redis/{name}" for name in ("replica_password", "sentinel_password", "watcher_password", "sentinels.acl")}
    assert set(made) == FILES | extra
    found = texts(tmp_path)
    watcher = found["redis/watcher_password"]
    for part in ("worker", "gateway", "tools", "consumer"):
        address = parse_address(found[f"{part}/redis_url"])
        assert (address.kind, address.service) == ("sentinel", REPLICATED_SERVICE)
        assert address.hosts == tuple((host, 26379) for host in SENTINELS)
        assert address.sentinel_options == {"username": "watcher", "password": watcher}
    for user, file in (
        ("replica", "users"),
        ("sentinel", "users"),
        ("sentinel", "sentinels"),
        ("watcher", "sentinels"),
    ):
        digest = hashlib.sha256(found[f"redis/{user}_password"].encode()).hexdigest()
        assert re.search(rf"^user {user} .* #{digest}$", found[f"redis/{file}.acl"], re.MULTILINE)
    assert make(tmp_path, {}, sentinels=SENTINELS) == []


def test_sentinels_come_to_a_deployment_without_new_passwords(tmp_path: Path) -> None:
    """The addresses change, and the users of before keep their passwords; so they do on the way back."""
    make(tmp_path, {})
    was = {name: password(text) for name, text in texts(tmp_path).items() if name.endswith("redis_url")}
    for sentinels in (SENTINELS, ()):
        make(tmp_path, {}, sentinels=sentinels)
        now = texts(tmp_path)
        assert {name: password(now[name]) for name in was} == was


def test_the_service_of_the_sentinels_is_the_one_that_they_watch() -> None:
    """`deploy/redis/sentinel.sh` and the addresses name it alike."""
    assert f"sentinel monitor {REPLICATED_SERVICE} " in (ROOT / "deploy/redis/sentinel.sh").read_text()
