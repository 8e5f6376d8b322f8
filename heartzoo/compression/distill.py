"""Knowledge distillation: learn from what teachers say of the training examples, which is computed once.

Teachers see frames as they were recorded; the student sees them augmented.

References:
    Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network (arXiv:1503.02531).
    Romero et al. 2015, FitNets: Hints for Thin Deep Nets (ICLR), for pairs of layers.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras.distillation import Distiller, FeatureDistillation, LogitsDistillation

from heartzoo import recipes
from heartzoo.checkpoints import load_model
from heartzoo.compression.step import Step
from heartzoo.config.compression import DistillConfig, FeaturePair
from heartzoo.data.preparation import code
from heartzoo.data.training_set import TrainingSet
from heartzoo.errors import UserError
from heartzoo.files import write_bytes
from heartzoo.progress import console
from heartzoo.training import PREDICT_BATCH, Stage, build_model

TEACHER = "teacher"
# Outputs of a teacher's inner layer are kept for every training example.
MOST_FEATURE_BYTES = 1 << 29


def distill_stage(settings: DistillConfig, step: Step) -> Stage:
    """The training of a student by its teachers.

    Raises:
        UserError: a teacher takes another input or has other classes, or a pair of layers does not exist or fit.
    """
    if settings.features and len(step.teachers) > 1:
        raise UserError(
            f"distill.features with {len(step.teachers)} networks as teachers: whose is to be followed is not clear",
            "name one, such as seed-0 of a run",
        )
    beside = taught_outputs(step, [load_model(path) for path in step.teachers], settings.features)
    batches = step.data.batches(step.seed, beside)
    return Stage(
        title=step.title("distill"),
        plan=step.plan,
        network=(lambda: build_model(step.config)) if settings.fresh else step.network,
        loss=recipes.loss(step.plan.recipe, batches.class_shares),
        batches=batches,
        fitted=lambda network: distiller(network, beside, settings.temperature, settings.alpha, settings.features),
    )


def distiller(
    student: keras.Model,
    beside: Mapping[str, np.ndarray],
    temperature: float,
    alpha: float,
    features: Sequence[FeaturePair] = (),
) -> Distiller:
    """Keras' Distiller of a student whose batches carry the teachers' outputs beside their inputs.

    Args:
        student: the network.
        beside: what :func:`taught_outputs` found.
        temperature: what logits are divided by.
        alpha: weight of the true labels.
        features: pairs of layers.

    Raises:
        UserError: the student has no such layer, or one with an output of another shape.
    """
    extra = {name: keras.Input(values.shape[1:], name=name) for name, values in beside.items()}
    inputs = {tensor.name: tensor for tensor in student.inputs}
    # The teacher's answer is looked up, not computed: it passes through as an input of both.
    teacher = keras.Model(
        {name: keras.Input(tensor.shape[1:], name=name) for name, tensor in inputs.items()} | extra,
        keras.layers.Identity(name="teacher_logits")(extra[TEACHER]),
    )
    losses = [LogitsDistillation(temperature, loss=keras.losses.KLDivergence())]
    for number, pair in enumerate(features):
        _check_pair(student, pair, beside[_name(number)].shape[1:])
        losses.append(FeatureDistillation("mse", _name(number), pair.student))
    pupil = keras.Model(
        inputs | {name: keras.Input(t.shape[1:], name=name) for name, t in extra.items()}, student.output
    )
    weights = [1.0, *(pair.weight for pair in features)]
    return Distiller(teacher, pupil, losses, weights, student_loss_weight=alpha)


def _name(pair: int) -> str:
    return f"{TEACHER}_{pair + 1}"


def _check_pair(student: keras.Model, pair: FeaturePair, shape: tuple[int, ...]) -> None:
    found = tuple(find_layer(student, pair.student, "student").output.shape[1:])
    if found != shape:
        raise UserError(
            f"distill.features: {pair.teacher} of the teacher gives {shape}, {pair.student} of the student {found}",
            "pair layers with outputs of the same shape",
        )


def find_layer(network: keras.Model, name: str, role: str) -> keras.Layer:
    """A network's layer by name.

    Raises:
        UserError: there is none; the names are given.
    """
    for layer in network.layers:
        if layer.name == name:
            return layer
    names = ", ".join(layer.name for layer in network.layers)
    raise UserError(f"distill.features: the {role} has no layer {name!r}", f"take one of: {names}")


def taught_outputs(
    step: Step, teachers: Sequence[keras.Model], features: Sequence[FeaturePair] = ()
) -> dict[str, np.ndarray]:
    """What teachers say of every training example, computed once and kept in the run's folder for all its seeds.

    Args:
        step: the step.
        teachers: networks; several answer by the mean of their probabilities.
        features: pairs of layers, of the one teacher.

    Returns:
        ``teacher``: logits, shape (n, classes); ``teacher_1`` ...: outputs of its layers, shape (n, ...); float32.

    Raises:
        UserError: as :func:`distill_stage`.
    """
    layers = [pair.teacher for pair in features]
    path = step.run / f"teacher-{_key(step.data, teachers, layers)}.npz"
    try:
        with np.load(path) as content:
            return dict(content)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there yet, or cut off: computed again
    for teacher in teachers:
        _check_teacher(teacher, step)
    console.print(f"{step.title('ask')} {len(teachers)} teacher{'s' if len(teachers) > 1 else ''}")
    beside = _ask(step.data, teachers, layers)
    content_bytes = io.BytesIO()
    np.savez(content_bytes, **beside)  # type: ignore[arg-type]
    write_bytes(path, content_bytes.getvalue())
    return beside


def _key(data: TrainingSet, teachers: Sequence[keras.Model], layers: Sequence[str]) -> str:
    """What is asked of whom, as a hash; which records a run trains on it knows itself."""
    found = hashlib.sha256(data.validation.tobytes() + " ".join([code(), *layers]).encode())
    for teacher in teachers:
        for weights in teacher.get_weights():
            found.update(weights.tobytes())
    return found.hexdigest()[:16]


def _check_teacher(teacher: keras.Model, step: Step) -> None:
    student = build_model(step.config)
    for what in ("inputs", "outputs"):
        theirs, ours = ([tuple(t.shape[1:]) for t in getattr(model, what)] for model in (teacher, student))
        if sorted(theirs) != sorted(ours):
            raise UserError(
                f"distill: a teacher has {what} of shape {theirs}, the student {ours}",
                "teacher and student need the same task, frame, sampling rate and R-R features",
            )


def _ask(data: TrainingSet, teachers: Sequence[keras.Model], layers: Sequence[str]) -> dict[str, np.ndarray]:
    training = ~data.validation
    outputs = [find_layer(teachers[0], name, "teacher").output for name in layers]
    size = sum(4 * int(np.prod(tensor.shape[1:])) for tensor in outputs) * int(training.sum())
    if size > MOST_FEATURE_BYTES:
        raise UserError(
            f"distill.features: outputs of {', '.join(layers)} for every example take {size / 2**20:,.0f} MiB",
            "take layers after a pooling",
        )
    inner = {_name(number): tensor for number, tensor in enumerate(outputs)}
    asked = [
        keras.Model(teacher.inputs, {TEACHER: teacher.output} | (inner if teacher is teachers[0] else {}))
        for teacher in teachers
    ]
    pieces = []
    for inputs in data.chunks(training):
        answers = [model.predict(inputs, batch_size=PREDICT_BATCH, verbose=0) for model in asked]
        pieces.append(answers[0] | {TEACHER: mean_logits([answer[TEACHER] for answer in answers])})
    return {name: np.concatenate([piece[name] for piece in pieces]).astype(np.float32) for name in pieces[0]}


def mean_logits(logits: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of the mean probabilities, shape (n, classes); a single teacher's own logits."""
    if len(logits) == 1:
        return np.asarray(logits[0])
    shifted = np.stack(logits) - np.max(logits, axis=-1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    return np.log(np.maximum(probabilities.mean(axis=0), 1e-30))
