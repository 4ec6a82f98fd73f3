"""Routes under `/api/v1`: what they have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.parameters import Asked, ParameterError, Parameters, filter_documents
from gateway.http.rest import failure, invalid_service
from shared.catalog import CHANNEL_NAMES

NONE = Parameters()

Endpoint = Callable[[Request, Asked], Awaitable[Response]]


class ApiRoute(Route):
    """One route. A `service` in its path that does not exist is 404, a query that is wrong 400, in this order."""

    def __init__(self, path: str, endpoint: Endpoint, parameters: Parameters = NONE, *, filtered: bool = False) -> None:
        """`endpoint` gets the request, and the values of its query, if `filtered` with the filter of the service."""
        self.parameters = parameters
        self.filtered = filtered
        self.documents = parameters.documents + (filter_documents() if filtered else [])
        """The parameters of its query in OpenAPI."""

        @wraps(endpoint)
        async def answer(request: Request) -> Response:
            service = request.path_params.get("service")
            if service is not None and service not in CHANNEL_NAMES:
                return invalid_service(service)
            try:
                coins = request.state.node.directory if filtered else None
                asked = parameters.read(request.query_params, service, coins)
            except ParameterError as error:
                return failure(400, error.data)
            return await endpoint(request, asked)

        super().__init__(path, answer)
