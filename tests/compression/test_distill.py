"""Distillation: its loss, its teachers, its pairs of layers."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest

from heartzoo import models, runs
from heartzoo.compression.distill import distiller, mean_logits
from heartzoo.config.compression import FeaturePair
from heartzoo.config.file import load_config
from heartzoo.errors import UserError


def test_the_distillation_loss_is_hinton_s():
    keras.utils.set_random_seed(0)
    student = models.build("resnet", (1, 64, 1), 3)
    rng = np.random.default_rng(0)
    x = {"signal": rng.normal(size=(32, 1, 64, 1)).astype(np.float32)}
    beside = {"teacher": 3 * rng.normal(size=(32, 3)).astype(np.float32)}
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 32)]
    model = distiller(student, beside, temperature=4.0, alpha=0.3)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    logits = student.predict(x, verbose=0)
    truth = -np.log(softmax(logits)[y == 1]).mean()
    q, p = softmax(beside["teacher"] / 4), softmax(logits / 4)
    expected = 0.3 * truth + 0.7 * 16 * (q * np.log(q / p)).sum(axis=1).mean()
    assert float(model.compute_loss(x | beside, y, training=False)) == pytest.approx(expected, rel=1e-4)


def test_pairs_of_layers_must_exist_and_fit():
    student = models.build("resnet", (1, 64, 1), 3)
    beside = {"teacher": np.zeros((2, 3)), "teacher_1": np.zeros((2, 1, 32, 12))}
    distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stem")])
    with pytest.raises(UserError, match=r"a of the teacher gives \(1, 32, 12\), stage1_block1_conv1 .* \(1, 16, 16\)"):
        distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stage1_block1_conv1")])
    with pytest.raises(UserError, match=r"the student has no layer 'stam'; take one of: signal, stem"):
        distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stam")])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["input.frame=80"], "has another input than tiny"),
        (["data.leads=[V5]"], "has another data.leads than tiny"),
        (["task=beat-2", "prevalence={}"], "has another task than tiny"),
    ],
)
def test_a_teacher_of_something_else_is_refused(tiny, tiny_run, change, told):
    config = load_config(tiny, change)
    with pytest.raises(UserError, match=told):
        runs.find_teachers(str(tiny_run), config)


def test_a_run_of_before_records_were_noted_is_a_teacher_still(tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "examples.json").unlink()
    found, known = (runs.find_teachers(str(folder), load_config(tiny)) for folder in (run, tiny_run))
    assert [path.relative_to(run) for path in found] == [path.relative_to(tiny_run) for path in known]


def test_teachers_are_runs_seeds_and_models_of_the_zoo(tiny, tiny_run, tmp_path):
    config = load_config(tiny)
    assert runs.find_teachers(str(tiny_run), config) == [tiny_run / f"seed-{n}/best.keras" for n in (0, 1)]
    assert runs.find_teachers(str(tiny_run / "seed-1"), config) == [tiny_run / "seed-1/best.keras"]
    with pytest.raises(UserError, match="unknown model 'nobody'"):
        runs.find_teachers("nobody", config)
    with pytest.raises(UserError, match="is no run"):
        runs.find_teachers(str(tmp_path), config)


def test_several_teachers_answer_by_their_mean_probabilities():
    rng = np.random.default_rng(0)
    logits = [5 * rng.normal(size=(7, 3)) for _ in range(3)]
    probabilities = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in logits]
    found = np.exp(mean_logits(logits))
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), np.mean(probabilities, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(mean_logits(logits[:1]), logits[0])
