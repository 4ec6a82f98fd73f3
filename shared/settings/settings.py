"""Settings: read once, frozen, secrets masked. docs/reference/settings.md lists them.

A setting is read from the environment, else from `.env`, else from a file with its name (`redis_url`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.errors import SettingsError
from shared.settings.retention import Retention
from shared.settings.secret_files import SecretFiles

SECRET_FOLDERS = (Path("/run/coinwire"), Path("/run/secrets"))
"""Folders of settings in files. The deployment writes its own credentials to the first. Compose and Swarm put the
operator's secrets into the second, which takes precedence."""


class Group(Enum):
    """Who reads a setting. Compose passes it on to the containers of these processes; the docs have a table each."""

    ALL = "Every process"
    GATEWAY = "Gateways"
    WORKER = "Workers"
    PROVIDERS = "Workers: providers and models"
    COMMANDS = "Commands for people"


def _setting(default: Any, group: Group, description: str, *, unit: str = "", **limits: Any) -> Any:
    """A field of Settings. `make docs` writes `.env.example`, Compose's lists and the tables from it."""
    extra: dict[str, Any] = {"group": group.name, "unit": unit}
    return Field(default=default, description=description, json_schema_extra=extra, **limits)


class Settings(BaseSettings):
    """Everything that an operator may set. Durations are seconds."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    redis_url: SecretStr | None = _setting(
        None,
        Group.ALL,
        "bus: redis://, unix://, redis+sentinel:// or redis+cluster:// address; rediss… with TLS",
    )
    redis_prefix: str = _setting("coinwire", Group.ALL, "first part of every key", pattern=r"^[A-Za-z0-9_.-]+$")
    database_url: SecretStr = _setting(
        SecretStr("sqlite:///.coinwire/history.db"),
        Group.ALL,
        "stores updates: sqlite:///file or postgresql://user:password@host/name",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", Group.ALL, "lowest level that is logged")
    log_format: Literal["console", "json"] = _setting(
        "console", Group.ALL, "console for people, json for log collectors"
    )
    history_length: int = _setting(
        1000,
        Group.ALL,
        "updates kept per service for recovery, in Redis and in each gateway",
        unit="updates",
        ge=1,
        le=1_000_000,
    )
    history_bytes: int = _setting(
        100_663_296,
        Group.ALL,
        "bytes of bursts kept beyond HISTORY_LENGTH: per service in Redis, in all per gateway",
        unit="bytes",
        ge=0,
    )
    retention_days: Annotated[Retention, NoDecode] = _setting(
        Retention(7.0),
        Group.ALL,
        "days that updates are kept: 7, or per service 7,news=90,market_data=2",
        unit="days",
    )
    minute_candles_days: float = _setting(
        7.0, Group.ALL, "days that candles of 1m are kept, and with them 5m and 15m", unit="days", gt=0, le=36_500
    )
    hour_candles_days: float = _setting(
        365.0, Group.ALL, "days that candles of 1h are kept, and with them 4h and 1d", unit="days", gt=0, le=36_500
    )

    host: str = _setting("127.0.0.1", Group.GATEWAY, "address that a gateway listens on; 0.0.0.0 in a container")
    port: int = _setting(7860, Group.GATEWAY, "port that a gateway listens on; 0 picks a free one", ge=0, le=65535)
    forwarded_allow_ips: str = _setting(
        "127.0.0.1", Group.GATEWAY, "proxies whose X-Forwarded-For is trusted: addresses, networks, host names"
    )
    delivery_deadline: float = _setting(
        4.5,
        Group.GATEWAY,
        "seconds of silence from Redis before a subscriber reconnects and is not ready",
        unit="s",
        gt=0.2,
        le=300,
    )
    max_connections: int = _setting(
        9000,
        Group.GATEWAY,
        "WebSocket connections per gateway; more are refused with HTTP 503",
        unit="connections",
        ge=1,
    )
    outbox_messages: int = _setting(
        512, Group.GATEWAY, "messages that a slow client may lag behind before close 4008", unit="messages", ge=16
    )
    outbox_bytes: int = _setting(
        4_194_304, Group.GATEWAY, "bytes that a slow client may lag behind before close 4008", unit="bytes", ge=65536
    )
    ws_join_updates: bool = _setting(
        True,
        Group.GATEWAY,
        "join updates that arrive together, or are replayed, into one write; false: one write each",
    )
    waiting_bytes: int = _setting(
        268_435_456,
        Group.GATEWAY,
        "bytes that may wait for all clients together; beyond, those with most are closed",
        unit="bytes",
        ge=1_048_576,
    )
    ws_compression: bool = _setting(True, Group.GATEWAY, "compress for WebSocket clients that offer permessage-deflate")
    ws_ping_interval: float = _setting(
        20.0, Group.GATEWAY, "seconds between WebSocket pings to a client", unit="s", gt=0
    )
    ws_ping_timeout: float = _setting(
        20.0,
        Group.GATEWAY,
        "seconds without a pong, or progress in reading, before the connection is closed",
        unit="s",
        gt=0,
    )
    drain_seconds: float = _setting(
        1.0,
        Group.GATEWAY,
        "seconds over which a stopping gateway closes its clients, one after another",
        unit="s",
        ge=0,
        le=3600,
    )

    lease_seconds: float = _setting(
        3.0,
        Group.WORKER,
        "seconds after which another worker takes over the category of a dead one",
        unit="s",
        ge=1,
        le=300,
    )
    publish_replicas: int = _setting(
        0,
        Group.WORKER,
        "replicas that each publish waits for, at most 0.5 s; too few is logged and counted",
        unit="replicas",
        ge=0,
        le=10,
    )
    worker_metrics_port: int = _setting(
        0, Group.WORKER, "port of a worker's /metrics and /health; 0 opens none", ge=0, le=65535
    )
    coins: Annotated[int | tuple[str, ...], NoDecode] = _setting(
        100, Group.WORKER, "number of coins by market value, or CoinGecko ids separated by commas", unit="coins"
    )
    disabled_sources: Annotated[tuple[str, ...], NoDecode] = _setting(
        (),
        Group.WORKER,
        "providers that are never asked, by their names in the reference, separated by commas",
    )
    simulator_url: str | None = _setting(
        None,
        Group.WORKER,
        "address that gets every provider request instead; figures are labelled as simulated",
        pattern=r"^https?://",
    )
    whale_threshold_usd: float = _setting(
        1_000_000, Group.WORKER, "USD from which a transfer counts as large", unit="USD", ge=1000, le=1e12
    )
    rpc_nodes: SecretStr | None = _setting(
        None,
        Group.WORKER,
        "chain/name=https://... per JSON-RPC node, separated by commas; default: public nodes",
    )

    coingecko_demo_key: SecretStr | None = _setting(
        None, Group.PROVIDERS, "CoinGecko key: a limit of its own, whoever shares the address; see COINGECKO_PLAN"
    )
    coingecko_plan: Literal["demo", "pro"] = _setting(
        "demo", Group.PROVIDERS, "plan of the CoinGecko key: demo (free), or pro for any paid one"
    )
    coinmarketcap_key: SecretStr | None = _setting(
        None, Group.PROVIDERS, "CoinMarketCap key: raises its limit and adds its list"
    )
    etherscan_key: SecretStr | None = _setting(
        None, Group.PROVIDERS, "Etherscan V2 key: adds it as a source for Ethereum"
    )
    blockscout_key: SecretStr | None = _setting(
        None, Group.PROVIDERS, "Blockscout PRO key (a free one will do): asks its host for keys instead"
    )
    blockchair_key: SecretStr | None = _setting(None, Group.PROVIDERS, "Blockchair key: raises its limit")
    whale_alert_key: SecretStr | None = _setting(
        None, Group.PROVIDERS, "Whale Alert key: adds transfers on other chains"
    )
    cryptopanic_key: SecretStr | None = _setting(None, Group.PROVIDERS, "CryptoPanic auth_token: adds its news")
    cryptopanic_plan: Literal["growth", "enterprise"] = _setting(
        "growth", Group.PROVIDERS, "plan of the CryptoPanic key; its free plan has ended"
    )
    reddit_client_id: str | None = _setting(
        None, Group.PROVIDERS, "client id of a Reddit app: adds the tone of its posts"
    )
    reddit_client_secret: SecretStr | None = _setting(None, Group.PROVIDERS, "secret of the same Reddit app")
    huggingface_token: SecretStr | None = _setting(
        None, Group.PROVIDERS, "Hugging Face token: raises the limit, and lets a hub model read headlines"
    )
    huggingface_model: str = _setting(
        "ProsusAI/finbert",
        Group.PROVIDERS,
        "hub model for text classification that reads headlines; needs the token",
        pattern=r"^[\w.-]+/[\w.-]+$",
    )
    model_folder: Path | None = _setting(
        None,
        Group.PROVIDERS,
        "folder with model.onnx, tokenizer.json and config.json of a model that reads headlines",
    )

    gateway_url: str = _setting(
        "http://localhost:7860", Group.COMMANDS, "gateway that `coinwire get`, `watch` and `candles` ask"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order of precedence. Files are read by SecretFiles."""
        folders: Any = getattr(file_secret_settings, "secrets_dir", None)  # the argument `_secrets_dir`
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls, folders or ())

    @field_validator("retention_days", mode="before")
    @classmethod
    def _days_by_service(cls, value: object) -> object:
        return Retention.parse(value) if isinstance(value, str) else value

    @field_validator("disabled_sources", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))

    @field_validator("coins", mode="before")
    @classmethod
    def _count_or_ids(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.strip().isdecimal():
            count = int(value)
            if not 1 <= count <= 250:
                raise ValueError("a count of coins is 1 to 250 (one page of CoinGecko's list)")
            return count
        ids = tuple(dict.fromkeys(part.strip().lower() for part in value.split(",") if part.strip()))
        if not 1 <= len(ids) <= 250:
            raise ValueError("name 1 to 250 coins, or a count")
        return ids


def load_settings(folders: Sequence[Path] = SECRET_FOLDERS) -> Settings:
    """The settings of this process. Raises SettingsError with one line that names each wrong setting without its value.

    The environment takes precedence over `.env`, `.env` over files, and later `folders` over earlier ones.
    """
    try:
        return Settings(_secrets_dir=folders)  # type: ignore[call-arg]  # mypy knows of fields only
    except (OSError, UnicodeError) as error:
        raise SettingsError(f".env: can't be read ({type(error).__name__})") from None
    except ValidationError as error:
        faults = sorted({f"{str(fault['loc'][0]).upper()}: {_reason(fault['msg'])}" for fault in error.errors()})
        raise SettingsError("; ".join(faults)) from None


def _reason(message: str) -> str:
    """pydantic's message without the prefix that it gives to those of our own validators."""
    return message.removeprefix("Value error, ")
