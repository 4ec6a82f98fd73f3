"""Settings: read once, frozen, secrets masked. `.env.example` has every one.

Each comes from the environment, else from `.env`, else from a file named like it (`redis_url`) in a folder of secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.errors import SettingsError
from shared.retention import Retention
from shared.secret_files import SecretFiles

SECRET_FOLDERS = (Path("/run/coinwire"), Path("/run/secrets"))
"""Where settings' files are looked for. The second is where Compose and Swarm put the operator's secrets; it wins over
the first, which has those that the deployment made for itself."""


class Settings(BaseSettings):
    """Everything that an operator may set. Durations are seconds."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    redis_url: SecretStr | None = Field(default=None, description="redis://, rediss:// or unix:// address of the bus")
    redis_prefix: str = Field(default="coinwire", pattern=r"^[A-Za-z0-9_.-]+$", description="first part of every key")
    host: str = Field(default="127.0.0.1", description="address that a gateway listens on; 0.0.0.0 in a container")
    port: int = Field(default=7860, ge=0, le=65535, description="port that a gateway listens on; 0 picks a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="lowest level that is logged"
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="console for people, json for log collectors"
    )

    history_length: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="updates kept per service for recovery, in Redis and in each gateway",
    )
    delivery_deadline: float = Field(
        default=6.0,
        gt=0.2,
        le=300,
        description="seconds of silence from Redis before a subscriber reconnects and is not ready",
    )

    max_connections: int = Field(
        default=9000, ge=1, description="WebSocket connections per gateway; more are refused with HTTP 503"
    )
    outbox_messages: int = Field(
        default=512, ge=16, description="messages that a slow client may lag behind before close 4008"
    )
    outbox_bytes: int = Field(
        default=4_194_304, ge=65536, description="bytes that a slow client may lag behind before close 4008"
    )
    ws_compression: bool = Field(default=False, description="offer permessage-deflate to WebSocket clients")
    ws_ping_interval: float = Field(default=20.0, gt=0, description="seconds between WebSocket pings to a client")
    ws_ping_timeout: float = Field(
        default=20.0, gt=0, description="seconds without a pong before the connection is closed"
    )
    drain_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="seconds that a stopping gateway reports not ready before it closes its clients",
    )
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="proxies whose X-Forwarded-For is trusted: addresses, networks, host names"
    )

    lease_seconds: float = Field(
        default=10.0,
        ge=1,
        le=300,
        description="seconds after which another worker takes over the category of a dead one",
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of a worker's /metrics and /health; 0 opens none"
    )
    coins: Annotated[int | tuple[str, ...], NoDecode] = Field(
        default=100, description="number of coins by market value, or CoinGecko ids separated by commas"
    )
    simulator_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="address that gets every provider request instead; figures are labelled as simulated",
    )
    whale_threshold_usd: float = Field(
        default=1_000_000, ge=1000, le=1e12, description="USD from which a transfer counts as large"
    )
    rpc_nodes: SecretStr | None = Field(
        default=None, description="chain/name=https://... per JSON-RPC node, separated by commas; default: public nodes"
    )
    coingecko_demo_key: SecretStr | None = Field(default=None, description="free CoinGecko key: raises its limit")
    coinmarketcap_key: SecretStr | None = Field(
        default=None, description="CoinMarketCap key: raises its limit and adds its list"
    )
    etherscan_key: SecretStr | None = Field(
        default=None, description="Etherscan V2 key: adds it as a source for Ethereum"
    )
    blockchair_key: SecretStr | None = Field(default=None, description="Blockchair key: raises its limit")
    whale_alert_key: SecretStr | None = Field(
        default=None, description="Whale Alert key: adds transfers on other chains"
    )
    cryptopanic_key: SecretStr | None = Field(default=None, description="CryptoPanic auth_token: adds its news")
    reddit_client_id: str | None = Field(
        default=None, description="client id of a Reddit app: adds the tone of its posts"
    )
    reddit_client_secret: SecretStr | None = Field(default=None, description="secret of the same Reddit app")

    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///.coinwire/history.db"),
        description="where updates are stored: sqlite:///file or postgresql://user:password@host/name",
    )
    retention_days: Annotated[Retention, NoDecode] = Field(
        default=Retention(7.0), description="days that updates are kept: 7, or per service 7,news=90,market_data=2"
    )
    huggingface_token: SecretStr | None = Field(
        default=None, description="Hugging Face token: raises the limit, and lets a hub model read headlines"
    )
    huggingface_model: str = Field(
        default="ProsusAI/finbert",
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="hub model for text classification that reads headlines; needs the token",
    )
    model_folder: Path | None = Field(
        default=None,
        description="folder with model.onnx, tokenizer.json and config.json of a model that reads headlines",
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
        """What pydantic-settings asks, the first that knows a setting wins. Files are read in our own way."""
        folders: Any = getattr(file_secret_settings, "secrets_dir", None)  # those given as `_secrets_dir`
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls, folders or ())

    @field_validator("retention_days", mode="before")
    @classmethod
    def _days_by_service(cls, value: object) -> object:
        return Retention.parse(value) if isinstance(value, str) else value

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
    """The settings of this process. Raises SettingsError: one line that names each wrong setting, not its value.

    The environment wins over `.env`, that over a file in `folders`, and of those the later ones over the earlier.
    """
    try:
        return Settings(_secrets_dir=folders)  # type: ignore[call-arg]  # mypy knows of fields only
    except (OSError, UnicodeError) as error:
        raise SettingsError(f".env: can't be read ({type(error).__name__})") from None
    except ValidationError as error:
        faults = sorted({f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()})
        raise SettingsError("; ".join(faults)) from None
