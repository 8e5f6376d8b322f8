"""Running a .tflite model: TFLite Micro or LiteRT, one process or several. TensorFlow is not needed.

A published figure comes from TFLite Micro, which is what the microcontroller runs, or from LiteRT's reference
kernels, which rarely differ from it by one step (MEAN rounds otherwise); XNNPACK is fast and differs by several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import joblib
import numpy as np

from heartzoo.errors import UserError
from heartzoo.flatbuffer import ModelFacts, TensorFacts, inspect, require_integer
from heartzoo.interpreters import RUNTIMES, arena_bytes, default_runtime, invoker
from heartzoo.progress import track
from heartzoo.workers import in_processes

if TYPE_CHECKING:
    from heartzoo.config.export import Runtime

__all__ = ["RUNTIMES", "TfliteModel", "arena_bytes", "default_runtime", "predict_chunks", "predict_parallel"]

Chunk = tuple[np.ndarray, np.ndarray | None]
CHUNK = 512  # examples; one takes 1 to 5 ms


class TfliteModel:
    """An int8 or 16x8 .tflite model, ready to run.

    Inputs are known by their rank, whatever order the file has them in: ``signal`` is ``(1, 1, samples, 1)``,
    ``rr`` is ``(1, features)``.

    Args:
        content: the bytes of the file.
        runtime: ``tflm``, ``reference`` or ``xnnpack``; by default :func:`default_runtime`.

    Attributes:
        facts: what :func:`heartzoo.flatbuffer.inspect` read from the file.

    Raises:
        UserError: not a .tflite model, not integer, other inputs, an operator the runtime lacks, or a runtime that is
            unknown or not installed.
    """

    def __init__(self, content: bytes, runtime: Runtime | None = None) -> None:
        self.facts: ModelFacts = inspect(content)
        require_integer(self.facts)
        self._classes = self.facts.logits.shape[1]
        self._signal_index = self.facts.signal_index
        self._invoke = invoker(content, runtime or default_runtime())

    def quantize(self, role: Literal["signal", "rr"], x: np.ndarray) -> np.ndarray:
        """Quantize an input: ``clip(round(x / scale) + zero_point, -128, 127)``, in float32, halves to even.

        A 16x8 model's inputs reach from -32768 to 32767.

        Args:
            role: the input.
            x: preprocessed values, any shape.

        Returns:
            int8 (int16) array of the same shape.

        Raises:
            UserError: NaN or infinite values, or the model has no such input.
        """
        tensor = self._input(role)
        values = np.asarray(x, np.float32)
        if not np.isfinite(values).all():
            raise UserError(
                f"expected finite {role} values, found NaN or infinity", "leave out the frames that hold it"
            )
        with np.errstate(over="ignore"):  # infinity is clipped like any other large value
            steps = np.rint(values / np.float32(tensor.scale)) + tensor.zero_point
        ends = np.iinfo(tensor.dtype)
        quantized: np.ndarray = np.clip(steps, ends.min, ends.max).astype(tensor.dtype)
        return quantized

    def run_quantized(self, signal: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        """Run the network on quantized inputs, one example after the other.

        Args:
            signal: int8 (int16), ``(n, samples)`` or ``(n, 1, samples, 1)``.
            rr: int8 (int16), ``(n, features)``; for a network with an R-R input only.

        Returns:
            int8 (int16) logits, ``(n, classes)``.

        Raises:
            UserError: a wrong shape, or ``rr`` missing or not taken.
        """
        if rr is None and self.facts.rr is not None:
            expected = f"expected rr of shape (n, {self.facts.rr.shape[1]}), found none"
            raise UserError(expected, "pass the features of the beats")
        signal, rr = self._batch("signal", signal), None if rr is None else self._batch("rr", rr)
        if rr is not None and len(rr) != len(signal):
            raise UserError(
                f"expected as many rr rows as frames, found {len(rr)} rows for {len(signal)} frames",
                "pass one row of features per frame",
            )
        logits = np.empty((len(signal), self._classes), self.facts.logits.dtype)
        for row, frame in enumerate(signal):
            inputs = [frame] if rr is None else [rr[row], rr[row]]
            inputs[self._signal_index] = frame
            logits[row] = self._invoke(inputs)
        return logits

    def predict(self, signal: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        """Run the network on preprocessed inputs.

        Args:
            signal: float frames, preprocessed as the model's configuration says, ``(n, samples)`` or
                ``(n, 1, samples, 1)``.
            rr: float R-R features, ``(n, features)``; for a network with an R-R input only.

        Returns:
            float32 logits, ``(n, classes)``.

        Raises:
            UserError: NaN or infinite values, a wrong shape, or ``rr`` missing or not taken.
        """
        steps = self.run_quantized(self.quantize("signal", signal), None if rr is None else self.quantize("rr", rr))
        output = self.facts.logits
        return (steps.astype(np.float32) - output.zero_point) * np.float32(output.scale)

    def _input(self, role: str) -> TensorFacts:
        tensor: TensorFacts | None = getattr(self.facts, role)
        if tensor is None:
            raise UserError("this model has no R-R input, but rr was given", "leave rr out")
        return tensor

    def _batch(self, role: str, x: np.ndarray) -> np.ndarray:
        """Bring a batch into ``(n, *the input's shape)``."""
        shape = self._input(role).shape
        width = max(shape)
        if x.ndim < 2 or x.shape[1:] not in ((width,), shape[1:]):
            raise UserError(f"expected {role} of shape (n, {width}), found {x.shape}", "check length and batch axis")
        return x.reshape(len(x), *shape)


def predict_parallel(
    content: bytes,
    signal: np.ndarray,
    rr: np.ndarray | None = None,
    runtime: Runtime | None = None,
    jobs: int | None = None,
    progress_description: str | None = None,
) -> np.ndarray:
    """Like :meth:`TfliteModel.predict`, over several processes; the result is the same bit for bit.

    Args:
        content: the bytes of the .tflite file.
        signal: as for :meth:`TfliteModel.predict`.
        rr: as for :meth:`TfliteModel.predict`.
        runtime: by default :func:`default_runtime`.
        jobs: processes; by default one per core.
        progress_description: text beside a progress bar; None shows none.
    """
    if not len(signal) or (rr is not None and len(rr) != len(signal)):
        return TfliteModel(content, runtime).predict(signal, rr)
    starts = range(0, len(signal), CHUNK)
    chunks = ((signal[i : i + CHUNK], None if rr is None else rr[i : i + CHUNK]) for i in starts)
    return np.concatenate(list(predict_chunks(content, chunks, len(starts), runtime, jobs, progress_description)))


def predict_chunks(
    content: bytes,
    chunks: Iterable[Chunk],
    total: int,
    runtime: Runtime | None = None,
    jobs: int | None = None,
    progress_description: str | None = None,
) -> Iterator[np.ndarray]:
    """Predict chunk after chunk over several processes; at most two chunks per process are in memory at a time.

    Args:
        content: the bytes of the .tflite file.
        chunks: pairs of preprocessed ``signal`` and ``rr`` (or None), read as they are needed.
        total: number of chunks.
        runtime: by default :func:`default_runtime`.
        jobs: processes; by default one per core.
        progress_description: text beside a progress bar; None shows none.

    Yields:
        float32 logits of each chunk, in order.

    Raises:
        UserError: as :class:`TfliteModel` and its ``predict``.
    """
    _model(content, runtime)  # a bad file fails here, before any process starts
    workers = max(1, min(jobs or joblib.cpu_count(), total))
    tasks = (joblib.delayed(_predict_chunk)(content, runtime, chunk) for chunk in chunks)
    results = in_processes(tasks, workers)
    yield from track(results, total, progress_description) if progress_description else results


@lru_cache(maxsize=2)
def _model(content: bytes, runtime: Runtime | None) -> TfliteModel:
    return TfliteModel(content, runtime)


def _predict_chunk(content: bytes, runtime: Runtime | None, chunk: Chunk) -> np.ndarray:
    return _model(content, runtime).predict(*chunk)
