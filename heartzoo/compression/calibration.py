"""From the values that a tensor takes on calibration examples to the range that int8 gives it.

References:
    Wu et al. 2020, Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation
    (arXiv:2004.09602): ends at percentiles.
    Choukroun et al. 2019, Low-bit Quantization of Neural Networks for Efficient Inference (arXiv:1902.06822): ends with
    the least squared error.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from heartzoo.config.export import CalibrationMethod

METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
_BEYOND = 0.01  # percent of the values that each end of a percentile range leaves out
_SHARES = np.linspace(0.3, 1.0, 36)  # of the whole range that the least squared error is looked for among
_VALUES = 100_000  # that it is computed from


def activation_range(values: np.ndarray, method: CalibrationMethod = "minmax") -> tuple[float, float]:
    """The range of a tensor; zero is in it, as int8 needs a step for it.

    Args:
        values: what it was on the calibration examples, any shape.
        method: ``"minmax"``: all of it; ``"percentile"``: without the 0.01 % beyond either end; ``"mse"``: the share of
            the whole range, from 0.3 on, that loses least by rounding and clipping together.

    Returns:
        Lower and upper end, at most and at least 0.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if method == "percentile":
        ends = np.percentile(values, (_BEYOND, 100 - _BEYOND))
        return min(0.0, float(ends[0])), max(0.0, float(ends[1]))
    if method == "mse":
        some = values.ravel()
        if some.size > _VALUES:
            some = np.random.default_rng(0).choice(some, _VALUES, replace=False)
        some = some.astype(np.float64)
        share = min(_SHARES[::-1], key=lambda share: _squared_error(some, share * low, share * high))
        return float(share * low), float(share * high)
    return low, high


def _squared_error(values: np.ndarray, low: float, high: float) -> float:
    step = max((high - low) / 255, 1e-30)
    zero = round(-low / step)
    rounded = (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step
    return float(np.square(rounded - values).sum())
