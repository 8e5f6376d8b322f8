"""Training batches: drawn by class and patient, augmented, normalised. NumPy only, so any Keras backend can use them.

Every draw depends on (seed, epoch, step) alone: a resumed training sees the batches that the undisturbed one would
have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from heartzoo.config import InputConfig
from heartzoo.config.training import AugmentationConfig, SamplingConfig
from heartzoo.data.augmentation import Noise, augment, augment_features
from heartzoo.data.signal import normalise
from heartzoo.data.store import Store

Inputs = dict[str, np.ndarray]
# Examples changed at a time: few enough that an array of them is memory used before, not new pages from the system,
# which cost more than the arithmetic while a training step runs beside.
BLOCK = 64


def draw_probabilities(
    labels: np.ndarray,
    patients: np.ndarray,
    classes: int,
    sampling: SamplingConfig,
    irregular: np.ndarray | None = None,
) -> np.ndarray:
    """Probability of each example in a batch's draw.

    Args:
        labels: class of each example, shape (n,).
        patients: patient of each example, shape (n,).
        classes: number of classes.
        sampling: the rule.
        irregular: which examples lie in an irregular rhythm, boolean, shape (n,); needed for ``sampling.irregular``.

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
    elif sampling.by == "class-example":
        weights = (shares / np.maximum(counts.sum(axis=0), 1))[labels]
    elif sampling.by == "class":
        # class by share, then one of its patients, then one of that patient's beats of the class
        patients_drawn = present * counts ** (1 - sampling.evenness)
        cell = shares * patients_drawn / np.maximum(patients_drawn.sum(axis=0), 1e-9)
        weights = (cell / np.maximum(counts, 1))[person, labels]
    else:
        # patient, then a class by share among those the patient has, then a beat
        cell = present * shares
        cell = cell / cell.sum(axis=1, keepdims=True)
        weights = (cell / np.maximum(counts, 1))[person, labels]
    first = labels == 0
    if irregular is not None and first.any():  # the first class keeps its share
        total = weights[first].sum()
        weights = np.where(first & irregular, sampling.irregular, 1.0) * weights
        weights[first] *= total / weights[first].sum()
    return weights / weights.sum()


def model_inputs(frames: np.ndarray, rr: np.ndarray, contract: InputConfig) -> Inputs:
    """Raw frames and R-R features -> what the network takes.

    Args:
        frames: shape (n, frame), as cut.
        rr: shape (n, features).
        contract: says how to normalise.

    Returns:
        ``signal`` of shape (n, 1, frame, 1), and ``rr`` where the contract has R-R or template features; float32.
    """
    inputs = {"signal": normalise(frames, contract)[:, None, :, None]}
    if contract.beat_features:
        inputs["rr"] = np.asarray(rr, np.float32)
    return inputs


def input_chunks(store: Store, rows: np.ndarray, contract: InputConfig, size: int = 1024) -> Iterator[Inputs]:
    """The inputs of some examples, in pieces of at most ``size``, without their margin."""
    for start in range(0, len(rows), size):
        piece = rows[start : start + size]
        frames = store.frames(piece)
        yield model_inputs(frames[:, store.margin : store.margin + contract.frame], store.features(piece), contract)


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
        noise: where augmentation cuts noise from.
        batch_size: examples in a batch.
        seed: seed of all draws.
        beside: arrays of further inputs by name, first axis the examples, such as what a teacher said of them.
    """

    stores: tuple[Store, ...]
    rows: tuple[np.ndarray, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    classes: int
    contract: InputConfig
    augmentation: AugmentationConfig
    noise: Noise
    batch_size: int
    seed: int
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def class_shares(self) -> np.ndarray:
        """Share of each class among the examples drawn, shape (classes,)."""
        return np.bincount(self.labels, weights=self.probabilities, minlength=self.classes)

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
        pieces = (slice(first, first + BLOCK) for first in range(0, len(chosen), BLOCK))
        blocks = [self._inputs(frames[piece], rr[piece], rng) for piece in pieces]
        inputs = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        inputs |= {name: values[chosen] for name, values in self.beside.items()}
        return inputs, np.eye(self.classes, dtype=np.float32)[self.labels[chosen]]

    def _inputs(self, frames: np.ndarray, rr: np.ndarray, rng: np.random.Generator) -> Inputs:
        frames = augment(frames, self.contract, self.augmentation, self.noise, rng)
        return model_inputs(frames, augment_features(rr, self.augmentation, self.noise, rng), self.contract)

    def _read(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offsets = self._offsets
        frames = np.empty((len(chosen), self.contract.frame + 2 * self.stores[0].margin), np.float32)
        rr = np.empty((len(chosen), len(self.contract.features)), np.float32)
        for store, rows, low, high in zip(self.stores, self.rows, offsets[:-1], offsets[1:], strict=True):
            mine = (chosen >= low) & (chosen < high)
            indices = rows[chosen[mine] - low]
            frames[mine], rr[mine] = store.frames(indices), store.features(indices)
        return frames, rr
