"""Logs: structlog formats our lines and those of libraries, for people or as JSON, and masks every known secret."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr

from shared.settings import Settings

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")  # greedy: a password may contain an @
_URL_KEYS = re.compile(r"(?i)\b([\w-]*(?:key|token|secret|password)=)[^&\s\"']+")
_LEAST_SECRET = 8  # characters: shorter paths of nodes (`rpc`, `v1/eth`) are no keys, and are common words elsewhere


_CHATTY = (
    *("httpx", "httpcore", "uvicorn.error", "uvicorn.access", "asyncio", "websockets"),
    *("alembic", "aiosqlite", "sqlalchemy", "psycopg"),
)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The values that must never be logged."""
    values = (getattr(settings, name) for name in type(settings).model_fields if name != "database_url")
    whole = [value.get_secret_value() for value in values if isinstance(value, SecretStr) and value]
    nodes = settings.rpc_nodes.get_secret_value() if settings.rpc_nodes is not None else ""
    # A node's key is part of its address, in the path or the query.
    parts = [address.partition("://")[2].partition("/")[2] for address in re.split(r"[\s,]+", nodes)]
    # The address of the database may be logged, but not its password.
    database = settings.database_url.get_secret_value()
    try:
        password = urlsplit(database).password or ""
    except ValueError:
        password = database  # no address: mask all of it
    of_database = {password, unquote(password)} if len(password) >= _LEAST_SECRET else ()
    return (*whole, *of_database, *(part for part in parts if len(part) >= _LEAST_SECRET))


def mask(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` with secrets, URL credentials and keys in query strings replaced by `***`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _URL_KEYS.sub(r"\1***", _URL_CREDENTIALS.sub("***@", text))


def _wants_colour() -> bool:
    # Both variables are conventions of terminals, not our settings.
    return not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty())


def configure_logs(settings: Settings, process: str) -> None:
    """Send all logs of this process to stderr in one format. Call it once, when the process starts."""
    secrets = secrets_of(settings)

    def masked(value: Any) -> Any:
        if isinstance(value, str):
            return mask(value, secrets)
        if isinstance(value, Mapping):
            return {key: masked(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [masked(item) for item in value]
        return value if isinstance(value, int | float | None) else mask(str(value), secrets)

    def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: value if key.startswith("_") else masked(value) for key, value in event.items()}

    def name_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    as_json = settings.log_format == "json"
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=True),
        structlog.processors.format_exc_info,
        mask_event,
    ]
    last: list[Any]
    if as_json:
        last = [name_process, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=_wants_colour(), pad_event_to=0)]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [stderr]
    root.setLevel(settings.log_level.upper())
    # These log every request, connection and statement: attempts, not transitions.
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
