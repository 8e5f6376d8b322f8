"""Workers end with the process that started them, and do not talk of an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import joblib
import pytest

from heartzoo import interruption, workers
from heartzoo.progress import track
from heartzoo.workers import in_processes

WORK = """
import os, sys, time
import joblib
from heartzoo import interruption, workers
from heartzoo.workers import end_workers, in_processes

def work(number):
    if number:
        time.sleep(600)
    return os.getpid()

workers.START_S = -1.0
interruption.watch()
try:
    for pid in in_processes((joblib.delayed(work)(number) for number in range(4)), 2):
        print(pid, flush=True)
except KeyboardInterrupt:
    end_workers()
    print("interrupted", file=sys.stderr)
"""

FAILS = """
import sys, time
import joblib
import heartzoo.cli
from heartzoo import workers
from heartzoo.errors import UserError
from heartzoo.workers import in_processes

def work(number):
    time.sleep(0.2)
    return number

def app(**options):
    results = in_processes((joblib.delayed(work)(number) for number in range(20)), 2)
    held = [results]
    held.append(held)  # as a traceback may: only the collector lets it go
    try:
        for number in results:
            if number == 3:
                raise OSError(28, "No space left on device")
    except OSError as error:
        raise UserError("the disk is full", "free some space") from error

workers.START_S = -1.0
heartzoo.cli.app = app
heartzoo.cli.main()
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")  # of Linux alone; one that has ended may not have been fetched
    return not status.is_file() or "State:\tZ" not in status.read_text()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_and_in_silence(kill: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    assert worker != process.pid and alive(worker)
    if kill == signal.SIGINT:
        os.killpg(process.pid, kill)  # as a terminal does: workers get it, too
    else:
        process.send_signal(kill)
    told = process.communicate(timeout=60)[1]  # which ends when nobody holds the pipe any more
    if kill != signal.SIGKILL:  # after which loky tells what it has cleaned up
        assert told == "interrupted\n"
    until = time.monotonic() + 30
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(worker)


def test_a_command_that_fails_says_one_line_while_workers_are_busy() -> None:
    ended = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True, timeout=120)
    assert ended.stderr == "heartzoo: the disk is full; free some space\n"
    assert ended.returncode == 2


class Clock:
    """Tells these times, in seconds, one after the other."""

    def __init__(self, *times: float) -> None:
        self.times = iter(times)

    def monotonic(self) -> float:
        return next(self.times)


def test_one_process_is_this_one_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "START_S", -1.0)
    assert set(in_processes((joblib.delayed(os.getpid)() for _ in range(3)), 1)) == {os.getpid()}


def test_what_is_not_soon_done_goes_on_in_others_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "time", Clock(0.0, 0.1, 1.9, 2.1))
    results = list(in_processes((joblib.delayed(work)(number) for number in range(6)), 2))
    assert [number for number, _ in results] == list(range(6))
    assert results[0][1] == results[1][1] == os.getpid() not in {pid for _, pid in results[2:]}


def test_when_all_is_done_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "time", Clock(0.0, 0.1))  # nobody asks how long the only task took
    monkeypatch.setattr(joblib, "Parallel", None)
    assert list(in_processes([joblib.delayed(work)(0)], 2)) == [(0, os.getpid())]


def work(number: int) -> tuple[int, int]:
    return number, os.getpid()


def test_long_work_ends_at_its_next_step_where_an_interruption_was_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = track(range(3), 3, "work")
    assert next(steps) == 0
    monkeypatch.setattr(interruption, "_received", [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        next(steps)
