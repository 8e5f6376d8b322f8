"""Found beats against reference beats."""

from __future__ import annotations

import numpy as np

WINDOW_S = 0.15  # ANSI/AAMI EC57


def match(reference: np.ndarray, found: np.ndarray, window: float) -> np.ndarray:
    """Pair beats that lie within a window, each at most once, the nearest first.

    Args:
        reference: positions, ascending, shape (n,).
        found: positions in the same unit, ascending, shape (m,).
        window: the largest distance, in that unit.

    Returns:
        int64, shape (pairs, 2): index into ``reference`` and into ``found``, ascending. What is left of the first was
        missed, what is left of the second is extra.

    References:
        ANSI/AAMI EC57: 150 ms.
    """
    first = np.searchsorted(found, reference - window)
    last = np.searchsorted(found, reference + window, side="right")
    near = [(one, other) for one in range(len(reference)) for other in range(first[one], last[one])]
    near.sort(key=lambda pair: abs(reference[pair[0]] - found[pair[1]]))
    free = np.ones(len(reference), bool), np.ones(len(found), bool)
    pairs = []
    for one, other in near:
        if free[0][one] and free[1][other]:
            free[0][one] = free[1][other] = False
            pairs.append((one, other))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)
