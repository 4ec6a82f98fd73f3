"""What schemathesis can't know of our parameters, and would take for faults. It loads this by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

from typing import Any

import schemathesis

from gateway.filters.reading import FILTERS, known_fields, known_filters
from shared.catalog import FIELDS, SERVICES


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Of requests that should succeed, leave out what fits its schema and still can't be right.

    Only a gateway can make a cursor; and which filters and fields there are depends on the service.
    """
    if case.query and case.meta is not None and case.meta.generation.mode.is_positive:
        service = (case.path_parameters or {}).get("service", "")
        unknown = set(FILTERS) - set(known_filters(service))
        if service in SERVICES and not set(case.query.get(FIELDS) or ()) <= set(known_fields(service)):
            unknown.add(FIELDS)
        case.query = {name: value for name, value in case.query.items() if name not in unknown | {"cursor"}}
    return case


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """Whether a failure is one: `from` and `to` may be right, and yet not go together, and lists may be too long."""
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code not in (400, 414):
        return True
    return response.status_code == 400 and not response.json()["data"]["message"].startswith("from must not be ")


def _first_events(response: Any, **_: Any) -> None:
    """Give an event stream, which has no end, the end of what has come first."""
    if response.headers.get("Content-Type", "").startswith("text/event-stream"):
        response._content = response.raw.read1()
        response.close()


@schemathesis.hook
def before_call(_context: Any, _case: Any, kwargs: dict[str, Any]) -> None:
    """Read of every answer all that there will be."""
    kwargs["hooks"] = {"response": _first_events}
