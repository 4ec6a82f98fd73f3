"""`python -m launcher.redis --port N --folder F`: runs a redis-server and restarts it whenever it dies.

Stands in for what a supervisor does in production, so that a Redis killed under the demo comes back on its port.
With `--prefix P`, the server has the deployment's users, for keys that begin with P; the environment has their
passwords (`launcher.users`). Without it, there is one password for all, in REDIS_PASSWORD.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from launcher.redis_server import OLDEST, RedisServer, RedisServerError
from launcher.users import LOGINS, OLDEST_WITH_USERS, Users, variable

_FIRST_PAUSE = 0.5  # s before a restart: long enough for clients to notice, short enough for a person who watches
_LONGEST_PAUSE = 5.0  # s between failed attempts

PASSWORD = "REDIS_PASSWORD"  # noqa: S105 - the variable's name
"""The environment variable with the password. Other users can list command lines, but not read an environment."""


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 2 if the server can't be started at all."""
    parser = argparse.ArgumentParser(prog="launcher.redis", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prefix", help="REDIS_PREFIX of the users; without it, there is one user for all")
    options = parser.parse_args()
    password = os.environ.get(PASSWORD)
    users = Users.of_environment(options.prefix, os.environ) if options.prefix else None
    if options.prefix and users is None:
        parser.error(f"not all of {', '.join(map(variable, LOGINS))} are set: the passwords of the server's users")
    if not options.prefix and not password:
        parser.error(f"{PASSWORD} is not set: the server's password")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    oldest = OLDEST_WITH_USERS if users else OLDEST
    server = RedisServer(options.folder, options.port, password, oldest=oldest, users=users)
    try:
        try:
            server.start()
        except RedisServerError as error:
            print(f"coinwire: {error}", file=sys.stderr)
            return 2
        _say(f"redis-server listens on {server.address}")
        while True:
            _keep(server)
    finally:
        server.stop()


def _keep(server: RedisServer) -> None:
    """Return once the server has died and is back."""
    if server.process is None:
        raise RedisServerError("redis-server was never started")
    status = server.process.wait()
    died_at, pause = time.monotonic(), _FIRST_PAUSE
    _say(f"redis-server died ({exit_reason(status)}): starting it again on port {server.port}")
    reported = False
    while True:
        time.sleep(pause)
        try:
            server.start()
        except RedisServerError as error:
            if not reported:
                _say(f"redis-server does not start yet: {error}")
            reported, pause = True, min(2 * pause, _LONGEST_PAUSE)
        else:
            _say(f"redis-server back after {time.monotonic() - died_at:.1f} s")
            return


def exit_reason(status: int) -> str:
    """An exit status in words: `status 1`, `killed by SIGKILL`."""
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def _leave(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # already stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
