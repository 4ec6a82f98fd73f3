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
    host: str = Field(default="127.0.0.1", description="address a gateway listens on; 0.0.0.0 in a container")
    port: int = Field(default=7860, ge=0, le=65535, description="port a gateway listens on; 0 takes a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe level logged"
    )
    log_format: Literal["console", "json"] = Field(default="console", description="for people or for a log collector")

    history_length: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="updates a service keeps for recovery, in Redis and in each gateway",
    )
    delivery_deadline: float = Field(
        default=6.0,
        gt=0.2,
        le=300,
        description="silence from Redis after which a subscriber reconnects and is not ready",
    )

    max_connections: int = Field(
        default=9000, ge=1, description="WebSocket connections a gateway accepts, then HTTP 503"
    )
    outbox_messages: int = Field(
        default=512, ge=16, description="messages a slow client may lag behind, then close 4008"
    )
    outbox_bytes: int = Field(
        default=4_194_304, ge=65536, description="bytes a slow client may lag behind, then close 4008"
    )
    ws_compression: bool = Field(default=False, description="offer permessage-deflate to WebSocket clients")
    ws_ping_interval: float = Field(default=20.0, gt=0, description="pause between a gateway's WebSocket pings")
    ws_ping_timeout: float = Field(default=20.0, gt=0, description="unanswered for so long, a ping ends its connection")
    drain_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="how long a stopping gateway reports not ready before it closes its clients",
    )
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="proxies whose X-Forwarded-For is believed: addresses, networks, host names"
    )

    lease_seconds: float = Field(
        default=10.0, ge=1, le=300, description="after which a dead worker's category is taken over"
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of a worker's /metrics; 0 serves none"
    )
    coins: Annotated[int | tuple[str, ...], NoDecode] = Field(
        default=100, description="how many coins by market value, or CoinGecko ids separated by commas"
    )
    simulator_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="send every provider request there instead; figures are labelled",
    )
    whale_threshold_usd: float = Field(
        default=1_000_000, ge=1000, le=1e12, description="USD from which a transfer counts as large"
    )
    rpc_nodes: SecretStr | None = Field(
        default=None, description="chain/name=https://... of each JSON-RPC node, separated by commas; else public ones"
    )
    coingecko_demo_key: SecretStr | None = Field(default=None, description="free CoinGecko key: a larger budget")
    coinmarketcap_key: SecretStr | None = Field(default=None, description="CoinMarketCap key: a larger budget")
    etherscan_key: SecretStr | None = Field(default=None, description="Etherscan V2 key: adds it for Ethereum")
    blockchair_key: SecretStr | None = Field(default=None, description="Blockchair key: a larger budget")
    whale_alert_key: SecretStr | None = Field(default=None, description="Whale Alert key: adds its transfers")
    cryptopanic_key: SecretStr | None = Field(default=None, description="CryptoPanic auth_token: adds its news")
    reddit_client_id: str | None = Field(default=None, description="of a Reddit app: adds the tone of its posts")
    reddit_client_secret: SecretStr | None = Field(default=None, description="of the same Reddit app")

    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///.coinwire/history.db"),
        description="sqlite:///file or postgresql://user:password@host/name: where updates are kept",
    )
    retention_days: Annotated[Retention, NoDecode] = Field(
        default=Retention(7.0), description="days that updates are kept: 7, or 7,news=90,market_data=2 by service"
    )
    huggingface_token: SecretStr | None = Field(
        default=None, description="Hugging Face token: a larger budget, and headlines read by a hub model"
    )
    huggingface_model: str = Field(
        default="ProsusAI/finbert",
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="hub model for text classification that reads headlines, with a token",
    )
    model_folder: Path | None = Field(
        default=None, description="folder of a model (model.onnx, tokenizer.json, config.json) that reads headlines"
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
