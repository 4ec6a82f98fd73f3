"""The model's Redis: the commands that the bus uses, with expiry, pub/sub and scripts, and writes that can be lost."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

from tests.model.loop import VirtualLoop
from tests.model.network import Wire
from tests.model.scripts import CommandError, Ok, Scripts

_NODE = 3  # entries: XADD with `~` and XTRIM drop whole nodes, which hold a hundred in a real Redis


class Watch(Protocol):
    """Hears what scripts do, as they do it: with their KEYS and ARGV."""

    def published(self, server: Server, channel: bytes, message: bytes, keys: list[bytes], args: list[bytes]) -> None:
        """A PUBLISH."""
        ...

    def stored(self, server: Server, key: bytes, value: bytes, keys: list[bytes], args: list[bytes]) -> None:
        """A SET."""
        ...


class Stream(NamedTuple):
    """A stream. Like every value it is replaced, never changed, so that a copy of the data costs nothing."""

    entries: tuple[tuple[tuple[int, int], list[bytes]], ...] = ()
    last: tuple[int, int] = (0, 0)


class Write(NamedTuple):
    """What the data is after one command or script."""

    number: int
    data: dict[bytes, Any]
    expiries: dict[bytes, float]


class Server:
    """One Redis server."""

    def __init__(self, loop: VirtualLoop, scripts: Scripts, run_id: str, watch: Watch) -> None:
        """Empty. `watch` is told of what scripts do."""
        self.up = True
        self.frozen = False
        self.replica = False
        """Whether it was demoted: it refuses writes, and has not found its primary yet."""
        self.copies: list[int] = []
        """How often each of the next messages reaches its subscriber: 0 is lost, 2 comes twice."""
        self.skew = 0.0
        """Seconds that its clock is ahead."""
        self.run_id = run_id
        self.replid = run_id[::-1]
        """Its line of replication: another one after every promotion."""
        self.sessions: dict[ServerSession, None] = {}
        self.data: dict[bytes, Any] = {}
        self.expiries: dict[bytes, float] = {}
        self.writes: list[Write] = [Write(0, {}, {})]
        self.watch = watch
        self._loop = loop
        self._scripts = scripts
        self._loaded: set[bytes] = set()
        self._channels: dict[bytes, dict[ServerSession, None]] = {}
        self._dirty = False
        self._script: tuple[list[bytes], list[bytes]] | None = None

    # As a host of the network.

    def accept(self, wire: Wire) -> ServerSession:
        """Serve a connection."""
        session = ServerSession(self, wire)
        self.sessions[session] = None
        return session

    def forget(self, session: ServerSession) -> None:
        """A connection is gone."""
        self.sessions.pop(session, None)
        for channel in session.channels:
            self._channels[channel].pop(session, None)

    # What happens to it.

    def restart(self, run_id: str, lost: int) -> int:
        """Start again, without its last `lost` writes. Returns the number of the last that is left."""
        del self.writes[max(1, len(self.writes) - lost) :]
        left = self.writes[-1]
        self.data, self.expiries = dict(left.data), dict(left.expiries)
        self.run_id, self.replid, self.up, self.frozen = run_id, run_id[::-1], True, False
        self._loaded.clear()
        return left.number

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        self._loaded.clear()

    # Commands.

    def ask(self, session: ServerSession, args: list[bytes]) -> Any:
        """Execute one command of a client. Raises CommandError."""
        name = args[0].upper()
        if name in (b"SUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"SUNSUBSCRIBE"):
            return self._subscribe(session, name.lower(), args[1:])
        if name in (b"MULTI", b"EXEC", b"DISCARD"):
            return session.transact(name)
        if session.queued is not None:
            session.queued.append(args)
            return Ok(b"QUEUED")
        answer = self._execute(args)
        self._keep()
        return answer

    def _keep(self) -> None:
        if self._dirty:
            self._dirty = False
            self.writes.append(Write(self.writes[-1].number + 1, dict(self.data), dict(self.expiries)))

    @property
    def writing(self) -> int:
        """The number of the write that is under way."""
        return self.writes[-1].number + 1

    def _execute(self, args: list[bytes]) -> Any:
        command = getattr(self, f"_do_{args[0].decode().lower()}", None)
        if command is None:
            raise CommandError(f"ERR unknown command '{args[0].decode()}'")
        return command(*args[1:])

    @property
    def _clock(self) -> float:
        return self._loop.now + self.skew

    def _read(self, key: bytes) -> Any:
        expiry = self.expiries.get(key)
        if expiry is not None and expiry <= self._clock:
            self._drop(key)
            return None
        return self.data.get(key)

    def _write(self, key: bytes, value: Any) -> None:
        if self.replica:
            raise CommandError("READONLY You can't write against a read only replica.")
        self.data[key] = value
        self._dirty = True

    def _drop(self, key: bytes) -> int:
        if self.replica:
            return 0
        self.expiries.pop(key, None)
        if self.data.pop(key, None) is None:
            return 0
        self._dirty = True
        return 1

    # Pub/sub.

    def _subscribe(self, session: ServerSession, name: bytes, channels: list[bytes]) -> None:
        for channel in channels:
            if name.endswith(b"unsubscribe"):
                session.channels.pop(channel, None)
                self._channels.get(channel, {}).pop(session, None)
            else:
                session.channels[channel] = name.removesuffix(b"subscribe") + b"message"
                self._channels.setdefault(channel, {})[session] = None
            session.out += encode([name, channel, len(session.channels)])

    def _do_publish(self, channel: bytes, message: bytes) -> int:
        if self._script is not None:
            self.watch.published(self, channel, message, *self._script)
        subscribers = tuple(self._channels.get(channel, ()))
        for session in subscribers:
            times = self.copies.pop(0) if self.copies else 1
            for _ in range(times):
                session.tell(encode([session.channels[channel], channel, message]))
        return len(subscribers)

    _do_spublish = _do_publish

    # Keys.

    def _do_get(self, key: bytes) -> Any:
        return self._read(key)

    def _do_set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        flags = [option.upper() for option in options]
        if b"NX" in flags and self._read(key) is not None:
            return None
        if b"XX" in flags and self._read(key) is None:
            return None
        self._write(key, value)
        self.expiries.pop(key, None)
        for flag, unit in ((b"PX", 0.001), (b"EX", 1.0)):
            if flag in flags:
                self.expiries[key] = self._clock + int(options[flags.index(flag) + 1]) * unit
        if self._script is not None:
            self.watch.stored(self, key, value, *self._script)
        return Ok(b"OK")

    def _do_del(self, *keys: bytes) -> int:
        return sum(self._drop(key) for key in keys)

    _do_unlink = _do_del

    def _do_exists(self, *keys: bytes) -> int:
        return sum(self._read(key) is not None for key in keys)

    def _do_pexpire(self, key: bytes, milliseconds: bytes) -> int:
        if self._read(key) is None:
            return 0
        self.expiries[key] = self._clock + int(milliseconds) / 1000
        self._dirty = True
        return 1

    def _do_pttl(self, key: bytes) -> int:
        if self._read(key) is None:
            return -2
        expiry = self.expiries.get(key)
        return -1 if expiry is None else int((expiry - self._clock) * 1000)

    def _do_incrby(self, key: bytes, by: bytes) -> int:
        value = int(self._read(key) or 0) + int(by)
        self._write(key, b"%d" % value)
        return value

    # Hashes.

    def _do_hget(self, key: bytes, field: bytes) -> Any:
        return (self._read(key) or {}).get(field)

    def _do_hmget(self, key: bytes, *fields: bytes) -> list[Any]:
        found = self._read(key) or {}
        return [found.get(field) for field in fields]

    def _do_hgetall(self, key: bytes) -> list[bytes]:
        return [part for pair in (self._read(key) or {}).items() for part in pair]

    def _do_hset(self, key: bytes, *pairs: bytes) -> int:
        before = self._read(key) or {}
        changed = dict(zip(pairs[::2], pairs[1::2], strict=True))
        self._write(key, before | changed)
        return len(changed.keys() - before.keys())

    def _do_hsetnx(self, key: bytes, field: bytes, value: bytes) -> int:
        if field in (self._read(key) or {}):
            return 0
        return self._do_hset(key, field, value)

    def _do_hincrby(self, key: bytes, field: bytes, by: bytes) -> int:
        value = int(self._do_hget(key, field) or 0) + int(by)
        self._do_hset(key, field, b"%d" % value)
        return value

    def _do_hdel(self, key: bytes, *fields: bytes) -> int:
        before = self._read(key) or {}
        left = {name: value for name, value in before.items() if name not in fields}
        if len(left) < len(before):
            self._write(key, left) if left else self._drop(key)
        return len(before) - len(left)

    # Streams.

    def _do_xadd(self, key: bytes, *args: bytes) -> bytes:
        rest = list(args)
        trim: list[bytes] = []
        while rest[0].upper() in (b"MAXLEN", b"MINID", b"NOMKSTREAM", b"LIMIT") or rest[0] in (b"~", b"="):
            word = rest.pop(0)
            trim.append(word)
            if word.upper() in (b"MAXLEN", b"MINID", b"LIMIT"):
                while rest[0] in (b"~", b"="):
                    trim.append(rest.pop(0))
                trim.append(rest.pop(0))
        stream = self._read(key) or Stream()
        new = _entry_id(rest.pop(0), 0)
        if new <= stream.last:
            raise CommandError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        self._write(key, Stream((*stream.entries, (new, rest)), new))
        if trim:
            self._trim(key, trim)
        return b"%d-%d" % new

    def _do_xtrim(self, key: bytes, *args: bytes) -> int:
        return self._trim(key, list(args))

    def _trim(self, key: bytes, args: list[bytes]) -> int:
        stream = self._read(key)
        if stream is None:
            return 0
        entries = stream.entries
        if args[0].upper() == b"MAXLEN":
            drop = max(0, len(entries) - int(args[-1] if b"LIMIT" not in args else args[args.index(b"LIMIT") - 1]))
        else:
            least = _entry_id(args[-1], 0)
            drop = sum(1 for entry in entries if entry[0] < least)
        if b"~" in args:
            drop -= drop % _NODE
        if drop:
            self._write(key, Stream(entries[drop:], stream.last))
        return drop

    def _do_xlen(self, key: bytes) -> int:
        return len((self._read(key) or Stream()).entries)

    def _do_xrange(self, key: bytes, low: bytes, high: bytes, *options: bytes) -> list[Any]:
        found = self._between((self._read(key) or Stream()).entries, low, high)
        return found[: int(options[1])] if options else found

    def _do_xrevrange(self, key: bytes, high: bytes, low: bytes, *options: bytes) -> list[Any]:
        found = self._between((self._read(key) or Stream()).entries, low, high)[::-1]
        return found[: int(options[1])] if options else found

    def _between(self, entries: Any, low: bytes, high: bytes) -> list[Any]:
        after, before = low.startswith(b"("), high.startswith(b"(")
        least, most = _entry_id(low.lstrip(b"("), 0), _entry_id(high.lstrip(b"("), 1 << 63)
        return [
            [b"%d-%d" % entry, fields]
            for entry, fields in entries
            if (entry > least if after else entry >= least) and (entry < most if before else entry <= most)
        ]

    # Scripts and the server itself.

    def _do_eval(self, text: bytes, count: bytes, *rest: bytes) -> Any:
        sha = self._scripts.compile(text)
        self._loaded.add(sha)
        return self._do_evalsha(sha, count, *rest)

    def _do_evalsha(self, sha: bytes, count: bytes, *rest: bytes) -> Any:
        if sha not in self._loaded:
            raise CommandError("NOSCRIPT No matching script. Please use EVAL.")
        keys, args = list(rest[: int(count)]), list(rest[int(count) :])
        self._script = keys, args
        try:
            return self._scripts.run(sha, keys, args, self._execute)
        finally:
            self._script = None

    def _do_script(self, action: bytes, *args: bytes) -> Any:
        if action.upper() == b"EXISTS":
            return [int(sha in self._loaded) for sha in args]
        sha = self._scripts.compile(args[0])
        self._loaded.add(sha)
        return sha

    def _do_info(self, *_: bytes) -> bytes:
        role = b"slave" if self.replica else b"master"
        return (
            b"# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nrun_id:%s\r\n# Replication\r\nrole:%s\r\n"
            b"master_replid:%s\r\n" % (self.run_id.encode(), role, self.replid.encode())
        )

    def _do_hello(self, *_: bytes) -> list[Any]:
        role = b"replica" if self.replica else b"master"
        return [b"server", b"redis", b"version", b"7.0.0", b"proto", 2, b"mode", b"standalone", b"role", role]

    def _do_role(self) -> list[Any]:
        if self.replica:
            return [b"slave", b"10.0.0.2", 6379, b"connect", -1]
        return [b"master", self.writes[-1].number, []]

    def _do_time(self) -> list[bytes]:
        now = 1_764_000_000 + self._clock
        return [b"%d" % int(now), b"%d" % int(now % 1 * 1e6)]

    def _do_ping(self, *text: bytes) -> Any:
        return text[0] if text else Ok(b"PONG")

    def _do_select(self, _number: bytes) -> Any:
        return Ok(b"OK")

    _do_client = _do_select

    def run_queued(self, queued: list[list[bytes]]) -> list[Any]:
        """Execute a transaction."""
        answers: list[Any] = []
        for args in queued:
            try:
                answers.append(self._execute(args))
            except CommandError as error:
                answers.append(error)
        self._keep()
        return answers


class ServerSession:
    """One connection, as the server sees it."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self.channels: dict[bytes, bytes] = {}
        self.queued: list[list[bytes]] | None = None
        self.out = b""
        self.wire = wire
        self._server = server
        self._unread = b""
        self._answering = False

    def received(self, data: bytes) -> bytes:
        """Answer all commands in what arrived."""
        self._unread += data
        self._answering = True
        while (args := self._next()) is not None:
            try:
                answer = self._server.ask(self, args)
            except CommandError as error:
                answer = error
            if args[0].upper() not in (b"SUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"SUNSUBSCRIBE") or (
                isinstance(answer, CommandError)
            ):
                self.out += encode(answer)
        self._answering = False
        out, self.out = self.out, b""
        return out

    def tell(self, message: bytes) -> None:
        """Send a message of a channel."""
        if self._answering:
            self.out += message
        else:
            self.wire.push(message)

    def transact(self, name: bytes) -> Any:
        """MULTI, EXEC or DISCARD."""
        queued, self.queued = self.queued, [] if name == b"MULTI" else None
        if name == b"EXEC":
            return self._server.run_queued(queued or [])
        return Ok(b"OK")

    def closed(self) -> None:
        """The connection is gone."""
        self._server.forget(self)

    def _next(self) -> list[bytes] | None:
        """The next whole command: the array of bulk strings that every client sends."""
        data = self._unread
        end = data.find(b"\r\n")
        if end < 0:
            return None
        count, at, args = int(data[1:end]), end + 2, []
        for _ in range(count):
            end = data.find(b"\r\n", at)
            if end < 0:
                return None
            size = int(data[at + 1 : end])
            at = end + 2
            if len(data) < at + size + 2:
                return None
            args.append(data[at : at + size])
            at += size + 2
        self._unread = data[at:]
        return args


_ID = re.compile(rb"(\d+)(?:-(\d+))?")


def _entry_id(text: bytes, missing: int) -> tuple[int, int]:
    if text in (b"-", b"+"):
        return (0, 0) if text == b"-" else (1 << 63, 1 << 63)
    found = _ID.fullmatch(text)
    if found is None:
        raise CommandError("ERR Invalid stream ID specified as stream command argument")
    return int(found[1]), int(found[2]) if found[2] is not None else missing


def encode(value: Any) -> bytes:
    """A reply in RESP2."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, Ok):
        return b"+%s\r\n" % bytes(value)
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, CommandError):
        return b"-%s\r\n" % str(value).encode()
    return b"*%d\r\n" % len(value) + b"".join([encode(each) for each in value])
