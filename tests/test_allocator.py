"""Memory that a training step frees is there for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUNDS, PAGES = 20, 10_000  # 40 MB: more than glibc ever keeps by itself
SCRIPT = f"""
import resource
from heartzoo.allocator import keep_freed_memory

keep_freed_memory()
size = {PAGES} * resource.getpagesize()
bytearray(size)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    bytearray(size)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is of glibc")
def test_what_was_freed_is_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < ROUNDS * PAGES / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    from heartzoo.allocator import keep_freed_memory

    keep_freed_memory()
