"""Training batches: drawn by class and patient, augmented, normalised. NumPy only, so any Keras backend can use them.

Every draw depends on (seed, epoch, step) alone: a resumed training sees the batches that the undisturbed one would
have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import signal as dsp

from heartzoo.config import AugmentationConfig, InputConfig, SamplingConfig
from heartzoo.data.signal import standardise
from heartzoo.data.store import Store

Inputs = dict[str, np.ndarray]


def draw_probabilities(labels: np.ndarray, patients: np.ndarray, classes: int, sampling: SamplingConfig) -> np.ndarray:
    """Probability of each example in a batch's draw.

    Args:
        labels: class of each example, shape (n,).
        patients: patient of each example, shape (n,).
        classes: number of classes.
        sampling: the rule.

    Returns:
        float64, shape (n,), sum 1.
    """
    shares = np.array(sampling.shares or [1.0] * classes)
    person = np.unique(patients, return_inverse=True)[1]
    counts = np.zeros((person.max() + 1, classes))
    np.add.at(counts, (person, labels), 1)
    present = counts > 0
    if sampling.by == "example":
        weights = np.ones(len(labels))
    elif sampling.by == "class":
        # class by share, then one of its patients, then one of that patient's beats of the class
        cell = shares / np.maximum(present.sum(axis=0), 1) * present
        weights = (cell / np.maximum(counts, 1))[person, labels]
    else:
        # patient, then a class by share among those the patient has, then a beat
        cell = present * shares
        cell = cell / cell.sum(axis=1, keepdims=True)
        weights = (cell / np.maximum(counts, 1))[person, labels]
    return weights / weights.sum()


def model_inputs(frames: np.ndarray, rr: np.ndarray, contract: InputConfig) -> Inputs:
    """Raw frames and R-R features -> what the network takes.

    Args:
        frames: shape (n, frame), in mV.
        rr: shape (n, features).
        contract: gives the z-score's epsilon.

    Returns:
        ``signal`` of shape (n, 1, frame, 1), and ``rr`` where the contract has R-R features; float32.
    """
    inputs = {"signal": standardise(frames, contract.epsilon)[:, None, :, None]}
    if contract.rr_features:
        inputs["rr"] = np.asarray(rr, np.float32)
    return inputs


def input_chunks(store: Store, rows: np.ndarray, contract: InputConfig, size: int = 1024) -> Iterator[Inputs]:
    """The inputs of some examples, in pieces of at most ``size``, without their margin."""
    for start in range(0, len(rows), size):
        piece = rows[start : start + size]
        frames = store.frames(piece)
        yield model_inputs(frames[:, store.margin : store.margin + contract.frame], store.rr[piece], contract)


@dataclass(frozen=True)
class TrainingBatches:
    """Random batches of a training set.

    Attributes:
        stores: the training splits' stores.
        rows: for each store, the rows that train.
        labels: class of each example, the stores' rows one after the other, shape (n,).
        probabilities: of each example, shape (n,).
        classes: number of classes.
        contract: the preprocessing contract.
        augmentation: random changes.
        noise: for ``nstdb_snr_db``, real noise at the model's sampling rate, one array a recording, in mV.
        batch_size: examples in a batch.
        seed: seed of all draws.
    """

    stores: tuple[Store, ...]
    rows: tuple[np.ndarray, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    classes: int
    contract: InputConfig
    augmentation: AugmentationConfig
    noise: tuple[np.ndarray, ...]
    batch_size: int
    seed: int

    @cached_property
    def _cumulative(self) -> np.ndarray:
        return np.cumsum(self.probabilities)

    @cached_property
    def _offsets(self) -> np.ndarray:
        return np.cumsum([0, *map(len, self.rows)])

    def batch(self, epoch: int, step: int) -> tuple[Inputs, np.ndarray]:
        """The batch of an epoch's step: inputs, and one-hot labels of shape (batch, classes), float32."""
        rng = np.random.default_rng([self.seed, epoch, step])
        chosen = np.searchsorted(self._cumulative, rng.random(self.batch_size) * self._cumulative[-1], side="right")
        frames, rr = self._read(chosen)
        frames = augment(frames, self.contract, self.augmentation, self.noise, rng)
        return model_inputs(frames, rr, self.contract), np.eye(self.classes, dtype=np.float32)[self.labels[chosen]]

    def _read(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offsets = self._offsets
        frames = np.empty((len(chosen), self.contract.frame + 2 * self.stores[0].margin), np.float32)
        rr = np.empty((len(chosen), len(self.contract.rr_features)), np.float32)
        for store, rows, low, high in zip(self.stores, self.rows, offsets[:-1], offsets[1:], strict=True):
            mine = (chosen >= low) & (chosen < high)
            indices = rows[chosen[mine] - low]
            frames[mine], rr[mine] = store.frames(indices), store.rr[indices]
        return frames, rr


def augment(
    frames: np.ndarray,
    contract: InputConfig,
    augmentation: AugmentationConfig,
    noise: tuple[np.ndarray, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    """Change frames at random and cut them to the model's length.

    Args:
        frames: shape (n, frame + 2 * margin), in mV; the margin is what ``shift_s`` needs.
        contract: gives the sampling rate and the frame length.
        augmentation: what to do.
        noise: real noise recordings, in mV at the model's sampling rate.
        rng: the source of chance.

    Returns:
        float32, shape (n, frame).
    """
    a, n, length = augmentation, len(frames), contract.frame
    margin = (frames.shape[1] - length) // 2
    shifts = rng.integers(-margin, margin + 1, n)
    frames = frames[np.arange(n)[:, None], margin + shifts[:, None] + np.arange(length)]
    if a.amplitude:
        frames = frames * rng.uniform(1 - a.amplitude, 1 + a.amplitude, (n, 1))
    if a.wander_mv:
        frames = frames + _wander(n, length, contract.fs, a.wander_mv, rng)
    if a.muscle_mv:
        frames = frames + _muscle(n, length, contract.fs, a.muscle_mv, rng)
    if a.white_mv:
        frames = frames + rng.uniform(0, a.white_mv, (n, 1)) * rng.standard_normal((n, length))
    if a.nstdb_snr_db is not None:
        frames = _add_recorded_noise(frames, noise, a.nstdb_snr_db, a.nstdb_share, rng)
    return frames.astype(np.float32)


def _wander(n: int, length: int, fs: float, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(length) / fs
    frequency, phase = rng.uniform(0.05, 0.7, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    return rng.uniform(0, amplitude, (n, 1)) * np.sin(2 * np.pi * frequency * time + phase)


def _muscle(n: int, length: int, fs: float, rms: float, rng: np.random.Generator) -> np.ndarray:
    sos = dsp.butter(2, 10.0, "highpass", fs=fs, output="sos")
    noise = dsp.sosfilt(sos, rng.standard_normal((n, length)), axis=1)
    return rng.uniform(0, rms, (n, 1)) * noise / noise.std(axis=1, keepdims=True)


def _add_recorded_noise(
    frames: np.ndarray,
    noise: tuple[np.ndarray, ...],
    snr_db: tuple[float, float],
    share: float,
    rng: np.random.Generator,
) -> np.ndarray:
    n, length = frames.shape
    source = rng.integers(0, len(noise), (n,))
    room = np.array([len(recording) - length for recording in noise])
    start = (rng.random(n) * room[source]).astype(int)
    stretch = np.stack([noise[s][b : b + length] for s, b in zip(source, start, strict=True)])
    stretch = stretch - stretch.mean(axis=1, keepdims=True)
    ratio = 10 ** (-rng.uniform(*snr_db, (n, 1)) / 20)
    scale = ratio * frames.std(axis=1, keepdims=True) / np.maximum(stretch.std(axis=1, keepdims=True), 1e-6)
    return frames + np.where(rng.random((n, 1)) < share, scale, 0.0) * stretch
