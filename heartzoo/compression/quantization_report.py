"""How much each tensor of a network loses by int8, to see where a bad model breaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from heartzoo.checkpoints import float_network, load_model
from heartzoo.compression.calibration import METHODS
from heartzoo.compression.fake_quantization import plain_outputs, quantized, refuse_recurrent
from heartzoo.compression.quantization import to_tflite
from heartzoo.config.export import Activations, CalibrationMethod
from heartzoo.data.batches import Inputs
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.runs import check_examples, read_run
from heartzoo.runtime import predict_parallel
from heartzoo.training import Validation

# Name, calibration method and activations of the files that are compared.
WAYS: tuple[tuple[str, CalibrationMethod, Activations], ...] = (
    *((method, method, "int8") for method in METHODS),
    ("16x8", "minmax", "int16"),
)


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


@dataclass(frozen=True)
class FileResult:
    """What the file of a network loses that was converted in one way.

    Attributes:
        way: ``export.calibration_method``, or ``16x8``; ``float`` for the network itself.
        snr_db: power of the logits on the calibration examples over that of all rounding, dB; None in float, and where
            there is no such file.
        figure: the task's headline on the validation examples; None where the run has none.
        refusal: why there is no such file.
    """

    way: str
    snr_db: float | None
    figure: float | None
    refusal: str = ""


def report_of(run: Path, seed: int | None = None) -> tuple[list[TensorQuantization], list[FileResult]]:
    """What int8 does to a trained network, measured without any test patient.

    Args:
        run: a finished run.
        seed: one of its seeds; default the first.

    Returns:
        What each tensor loses by int8, on the calibration examples and by the configuration's way of setting ranges;
        and what files converted in each way lose, the float network first.

    Raises:
        UserError: no finished run, no such seed, or a recurrent network.
    """
    config = read_run(run)
    chosen = config.seeds[0] if seed is None else seed
    if chosen not in config.seeds:
        raise UserError(f"{run} has no seed {chosen}", f"take one of {config.seeds}")
    model = load_model(float_network(run / f"seed-{chosen}", config))
    refuse_recurrent(model)
    data = load_training_set(config)
    check_examples(run, data)
    calibration = data.inputs(data.calibration())
    tensors = quantization_report(model, calibration, calibration, config.export.calibration_method)
    validation = None if config.training.fold is None else Validation(data)
    logits = model.predict(calibration, verbose=0)
    results = [FileResult("float", None, validation(model)["val_macro_f1"] if validation else None)]
    for way, method, activations in WAYS:
        try:
            content = to_tflite(model, calibration, method, activations)
            snr = _snr_db(logits, _run(content, calibration))
        except UserError as error:
            results.append(FileResult(way, None, None, error.problem))
            continue
        figure = validation.score(_run(content, validation.inputs))["val_macro_f1"] if validation else None
        results.append(FileResult(way, snr, figure))
    return tensors, results


def _run(content: bytes, inputs: Inputs) -> np.ndarray:
    return predict_parallel(content, inputs["signal"], inputs.get("rr"))


def quantization_report(
    model: keras.Model, calibration: Inputs, inputs: Inputs, method: CalibrationMethod = "minmax"
) -> list[TensorQuantization]:
    """Signal and noise of each tensor.

    Args:
        model: the float network.
        calibration: inputs that set the ranges.
        inputs: inputs to measure on, first axis the examples.
        method: how the ranges are set.

    Returns:
        One entry a tensor that TFLite keeps, in order.
    """
    rewritten = quantized(model, calibration, method)
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
