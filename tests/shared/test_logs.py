"""Logs: one form for all lines of a process, without secrets. Each test logs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from shared.logs import mask, secrets_of
from shared.settings import Settings
from tests.places import ROOT

KEY, PASSWORD = "CG-demo-key-1234", "pa55word"
URL = f"redis://user:{PASSWORD}@redis.example:6379/0"

SETTINGS = f"Settings(_env_file=None, log_format={{form!r}}, redis_url={URL!r}, coingecko_demo_key={KEY!r})"


def logged(form: str, code: str, settings: str = SETTINGS) -> list[str]:
    """The lines on stderr of a process that configures logs and runs `code`."""
    program = (
        "import logging, structlog\n"
        "from shared.logs import configure_logs\n"
        "from shared.settings import Settings\n"
        f"configure_logs({settings.format(form=form)}, 'tester')\n"
        "log = structlog.get_logger()\n"
        f"{code}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


LEAKS = f"""
url = {URL!r}
deep = {{"rows": [url, {KEY!r}, ({KEY!r},)], "type": Exception(url), "bytes": url.encode()}}
log.info("to " + url, where=url, deep=deep)
log.warning("asked https://api.example/v3?x=1&api_key=sesame&y=2", and_="auth_token=sesame&a=b access_token=sesame")
try:
    raise ValueError("can't reach " + url) from KeyError({KEY!r})
except ValueError:
    log.exception("failed with " + {KEY!r})
    logging.getLogger("library").exception("library failed with %s", url)
logging.getLogger("library").warning("GET https://user:{PASSWORD}@host/path?token=sesame %s", {KEY!r}, stack_info=True)
logging.getLogger("library").error("no arguments: %s percent")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_secret_is_ever_printed(form: str) -> None:
    """Secrets, URL credentials and keys in queries are masked in events, fields, exceptions and others' records."""
    text = "\n".join(logged(form, LEAKS))
    for secret in (KEY, PASSWORD, "sesame", URL):
        assert secret not in text
    for kept in ("api.example/v3?x=1&api_key=***&y=2", "can't reach", "library failed with", "/path?token=***"):
        assert kept in text
    assert text.count("Traceback") == 2


def test_json_is_one_object_a_line() -> None:
    """Each line is an object with event, level, UTC timestamp and the process, whatever is logged."""
    lines = [
        json.loads(line) for line in logged("json", LEAKS + "log.error('two\\nlines', n=1, f=1.5, yes=True, no=None)")
    ]
    assert len(lines) == 7
    for line in lines:
        assert {"event", "level", "timestamp", "process"} <= set(line)
        assert line["process"] == "tester"
        assert line["timestamp"].endswith("Z")
    assert lines[-1]["event"] == "two\nlines"
    assert (lines[-1]["n"], lines[-1]["f"], lines[-1]["yes"], lines[-1]["no"]) == (1, 1.5, True, None)
    assert "ValueError" in lines[2]["exception"]
    assert "ValueError" in lines[3]["exception"]


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_severe_logged(level: str, seen: int) -> None:
    """LOG_LEVEL holds for our lines and for the libraries'."""
    settings = f"Settings(_env_file=None, log_format={{form!r}}, log_level={level!r})"
    code = "for name in ('debug', 'info', 'warning', 'error'): getattr(log, name)('x'), getattr(library, name)('x')"
    assert len(logged("json", "library = logging.getLogger('library')\n" + code, settings)) == 2 * seen


def test_libraries_that_log_attempts_are_quiet() -> None:
    """A line for every request would bury the transitions."""
    code = "for name in ('httpx', 'httpcore', 'uvicorn.access', 'alembic'): logging.getLogger(name).info('attempt')"
    assert logged("console", code) == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:pw@host:1/0", "redis://***@host:1/0"),
        ("redis://u:p@ss@host/0", "redis://***@host/0"),
        ("https://host/a@b", "https://host/a@b"),
        ("see https://a.example and mail b@c", "see https://a.example and mail b@c"),
        ("?key=1&apikey=2&api_key=3&api-key=4#x", "?key=***&apikey=***&api_key=***&api-key=***"),
        ("x_cg_demo_api_key=abc&ids=bitcoin", "x_cg_demo_api_key=***&ids=bitcoin"),
        ("?TOKEN=a&access_token=b&secret=c&n=1", "?TOKEN=***&access_token=***&secret=***&n=1"),
        ("key='quoted'", "key='quoted'"),
    ],
)
def test_what_is_masked(text: str, masked: str) -> None:
    """The host and the rest of a query stay readable."""
    assert mask(text) == masked


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    """Also inside of words; an empty secret masks nothing."""
    assert mask("xx-abc-yy", ("abc",)) == "xx-***-yy"
    assert logged("console", "log.info('hello')", "Settings(_env_file=None, coingecko_demo_key='')")[0].count("*") == 0


def test_logs_take_any_value() -> None:
    """A value that JSON has no form for is logged as text."""
    values: list[Any] = [json.loads(line) for line in logged("json", "log.info('x', a={1}, b=object, c=b'1', d=1j)")]
    assert set(values[0]) >= {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://me:p%40ssword1@db/name", ("p%40ssword1", "p@ssword1")),
        ("postgresql://[half/name?key=abcdefgh1", ("postgresql://[half/name?key=abcdefgh1",)),
        ("sqlite:///.coinwire/history.db", ()),
    ],
)
def test_of_a_databases_address_only_the_password_is_secret(url: str, masked: tuple[str, ...]) -> None:
    """Where records are kept is worth telling; how to get in is not, quoted or plain."""
    secrets = secrets_of(Settings(_env_file=None, database_url=url))
    assert set(masked) <= set(secrets)
    assert "/name" not in secrets
    assert "sqlite:///.coinwire/history.db" not in secrets
