"""The role that gateways read the history with, as deploy/postgres/roles.sh makes it, on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from shared.database import Database, Record, open_database
from shared.errors import DatabaseError
from shared.settings import Settings
from tests.places import ROOT
from tests.postgres import PostgresServer, find_postgres

SCRIPT = ROOT / "deploy/postgres/roles.sh"
RECORD = Record(service="news", epoch="e", seq=1, published_at=1, data="{}")
ODD = 'it\'s $(id) `id` \\ %s: "quoted", pässword'


class Deployed:
    """A database as the image makes one, and who may use it."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.owner_url = server.new_database()
        self.reader_url = self.owner_url.replace("//coinwire@", "//coinwire_reader@")
        self._folder = folder
        self._env = {
            "PATH": f"{find_postgres()}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "POSTGRES_USER": "coinwire",
            "POSTGRES_DB": self.owner_url.rpartition("/")[2],
            "CREDENTIALS": str(folder),
        }

    def run(self, owner: str, reader: str) -> subprocess.CompletedProcess[str]:
        """Run the script with these passwords."""
        (self._folder / "postgres_password").write_text(owner)
        (self._folder / "reader_password").write_text(reader)
        return subprocess.run(["/bin/sh", SCRIPT], env=self._env, capture_output=True, text=True, check=False)

    def database(self, url: str) -> Database:
        """As a process of coinwire opens it."""
        return open_database(Settings(_env_file=None, database_url=SecretStr(url)))


@pytest.fixture
def deployed(postgres: PostgresServer, tmp_path: Path) -> Deployed:
    """The script has run, and no table is there yet."""
    made = Deployed(postgres, tmp_path)
    done = made.run("owner-password-1", ODD)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    return made


async def test_a_gateway_reads_what_the_recorder_writes_later_and_can_not_write(deployed: Deployed) -> None:
    """Tables that the owner makes afterwards may be read by coinwire_reader, page by page; an insert is refused."""
    owner, reader = deployed.database(deployed.owner_url), deployed.database(deployed.reader_url)
    await owner.migrate()
    await owner.insert([RECORD])
    await reader.check()
    assert await reader.page("news", limit=10) == [RECORD]
    with pytest.raises(DatabaseError, match="ReadOnlySqlTransaction"):
        await reader.insert([RECORD])
    await owner.aclose()
    await reader.aclose()


async def test_the_reader_has_no_right_but_to_read(deployed: Deployed) -> None:
    """Also where it turns its read-only transactions off: the rights are missing, not just the wish."""
    owner = deployed.database(deployed.owner_url)
    await owner.migrate()
    await owner.aclose()
    with psycopg.connect(deployed.reader_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO updates VALUES ('news', 'e', 1, 1, '{}')",
            "DELETE FROM updates",
            "TRUNCATE updates",
            "DROP TABLE updates",
            "CREATE TEMPORARY TABLE mine (a int)",
            "ALTER ROLE coinwire_reader SUPERUSER",
            "SELECT rolpassword FROM pg_authid",
            "SELECT pg_read_file('/etc/passwd')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[arg-type]  # psycopg wants literals


def test_passwords_are_told_anew_when_the_script_runs_again(deployed: Deployed) -> None:
    """Both roles get the passwords of their files, with any characters; rights stay; nothing is printed."""

    def stored() -> dict[str, str]:
        with psycopg.connect(deployed.owner_url) as connection:
            rows = connection.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'coinwire%'")
            return dict(rows.fetchall())

    before = stored()
    assert all(text.startswith("SCRAM-SHA-256$") for text in before.values())
    done = deployed.run(ODD, "another-password")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    after = stored()
    assert after.keys() == before.keys() == {"coinwire", "coinwire_reader"}
    assert all(after[role] != before[role] for role in after)


def test_a_missing_password_is_not_an_empty_one(deployed: Deployed) -> None:
    """Without a file of passwords nothing is changed, and the file is named."""
    done = deployed.run("owner-password-1", "")
    assert done.returncode == 1
    assert "reader_password: missing or empty" in done.stderr
    psycopg.connect(deployed.reader_url).close()
