"""How much each tensor of a network loses by int8, to see where a bad model breaks."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from heartzoo.compression.fake_quantization import plain_outputs, quantized
from heartzoo.data.batches import Inputs


@dataclass(frozen=True)
class TensorQuantization:
    """What int8 does to one tensor.

    Attributes:
        layer: the layer whose output it is.
        low: lower end of its range.
        high: upper end.
        own_snr_db: its power over that of its own rounding, dB.
        snr_db: its power over that of all rounding up to it, of weights and of activations, dB.
    """

    layer: str
    low: float
    high: float
    own_snr_db: float
    snr_db: float


def quantization_report(model: keras.Model, calibration: Inputs, inputs: Inputs) -> list[TensorQuantization]:
    """Signal and noise of each tensor.

    Args:
        model: the float network.
        calibration: inputs that set the ranges.
        inputs: inputs to measure on, first axis the examples.

    Returns:
        One entry a tensor that TFLite keeps, in order.
    """
    rewritten = quantized(model, calibration)
    names, exact = plain_outputs(model, inputs)
    ends = [rewritten.get_layer(f"{name}_int8") for name in names]
    found = keras.Model(rewritten.inputs, [layer.output for layer in ends]).predict(inputs, verbose=0)
    return [
        TensorQuantization(name, end.low, end.high, _snr_db(x, np.asarray(end(x))), _snr_db(x, y))
        for name, end, x, y in zip(names, ends, exact, found, strict=True)
    ]


def _snr_db(exact: np.ndarray, rounded: np.ndarray) -> float:
    noise = float(np.square(rounded - exact).mean())
    power = float(np.square(exact).mean())
    return float(10 * np.log10(max(power, 1e-30) / max(noise, 1e-30)))
