"""The C library's memory allocator, set up for training."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
MOST_KEPT, TAKEN_AT_ONCE = 2**31 - 1, 2**26  # bytes


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what is asked for next; without glibc do nothing.

    A training step asks for the same hundreds of megabytes as the one before it. By default they are new pages each
    time, which the system has to find and clear: that took half of a step's time (``benchmarks/allocator.py``).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; another system; Windows
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
    mallopt(M_TOP_PAD, TAKEN_AT_ONCE)
