"""Lua scripts, run by a real Lua 5.1 with what Redis gives them: `redis.call`, `cmsgpack`, KEYS and ARGV."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
from lupa import lua51

Call = Callable[[list[bytes]], Any]
"""Executes one command. Raises CommandError."""


class CommandError(Exception):
    """What Redis answers with `-`."""


class Ok(bytes):
    """What Redis answers with `+`."""


class Scripts:
    """The scripts of this process, compiled once. A server has those that were loaded since it started."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=False)
        self._compiled: dict[bytes, Any] = {}
        self.changes: dict[bytes, bytes] = {}
        """Text to replace in scripts before they are compiled: a mutation."""
        self.changed: set[bytes] = set()
        """What of that was there to replace."""
        self._call: Call
        self._globals = self._lua.globals()
        self._type = lua51.lua_type
        redis = self._lua.table_from(
            {
                b"call": self._redis_call,
                b"pcall": self._redis_pcall,
                b"error_reply": lambda text: self._lua.table_from({b"err": text}),
                b"status_reply": lambda text: self._lua.table_from({b"ok": text}),
                b"sha1hex": lambda text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode(),
            }
        )
        self._globals[b"redis"] = redis
        self._globals[b"cmsgpack"] = self._lua.table_from({b"pack": _pack})

    def compile(self, text: bytes) -> bytes:
        """The name (SHA-1) of a script."""
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        if sha not in self._compiled:
            for old, new in self.changes.items():
                if old in text:
                    self.changed.add(old)
                text = text.replace(old, new)
            self._compiled[sha] = self._lua.eval(b"function() " + text + b"\nend")
        return sha

    def run(self, sha: bytes, keys: Sequence[bytes], args: Sequence[bytes], call: Call) -> Any:
        """Run a compiled script; `call` executes its commands. Raises CommandError."""
        self._call = call
        self._globals[b"KEYS"] = self._lua.table_from(list(keys))
        self._globals[b"ARGV"] = self._lua.table_from(list(args))
        return self._from_lua(self._compiled[sha]())

    def _redis_call(self, *args: Any) -> Any:
        return self._to_lua(self._call([_argument(arg) for arg in args]))

    def _redis_pcall(self, *args: Any) -> Any:
        try:
            return self._redis_call(*args)
        except CommandError as error:
            return self._lua.table_from({b"err": str(error).encode()})

    def _to_lua(self, value: Any) -> Any:
        if value is None:
            return False
        if isinstance(value, Ok):
            return self._lua.table_from({b"ok": bytes(value)})
        if isinstance(value, list | tuple):
            return self._lua.table_from([self._to_lua(each) for each in value])
        return value

    def _from_lua(self, value: Any) -> Any:
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, int | float):
            return int(value)
        if self._type(value) != "table":
            return value
        if value[b"err"] is not None:
            raise CommandError(value[b"err"].decode())
        if value[b"ok"] is not None:
            return Ok(value[b"ok"])
        found, index = [], 1
        while value[index] is not None:
            found.append(self._from_lua(value[index]))
            index += 1
        return found


def _argument(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError("ERR Lua redis lib command arguments must be strings or integers")
    return b"%d" % value if value == int(value) and abs(value) < 1e17 else b"%.17g" % value


def _pack(*values: Any) -> bytes:
    """As Redis does: text without a type, whole numbers as integers."""
    packed = [
        msgpack.packb(int(value) if isinstance(value, float) and value.is_integer() else value, use_bin_type=False)
        for value in values
    ]
    return b"".join(packed)
