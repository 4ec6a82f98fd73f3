"""Cluster: several processes as one, tried with small parts instead of the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.started import ROOT, Command, Start, alive, pids_of

WAITS = "import time; print('here', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
FAILS = "import sys; print('disk full', flush=True); sys.exit(3)"
ENDS = "print('enough', flush=True)"
LEAVES_A_CHILD = (
    "import os, subprocess, sys, time;"
    "print('child', subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True);"
    "os.kill(os.getpid(), 9)"
)
SAYS_GOODBYE = (
    f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True))); {WAITS}"
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that runs a Cluster of the scripts in its arguments; `last:` before one makes it stop last."""
    path = tmp_path / "cluster.py"
    path.write_text(
        "import sys\n"
        "from launcher.cluster import Cluster, Part\n"
        "if __name__ == '__main__':\n"
        "    parts = [Part(f'part-{n}', (sys.executable, '-c', text.removeprefix('last:')), {'COLUMNS': '80'},\n"
        "                  stops_last=text.startswith('last:')) for n, text in enumerate(sys.argv[1:], 1)]\n"
        "    sys.exit(Cluster(parts).run())\n"
    )
    return path


@pytest.fixture
def run(start: Start, program: Path) -> Start:
    """Starts that program."""

    def begin(*scripts: str, **env: str) -> Command:
        return start("tests.launcher.run_file", program, *scripts, **env)

    return begin


def test_output_is_prefixed_with_its_part(run: Start) -> None:
    """Each line names the part that it comes from."""
    cluster = run(WAITS, WAITS)
    cluster.line(r"^part-1 +\| here$")
    cluster.line(r"^part-2 +\| here$")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_clean_stop(run: Start, signum: int) -> None:
    """Ctrl-C, `kill` and a closed terminal all end every part, with status 0."""
    cluster = run(WAITS, WAITS)
    cluster.line(r"part-1 +\| here")
    cluster.line(r"part-2 +\| here")
    cluster.signal(signum)
    assert cluster.wait() == 0, cluster.output
    assert not any(alive(pid) for pid in pids_of(cluster))
    assert "Traceback" not in cluster.output


def test_a_signal_during_the_start_leaves_nobody_behind(run: Start) -> None:
    """Ctrl-C while parts are starting stops those that have started."""
    cluster = run(*[WAITS] * 8)
    cluster.line(r"part-\d started")
    cluster.signal(signal.SIGINT)
    assert cluster.wait() == 0, cluster.output
    assert not any(alive(pid) for pid in pids_of(cluster))
    assert "Traceback" not in cluster.output


def test_a_failure_is_named_with_its_reason(run: Start) -> None:
    """A part that dies ends the cluster with status 1, and its name, status and last words are the last line."""
    cluster = run(WAITS, FAILS)
    assert cluster.wait() == 1
    assert cluster.lines[-1] == "coinwire: part-2 ended by itself (status 3); its last line: disk full"
    assert not any(alive(pid) for pid in pids_of(cluster))


def test_an_end_without_error_is_a_failure_too(run: Start) -> None:
    """A part that ends by itself with status 0 was still needed: the cluster's status is 1."""
    cluster = run(WAITS, ENDS)
    assert cluster.wait() == 1
    assert "part-2 ended by itself (status 0)" in cluster.lines[-1]


def test_the_last_part_outlives_the_others(run: Start) -> None:
    """The last part is stopped only when the others have ended."""
    cluster = run("last:" + SAYS_GOODBYE, SAYS_GOODBYE)
    cluster.line(r"part-1 +\| here")
    cluster.line(r"part-2 +\| here")
    cluster.signal(signal.SIGTERM)
    assert cluster.wait() == 0, cluster.output
    said = [line for line in cluster.lines if "bye" in line or "stopped" in line]
    assert [line.split("|")[1].strip() for line in said] == ["bye", "part-2 stopped", "bye", "part-1 stopped"]


def test_a_second_signal_kills_what_hangs(run: Start) -> None:
    """A second Ctrl-C does not wait for a part that ignores SIGTERM."""
    cluster = run(DEAF, DEAF)
    cluster.line(r"part-1 +\| here")
    cluster.line(r"part-2 +\| here")
    cluster.signal(signal.SIGINT)
    cluster.line("stopping")
    cluster.signal(signal.SIGINT)
    assert cluster.wait(10) == 0, cluster.output
    assert not any(alive(pid) for pid in pids_of(cluster))


@pytest.mark.slow
def test_a_part_that_hangs_is_killed(run: Start) -> None:
    """A part that ignores SIGTERM is killed after five seconds, and the others end as usual."""
    cluster = run(DEAF, SAYS_GOODBYE)
    cluster.line(r"part-1 +\| here")
    cluster.line(r"part-2 +\| here")
    cluster.signal(signal.SIGINT)
    assert cluster.wait() == 0, cluster.output
    assert [line.split("|")[1].strip() for line in cluster.lines[-4:]] == [
        *("bye", "part-2 stopped", "killing part-1", "part-1 stopped: killed by SIGKILL")
    ]


def test_what_a_killed_part_had_started_ends_with_it(run: Start) -> None:
    """A part that is killed ends the cluster, and a process that it had started does not stay behind."""
    cluster = run(WAITS, LEAVES_A_CHILD)
    child = int(cluster.line(r"child (\d+)")[1])
    assert cluster.wait() == 1
    assert "part-2 ended by itself (killed by SIGKILL)" in cluster.lines[-1]
    assert not alive(child)


def test_parts_start_in_their_order(run: Start) -> None:
    """Parts are started one after the other, as they are listed."""
    cluster = run(*[WAITS] * 4)
    cluster.line(r"part-4 started")
    started = [line.split("|")[1].split()[0] for line in cluster.lines if "started" in line]
    assert started == ["part-1", "part-2", "part-3", "part-4"]


def test_any_bytes_are_printed(run: Start) -> None:
    """Output that is no UTF-8, a line of a megabyte and a last line without an end are all printed."""
    cluster = run(f"import sys; sys.stdout.buffer.write(b'\\xff\\n' + b'x' * 1_000_000 + b'\\n' + b'end'); {ENDS}")
    assert cluster.wait() == 1
    said = [line.partition("part-1 | ")[2] for line in cluster.lines if line.startswith("part-1")]
    assert said[0] == "\ufffd"
    assert "".join(said[1:-1]) == "x" * 1_000_000
    assert said[-1] == "endenough"


def test_a_reader_that_has_enough_ends_it(program: Path) -> None:
    """Piped into `head`, the cluster stops when head does."""
    noisy = "import time\nwhile True: print('tick', flush=True); time.sleep(0.01)"
    command = [sys.executable, "-m", "tests.launcher.run_file", str(program), noisy]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as a shell has it
    with subprocess.Popen(command, cwd=ROOT, env=buffered, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        process.stdout.close()
        assert process.wait(20) == 0
    assert not alive(int(first[0].split("pid=")[1].rstrip(")\n")))


def test_colours_follow_the_environment(run: Start) -> None:
    """FORCE_COLOR colours the prefixes where the output is no terminal; NO_COLOR outweighs it."""
    run(WAITS, FORCE_COLOR="1", NO_COLOR="").line("\033\\[.*part-1")
    run(WAITS, FORCE_COLOR="1", NO_COLOR="1").line(r"^part-1 +\| here")
