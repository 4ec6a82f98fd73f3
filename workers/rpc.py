"""The address of JSON-RPC for tools outside of this repository; the code is in `workers.asking.jsonrpc`."""

from workers.asking.jsonrpc import LIMIT_CODES, RpcError, is_limited, shortened

__all__ = ["LIMIT_CODES", "RpcError", "is_limited", "shortened"]
