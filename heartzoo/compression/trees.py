"""Gradient-boosted trees as teachers: they draw other borders between the classes than a network does.

References:
    Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine (Annals of Statistics 29).
    Ke et al. 2017, LightGBM (NeurIPS), whose binned trees scikit-learn's HistGradientBoostingClassifier follows.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from heartzoo.config.compression import TreesConfig
from heartzoo.data.store import code
from heartzoo.data.training_set import TrainingSet
from heartzoo.files import write_bytes
from heartzoo.progress import console

UNSEEN = -30.0  # logit of a class that no drawn example has
PIECE = 100_000  # examples that are asked about at a time


def taught_by_trees(settings: TreesConfig, data: TrainingSet, run: Path, title: str) -> np.ndarray:
    """What trees that learned from the training examples say of each of them, kept in the run's folder for all seeds.

    Args:
        settings: of the trees. They learn from examples drawn as batches are.
        data: the training set, whose frames are features.
        run: the run's folder.
        title: what to call it on standard error.

    Returns:
        Logits, float32, shape (training examples, classes).
    """
    told = f"{code()} {settings.model_dump_json()} {data.config.training.sampling.model_dump_json()}"
    key = hashlib.sha256(data.validation.tobytes() + told.encode()).hexdigest()[:16]
    path = run / f"trees-{key}.npy"
    try:
        return np.asarray(np.load(path))
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or cut off: made again
    console.print(title)
    logits = _learn_and_answer(settings, data)
    content_bytes = io.BytesIO()
    np.save(content_bytes, logits)
    write_bytes(path, content_bytes.getvalue())
    return logits


def _learn_and_answer(settings: TreesConfig, data: TrainingSet) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier

    training = ~data.validation
    labels, rng = data.labels[training], np.random.default_rng(settings.seed)
    drawn = np.sort(rng.choice(len(labels), settings.examples, p=data.probabilities(training)))
    trees = HistGradientBoostingClassifier(
        max_iter=settings.rounds,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.leaf_examples,
        l2_regularization=settings.l2,
        max_features=settings.features,
        max_bins=128,
        early_stopping=False,
        random_state=settings.seed,
    )
    trees.fit(_features_of(data, training, drawn), labels[drawn])
    found = np.full((len(labels), len(data.task.classes)), UNSEEN, np.float32)
    begin = 0
    for features in _features(data, training):
        answers = np.log(np.maximum(trees.predict_proba(features), np.exp(UNSEEN)))
        found[begin : begin + len(features), trees.classes_] = answers
        begin += len(features)
    return found


def _features_of(data: TrainingSet, training: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Features of chosen training examples, given in ascending order; shape (chosen, features)."""
    pieces, begin = [], 0
    for features in _features(data, training):
        first, last = np.searchsorted(chosen, (begin, begin + len(features)))
        pieces.append(features[chosen[first:last] - begin])
        begin += len(features)
    return np.concatenate(pieces)


def _features(data: TrainingSet, training: np.ndarray) -> Iterator[np.ndarray]:
    """Features of the training examples in order, a piece at a time."""
    pieces: list[np.ndarray] = []
    for inputs in data.chunks(training):
        frames = inputs["signal"]
        pieces.append(frames.reshape(len(frames), -1))
        if sum(map(len, pieces)) >= PIECE:
            yield np.concatenate(pieces)
            pieces = []
    if pieces:
        yield np.concatenate(pieces)
