"""`/docs`, `/openapi.json`, `/asyncapi.json`."""

from __future__ import annotations

from starlette.routing import BaseRoute

ROUTES: list[BaseRoute] = []
