"""Settings from files: what is under the environment and `.env`, and what is refused."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from shared.errors import SettingsError
from shared.settings import SECRET_FOLDERS, Settings, load_settings
from tests.shared.settings.test_settings import GOOD, SECRET, good_texts


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without settings, and a working directory without `.env`."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of secrets."""
    made = tmp_path / "secrets"
    made.mkdir()
    return made


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another, which wins over the first where it is named after it."""
    made = tmp_path / "other"
    made.mkdir()
    return made


def refusal(*folders: Path) -> str:
    """What the SettingsError says, which has no cause that could say more."""
    with pytest.raises(SettingsError) as refused:
        load_settings(folders)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


def test_every_setting_is_read_from_a_file_of_its_name(folder: Path) -> None:
    """Each field of Settings has its file, in lower case, read as its variable is."""
    for name, text in good_texts().items():
        (folder / name).write_text(text)
    found = load_settings([folder])
    assert {name: getattr(found, name) for name in GOOD} == {name: value for name, (_, value) in GOOD.items()}
    assert found.model_fields_set == set(Settings.model_fields)


def test_the_folders_are_those_of_the_deployment_and_of_compose() -> None:
    """What the deployment made, then what the operator gave to Compose, which wins."""
    assert [str(each) for each in SECRET_FOLDERS] == ["/run/coinwire", "/run/secrets"]
    assert inspect.signature(load_settings).parameters["folders"].default is SECRET_FOLDERS


def test_the_environment_wins_over_dotenv_and_that_over_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is in several places, the first counts."""
    for name, value in (("port", "1"), ("redis_prefix", "file"), ("max_connections", "1")):
        (folder / name).write_text(value)
    Path(".env").write_text("PORT=2\nREDIS_PREFIX=dotenv\n")
    monkeypatch.setenv("PORT", "3")
    found = load_settings([folder])
    assert (found.port, found.redis_prefix, found.max_connections) == (3, "dotenv", 1)


def test_an_empty_variable_leaves_it_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose sets `REDIS_URL=` where `${REDIS_URL:-}` is not set."""
    (folder / "redis_prefix").write_text("file")
    monkeypatch.setenv("REDIS_PREFIX", "")
    assert load_settings([folder]).redis_prefix == "file"


def test_the_last_folder_wins(folder: Path, other: Path) -> None:
    """Setting by setting: what only the first has still counts."""
    for place, name, value in ((folder, "port", "1"), (folder, "redis_prefix", "first"), (other, "port", "2")):
        (place / name).write_text(value)
    found = load_settings([folder, other])
    assert (found.port, found.redis_prefix) == (2, "first")


def test_an_empty_file_counts_as_not_set(folder: Path, other: Path) -> None:
    """One that holds newlines only, too: the next folder is asked, then the default holds."""
    (folder / "redis_prefix").write_text("first")
    (other / "redis_prefix").write_text("\n")
    (other / "redis_url").write_text("")
    (other / "port").write_text("\r\n\n")
    found = load_settings([folder, other])
    assert (found.redis_prefix, found.redis_url, found.port) == ("first", None, 7860)
    assert found.model_fields_set == {"redis_prefix"}


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_newlines_at_the_end_are_dropped(folder: Path, ending: str) -> None:
    """An editor writes one; what else a password holds, spaces at its end included, belongs to it."""
    (folder / "coinmarketcap_key").write_bytes(f" ☃ key\t {ending}".encode())
    assert load_settings([folder]).coinmarketcap_key == SecretStr(" ☃ key\t ")


def test_folders_that_are_not_there_are_empty(tmp_path: Path) -> None:
    """Outside of a container there are none: no warning, no error (and a warning is an error in these tests)."""
    assert load_settings([tmp_path / "none", tmp_path / "nor" / "this"]) == load_settings([])


def test_files_that_are_no_setting_are_not_read(folder: Path) -> None:
    """Passwords of Redis and PostgreSQL lie beside, in whatever form; so may a whole folder of another program."""
    (folder / "operator_password").write_bytes(b"\xff\xfe")
    (folder / "rhsm").mkdir()
    (folder / "REDIS_PREFIX").write_text("capitals")
    assert load_settings([folder]).redis_prefix == "coinwire"


def test_a_link_leads_to_its_file(folder: Path, tmp_path: Path) -> None:
    """Kubernetes mounts each secret as a link."""
    (tmp_path / "elsewhere").write_text("linked")
    (folder / "redis_prefix").symlink_to(tmp_path / "elsewhere")
    assert load_settings([folder]).redis_prefix == "linked"


def test_a_file_that_is_not_text_is_refused_without_its_value(folder: Path) -> None:
    """The line names the setting and the file; no part of the error has the content."""
    (folder / "redis_url").write_bytes(SECRET.encode() + b"\xff")
    said = refusal(folder)
    assert said == f"REDIS_URL: {folder}/redis_url can't be read (UnicodeDecodeError)"
    assert SECRET not in said


def test_a_folder_of_a_settings_name_is_refused(folder: Path) -> None:
    """Docker makes one where a file to mount is missing: the default would take its place unseen."""
    (folder / "database_url").mkdir()
    assert refusal(folder) == f"DATABASE_URL: {folder}/database_url is not a file"


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    """Reading one would wait for a writer, for ever."""
    os.mkfifo(folder / "database_url")
    assert refusal(folder) == f"DATABASE_URL: {folder}/database_url is not a file"


def test_every_bad_file_is_named_in_one_line(folder: Path) -> None:
    """An operator mends all of them at once."""
    (folder / "redis_url").mkdir()
    (folder / "database_url").symlink_to("database_url")  # to itself: nobody can read it, root neither
    (folder / "port").write_text("1")
    said = refusal(folder)
    assert said.count("\n") == 0
    assert f"REDIS_URL: {folder}/redis_url is not a file; " in said
    assert f"DATABASE_URL: {folder}/database_url can't be read (OSError)" in said


def test_a_wrong_value_in_a_file_is_named_by_its_setting(folder: Path) -> None:
    """As one of the environment is, and as little of it shown."""
    (folder / "port").write_text(SECRET)
    said = refusal(folder)
    assert said.startswith("PORT: ")
    assert SECRET not in said


def test_a_file_that_is_not_needed_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the variable is set, an unusable file does not matter."""
    (folder / "redis_prefix").mkdir()
    monkeypatch.setenv("REDIS_PREFIX", "mine")
    assert load_settings([folder]).redis_prefix == "mine"


def test_settings_made_without_folders_read_no_file() -> None:
    """Only load_settings looks into the machine's own."""
    assert Settings(_env_file=None).model_fields_set == set()  # type: ignore[call-arg]


def test_secrets_of_files_are_masked(folder: Path) -> None:
    """As those of the environment are."""
    (folder / "redis_url").write_text(f"redis://:{SECRET}@host/0\n")
    found = load_settings([folder])
    assert found.redis_url == SecretStr(f"redis://:{SECRET}@host/0")
    assert SECRET not in repr(found) + found.model_dump_json()


@contextmanager
def without_root() -> Iterator[None]:
    """As somebody who owns nothing here: permissions don't bind root, who may run the tests."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of secrets that everybody reaches, as pytest's own are not, and a working directory like it."""
    monkeypatch.chdir("/")
    with TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)
        yield made
        made.chmod(0o755)


def test_a_file_without_permission_is_refused(public: Path) -> None:
    """Mounted for another user, say: the line names the setting; the default does not take its place."""
    (public / "database_url").write_text(SECRET)
    (public / "database_url").chmod(0)
    with without_root():
        said = refusal(public)
    assert said == f"DATABASE_URL: {public}/database_url can't be read (PermissionError)"


def test_a_folder_without_permission_is_refused(public: Path) -> None:
    """It may hold any setting, so the line names the folder, once."""
    (public / "port").write_text("1")
    public.chmod(0)
    with without_root():
        said = refusal(public)
    assert said == f"{public}: can't be read (PermissionError)"


def test_a_folder_that_cannot_be_listed_is_read(public: Path) -> None:
    """To know the names is enough: no other program's secrets are looked for."""
    (public / "port").write_text("1")
    public.chmod(0o711)
    with without_root():
        assert load_settings([public]).port == 1
