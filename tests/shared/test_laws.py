"""Laws of docs/architecture.md that a program can check."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.places import ROOT

# Run in a process of its own: imports every module of a package and prints what that did to the world.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
package, done, names = sys.argv[1], [], []
WATCHED = ("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork",
           "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "_thread.start_new_thread")
def hook(event, args):
    if event in WATCHED:
        done.append(event)
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        done.append(f"{event} {args[0]} {args[1]}")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
for module in [package, *(m.name for m in pkgutil.walk_packages([package], package + "."))]:
    importlib.import_module(module)
    names.append(module)
import asyncio, threading
print(json.dumps({"names": names, "done": done, "threads": threading.active_count(),
                  "loop": asyncio.get_event_loop_policy()._local._loop is not None}))
"""


@pytest.mark.parametrize("package", ["shared", "gateway", "workers", "simulator", "launcher"])
def test_import_does_nothing(package: str) -> None:
    """Importing every module of a package opens no socket, writes no file, starts no process, thread or event loop, and
    reads no settings: these would be refused."""
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package],
        cwd=ROOT,
        env={"PORT": "not a port", "REDIS_URL": "nonsense", "LEASE_SECONDS": "-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    # Migrations are no modules: Alembic runs them.
    modules = {path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts}
    assert len(found["names"]) == len(modules)
    assert (found["done"], found["threads"], found["loop"]) == ([], 1, False)
