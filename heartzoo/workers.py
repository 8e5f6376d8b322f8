"""Work over several processes, which end with the one that started them, however it ends."""

from __future__ import annotations

import multiprocessing.resource_tracker
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import joblib
from joblib.externals import loky

CHECK_S = 2.0
START_S = 2.0  # about what it takes to start processes


def in_processes(tasks: Iterable[Any], jobs: int, pre_dispatch: int | None = None) -> Iterator[Any]:
    """The results of joblib's delayed calls, in order, as they come.

    What is done within two seconds is done in this process: others would not have started yet.

    Args:
        tasks: the calls, taken as they are needed.
        jobs: processes; with one it all happens in this.
        pre_dispatch: how many calls are taken before the first has ended; default two for each process.
    """
    tasks, until = iter(tasks), time.monotonic() + START_S
    for task in tasks:
        if jobs > 1 and time.monotonic() > until:
            break
        function, arguments, options = task
        yield function(*arguments, **options)
    else:
        return
    # What joblib has to say where results are no longer wanted, as after an interruption.
    unused = r"\d+ tasks (which were still being processed by the workers have been cancelled|have been successfully)"
    warnings.filterwarnings("ignore", unused)
    # loky's workers start clean, so they are safe beside TensorFlow's threads. max_nbytes=None sends arrays through the
    # pipe instead of files in /dev/shm. The settings are always the same, or joblib would start new workers.
    parallel = joblib.Parallel(
        jobs,
        backend="loky",
        return_as="generator",
        batch_size=1,
        pre_dispatch=pre_dispatch or 2 * jobs,
        max_nbytes=None,
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    with _signals_of_workers():
        results = parallel(chain([task], tasks))  # starts the workers
    yield from results


def end_workers() -> None:
    """End idle and busy workers now; without any nothing."""
    executor = loky.reusable_executor._executor
    if executor is not None:
        executor.shutdown(wait=False, kill_workers=True)


@contextmanager
def _signals_of_workers() -> Iterator[None]:
    """Ctrl-C in a terminal reaches workers too, whom it must not interrupt: the mask that they start with stays."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    for tracker in (multiprocessing.resource_tracker, loky.backend.resource_tracker):
        tracker.ensure_running()  # whose start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """In a worker: end it once its parent is gone, for which one that waits for work does not look."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
