"""The address of JSON-RPC for tools outside of this repository; the code is in `workers.asking.jsonrpc`."""

from workers.asking.jsonrpc import shortened

__all__ = ["shortened"]
