"""Settings: read once, from the environment and `.env`; an error is one line without values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from shared.bus import open_redis
from shared.errors import SettingsError
from shared.settings import Retention, Settings
from tests.places import ROOT

SECRET = "hunter2-do-not-print"  # noqa: S105

GOOD: dict[str, tuple[str, Any]] = {
    "redis_url": ("rediss://u:p@redis.example:6380/3", SecretStr("rediss://u:p@redis.example:6380/3")),
    "redis_prefix": ("staging.2_b-c", "staging.2_b-c"),
    "host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104
    "port": ("65535", 65535),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "history_length": ("1", 1),
    "history_bytes": ("0", 0),
    "publish_replicas": ("2", 2),
    "delivery_deadline": ("0.5", 0.5),
    "max_connections": ("1", 1),
    "outbox_messages": ("16", 16),
    "outbox_bytes": ("65536", 65536),
    "waiting_bytes": ("1048576", 1_048_576),
    "ws_compression": ("false", False),
    "ws_ping_interval": ("1.5", 1.5),
    "ws_ping_timeout": ("2", 2.0),
    "drain_seconds": ("0", 0.0),
    "forwarded_allow_ips": ("10.0.0.1,10.0.0.2", "10.0.0.1,10.0.0.2"),
    "lease_seconds": ("300", 300.0),
    "worker_metrics_port": ("9100", 9100),
    "coins": ("bitcoin,ethereum", ("bitcoin", "ethereum")),
    "disabled_sources": ("coinmetrics, kraken", ("coinmetrics", "kraken")),
    "simulator_url": ("http://127.0.0.1:1", "http://127.0.0.1:1"),
    "whale_threshold_usd": ("5e6", 5e6),
    "rpc_nodes": (
        f"ethereum/mine=https://node.example/v3/{SECRET}",
        SecretStr(f"ethereum/mine=https://node.example/v3/{SECRET}"),
    ),
    **{
        name: (SECRET, SecretStr(SECRET))
        for name in (
            *("coingecko_demo_key", "coinmarketcap_key", "etherscan_key", "blockchair_key", "whale_alert_key"),
            *("cryptopanic_key", "reddit_client_secret", "blockscout_key"),
        )
    },
    "reddit_client_id": ("app", "app"),
    "coingecko_plan": ("pro", "pro"),
    "cryptopanic_plan": ("enterprise", "enterprise"),
    "database_url": (f"postgresql://me:{SECRET}@db/name", SecretStr(f"postgresql://me:{SECRET}@db/name")),
    "retention_days": ("2,news=90", Retention(2.0, {"news": 90.0})),
    "minute_candles_days": ("0.5", 0.5),
    "hour_candles_days": ("36500", 36_500.0),
    "huggingface_token": (SECRET, SecretStr(SECRET)),
    "huggingface_model": ("me/model", "me/model"),
    "model_folder": ("models/mine", Path("models/mine")),
}

BAD = [
    *(("PORT", value) for value in ("x", "-1", "65536", "1.5")),
    *(("REDIS_PREFIX", value) for value in ("a b", "{a}", "a:b", "é")),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
    *(("HISTORY_LENGTH", value) for value in ("0", "1000001", "many")),
    *(("HISTORY_BYTES", value) for value in ("-1", "96MB")),
    *(("PUBLISH_REPLICAS", value) for value in ("-1", "11")),
    *(("DELIVERY_DEADLINE", value) for value in ("0.2", "301", "nan", "inf", "soon")),
    ("MAX_CONNECTIONS", "0"),
    ("OUTBOX_MESSAGES", "15"),
    ("OUTBOX_BYTES", "65535"),
    ("WS_COMPRESSION", "perhaps"),
    *((name, value) for name in ("WS_PING_INTERVAL", "WS_PING_TIMEOUT") for value in ("0", "-1", "nan")),
    *(("DRAIN_SECONDS", value) for value in ("-1", "3601", "nan")),
    *(("LEASE_SECONDS", value) for value in ("0.9", "301", "nan")),
    ("WORKER_METRICS_PORT", "65536"),
    *(("COINS", value) for value in ("0", "251", ",", " , ", ",".join(f"coin{n}" for n in range(251)))),
    *(("WHALE_THRESHOLD_USD", value) for value in ("999", "1e13", "nan", "a lot")),
    *(
        ("RETENTION_DAYS", value)
        for value in ("0", "-1", "nan", "40000", "x", "news=0", "7,7", "nobody=1", "news=1,news=2")
    ),
    *(
        (name, value)
        for name in ("MINUTE_CANDLES_DAYS", "HOUR_CANDLES_DAYS")
        for value in ("0", "-1", "nan", "inf", "36501", "a week")
    ),
    *(("HUGGINGFACE_MODEL", value) for value in ("finbert", "a/b/c", "a/../b", "a b/c")),
    *(("SIMULATOR_URL", value) for value in ("127.0.0.1:1", "ftp://x")),
]


SAMPLES = ("2", "50", "true", "false", "sample", "a/b", "https://sample.example")


def sample(name: str) -> str:
    """A value of a setting that GOOD does not have, other than its default."""
    default = Settings.model_fields[name].default
    for text in SAMPLES:
        try:
            if getattr(Settings(_env_file=None, **{name: text}), name) != default:
                return text
        except ValidationError:
            continue
    raise AssertionError(f"add a value of {name.upper()} to GOOD: it takes none of {SAMPLES}")


def good_texts() -> dict[str, str]:
    """For every field of Settings, a value that it takes, as an operator writes it."""
    return {name: GOOD[name][0] if name in GOOD else sample(name) for name in Settings.model_fields}


def load(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `load_settings` gives in a process of its own, in `folder`: its fields, or its error."""
    code = (
        "from shared.errors import SettingsError\n"
        "from shared.settings import load_settings\n"
        "try: print(load_settings().model_dump_json())\n"
        "except SettingsError as error: print(error); raise SystemExit(2)\n"
    )
    own = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=own | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_setting_is_read_from_the_environment(tmp_path: Path) -> None:
    """Each field of Settings has its variable, in capitals."""
    assert set(GOOD) <= set(Settings.model_fields)
    texts = good_texts()
    done = load(tmp_path, **{name.upper(): text for name, text in texts.items()})
    expected = Settings(_env_file=None, **(texts | {name: value for name, (_, value) in GOOD.items()}))
    assert json.loads(done.stdout) == json.loads(expected.model_dump_json())


def test_dotenv_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    """`.env` of the working directory holds settings; of what is in both, the environment's counts."""
    (tmp_path / ".env").write_text("# a comment\nPORT=1111\nREDIS_PREFIX=from-file\nANOTHER_PROGRAMS=thing\nHOST=\n")
    found = json.loads(load(tmp_path, PORT="2222").stdout)
    assert (found["port"], found["redis_prefix"], found["host"]) == (2222, "from-file", "127.0.0.1")


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    """No variable is needed."""
    assert json.loads(load(tmp_path).stdout)["port"] == 7860


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_value_is_refused(name: str, value: str) -> None:
    """What can't be used is refused, each by its setting."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name.lower(): value})
    assert {fault["loc"][0] for fault in refused.value.errors()} == {name.lower()}


def test_an_error_is_one_line_that_names_each_setting_and_no_value(tmp_path: Path) -> None:
    """Two wrong settings are one line with both names; values, which may be secrets, are not in it."""
    done = load(tmp_path, PORT=SECRET, COINS="0", LEASE_SECONDS=SECRET, SIMULATOR_URL=SECRET, LOG_LEVEL=SECRET)
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    for name in ("PORT: ", "COINS: ", "LEASE_SECONDS: ", "SIMULATOR_URL: ", "LOG_LEVEL: "):
        assert name in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_a_dotenv_that_is_not_text_is_a_settings_error(tmp_path: Path) -> None:
    """A `.env` that can't be read is one line too."""
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\n")
    done = load(tmp_path)
    assert done.returncode == 2
    assert done.stdout.startswith(".env: ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "coins"),
    [
        ("100", 100),
        (" 250 ", 250),
        ("1", 1),
        ("bitcoin", ("bitcoin",)),
        (" Bitcoin , ETHEREUM,,bitcoin,", ("bitcoin", "ethereum")),
    ],
)
def test_coins_are_a_count_or_ids(text: str, coins: object) -> None:
    """COINS holds a count, or CoinGecko ids in any case and spacing, each once."""
    assert Settings(_env_file=None, coins=text).coins == coins


def test_secrets_are_masked_and_settings_frozen() -> None:
    """No form of printing shows a secret, and nothing changes a setting."""
    settings = Settings(_env_file=None, redis_url=f"redis://:{SECRET}@host/0", coingecko_demo_key=SECRET)
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in text
    with pytest.raises(ValidationError):
        settings.port = 1


@pytest.mark.parametrize(
    "url",
    [
        f"http://{SECRET}",
        SECRET,
        f"redis://{SECRET}:port/0",
        f"redis://[{SECRET}",
        f"redis://host/0?socket_connect_timeout={SECRET}",
        f"redis://host/0?no_such_option={SECRET}",
        f"rediss://host/0?ssl_cert_reqs={SECRET}",
    ],
)
def test_a_redis_url_that_cannot_be_used_is_a_settings_error_without_it(url: str) -> None:
    """A malformed REDIS_URL is found when the client is opened, before any command, and not printed."""
    with pytest.raises(SettingsError, match="REDIS_URL: not a redis://") as refused:
        open_redis(Settings(_env_file=None, redis_url=url))
    assert SECRET not in str(refused.value)


def test_a_missing_redis_url_is_a_settings_error() -> None:
    """The message names the remedy."""
    with pytest.raises(SettingsError, match="REDIS_URL: not set"):
        open_redis(Settings(_env_file=None))
