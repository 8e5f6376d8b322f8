"""The scores: hand-computed cases, scikit-learn as the second opinion, and properties that must hold for any input."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from heartzoo import metrics
from heartzoo.errors import UserError
from heartzoo.tasks import AAMI

# Rows are the truth, N S V F Q.
EXAMPLE = np.array(
    [
        [80, 5, 5, 6, 4],
        [2, 6, 1, 1, 0],
        [1, 1, 16, 0, 2],
        [3, 0, 4, 2, 1],
        [50, 50, 50, 50, 7],
    ]
)


@st.composite
def beats(draw, k=5):
    """Labels, predictions, records and patients of a few hundred beats; two records per patient."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 300))
    records = rng.integers(0, draw(st.integers(1, 8)), n)
    labels, predictions = rng.integers(0, k, (2, n))
    right = rng.random(n) < draw(st.floats(0, 1))
    return labels, np.where(right, labels, predictions), records, records // 2


def unrolled(cm):
    """Labels and predictions that have the given confusion matrix."""
    cells = np.repeat(np.arange(cm.size), cm.ravel())
    return cells // len(cm), cells % len(cm)


def test_confusion_matrix_has_the_truth_in_rows():
    cm = metrics.confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 0]), 3)
    assert cm.tolist() == [[1, 2, 0], [1, 0, 0], [0, 0, 0]]


def test_small_integer_types_do_not_overflow():
    labels = np.full(300, 4, np.int8)
    assert metrics.confusion_matrix(labels, labels.astype(np.uint8), 5)[4, 4] == 300


def test_class_scores_by_hand_and_zero_over_zero():
    scores = metrics.class_scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert scores.se == pytest.approx([3 / 4, 4 / 6, 0])
    assert scores.ppv == pytest.approx([3 / 5, 4 / 5, 0])
    assert scores.f1 == pytest.approx([6 / 9, 8 / 11, 0])
    assert scores.support.tolist() == [4, 6, 0]


@settings(max_examples=40)
@given(beats())
def test_agrees_with_scikit_learn(data):
    labels, predictions, _, _ = data
    scores = metrics.class_scores(metrics.confusion_matrix(labels, predictions, 5))
    theirs = precision_recall_fscore_support(labels, predictions, labels=range(5), zero_division=0)
    for ours, other in zip((scores.ppv, scores.se, scores.f1, scores.support), theirs, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-12)


def test_nsv_rules_by_hand():
    """True F and Q are left out; a beat called F or Q is a miss of its own class and no false alarm of another."""
    n = 2 * 80 / (100 + 83)
    s = 2 * 6 / (10 + 12)
    v = 2 * 16 / (20 + 22)
    assert metrics.macro_f1_nsv(EXAMPLE) == pytest.approx((n + s + v) / 3)
    n = 2 * 80 / (100 + 86)
    v = 2 * 16 / (20 + 26)
    f = 2 * 2 / (10 + 9)
    assert metrics.macro_f1_nsvf(EXAMPLE) == pytest.approx((n + s + v + f) / 4)


@settings(max_examples=40)
@given(beats())
def test_nsv_is_scikit_learn_over_the_kept_beats(data):
    labels, predictions, _, _ = data
    labels, predictions = np.append(labels, 0), np.append(predictions, 0)  # scikit-learn wants at least one beat
    cm = metrics.confusion_matrix(labels, predictions, 5)
    for rows, ours in ((3, metrics.macro_f1_nsv(cm)), (4, metrics.macro_f1_nsvf(cm))):
        kept = labels < rows
        f1 = precision_recall_fscore_support(labels[kept], predictions[kept], labels=range(rows), zero_division=0)[2]
        assert ours == pytest.approx(np.mean(f1))


def test_patient_mean_takes_the_classes_that_each_patient_has():
    only_n = np.diag([10, 0, 0]) + np.array([[0, 0, 10], [0, 0, 0], [0, 0, 0]])  # F1 of N: 20 / (20 + 10)
    perfect = np.diag([5, 5, 0])
    nothing = np.zeros((3, 3), int)
    assert metrics.patient_macro_f1(np.stack([only_n, perfect, nothing])) == pytest.approx((2 / 3 + 1) / 2)


def test_score_by_hand():
    labels = np.array([0, 0, 1, 1, 0, 0])
    predictions = np.array([0, 1, 1, 1, 0, 0])
    scores = metrics.score(labels, predictions, list("aaabbc"), list("xxxxxy"), ("NSR", "PVC"))
    assert (scores.n, scores.accuracy) == (6, pytest.approx(5 / 6))
    assert scores.confusion_matrix == [[3, 1], [0, 2]]
    assert scores.per_class["PVC"] == {"se": 1.0, "ppv": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 2}
    assert scores.macro_f1 == pytest.approx((6 / 7 + 0.8) / 2)
    assert scores.patient_macro_f1 == pytest.approx(((0.8 + 0.8) / 2 + 1) / 2)
    assert scores.by_record["c"] == {
        "patient": "y",
        "n": 1,
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "per_class": {
            "NSR": {"se": 1.0, "ppv": 1.0, "f1": 1.0, "support": 1},
            "PVC": {"se": 0.0, "ppv": 0.0, "f1": 0.0, "support": 0},
        },
        "confusion_matrix": [[1, 0], [0, 0]],
    }
    assert scores.macro_f1_nsv is None


def test_five_class_figures_come_with_the_five_classes():
    labels, predictions = unrolled(EXAMPLE)
    records = np.arange(len(labels)) % 7
    scores = metrics.score(labels, predictions, records, records, AAMI)
    assert scores.macro_f1 == pytest.approx(metrics.macro_f1(EXAMPLE))
    assert scores.macro_f1_nsv == pytest.approx(metrics.macro_f1_nsv(EXAMPLE))
    assert scores.macro_f1_nsvf_ci95[0] < scores.macro_f1_nsvf < scores.macro_f1_nsvf_ci95[1]
    by_patient = [metrics.confusion_matrix(labels[records == p], predictions[records == p], 5) for p in range(7)]
    expected = np.mean([metrics.macro_f1_present(cm[:3]) for cm in by_patient])
    assert scores.patient_macro_f1_nsv == pytest.approx(expected)


@settings(max_examples=25)
@given(beats(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_beats_has_no_influence(data, seed):
    order = np.random.default_rng(seed).permutation(len(data[0]))
    assert metrics.score(*data, AAMI) == metrics.score(*(values[order] for values in data), AAMI)


@settings(max_examples=25)
@given(beats())
def test_bounds_and_sums(data):
    scores = asdict(metrics.score(*data, AAMI))
    assert sum(record["n"] for record in scores["by_record"].values()) == scores["n"] == len(data[0])
    for name, value in scores.items():
        if "macro" in name or name == "accuracy":
            assert np.all((np.asarray(value) >= 0) & (np.asarray(value) <= 1))
        if name.endswith("ci95"):
            assert value[0] <= value[1]


@settings(max_examples=25)
@given(beats())
def test_a_perfect_prediction_scores_one(data):
    labels, _, records, patients = data
    labels = np.concatenate([np.arange(5), labels])
    records, patients = np.pad(records, (5, 0), mode="edge"), np.pad(patients, (5, 0), mode="edge")
    scores = metrics.score(labels, labels, records, patients, AAMI)
    assert scores.accuracy == scores.macro_f1 == scores.macro_f1_nsv == scores.macro_f1_nsvf == 1
    assert scores.patient_macro_f1 == scores.patient_macro_f1_nsv == 1


def patients_like(rng, count):
    """Confusion matrices of patients who differ: sensitivities from Beta(4, 2)."""
    right = rng.binomial(100, rng.beta(4, 2, (count, 2)))
    return np.stack([np.stack([right[:, 0], 100 - right[:, 0]], 1), np.stack([100 - right[:, 1], right[:, 1]], 1)], 1)


def ci95(matrices, seed=0):
    return metrics.intervals(matrices, ("first", "second"), seed)["macro_f1_ci95"]


def test_false_alarms_are_beats_that_are_called_wrongly():
    cm = np.array([[90, 10], [3, 7]])
    assert metrics.false_alarms_per_hour(cm, [2.0, 3.0], ("N", "V")) == {"V": 2.0}
    assert metrics.false_alarms_per_hour(cm, [2.0, None], ("N", "V")) is None


def test_a_figure_without_each_patient_by_hand():
    matrices = np.array([[[8, 2], [1, 9]], [[5, 0], [0, 5]], [[0, 3], [0, 0]]])
    found = metrics.without_each(matrices, metrics.macro_f1)
    others = [np.delete(matrices, patient, axis=0).sum(0) for patient in range(3)]
    assert found == pytest.approx([float(metrics.macro_f1(matrix)) for matrix in others])
    assert found.shape == (3,) and found[2] > found[0]


def test_the_interval_of_false_alarms_holds_their_rate_and_is_that_of_a_plain_loop():
    matrices = np.random.default_rng(3).integers(0, 30, (6, 3, 3))
    hours = np.array([0.5, 0.5, 1.0, 0.25, 0.5, 0.5])
    found = metrics.false_alarms_ci95(matrices, hours, seed=5)
    draws = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), metrics.RESAMPLES)
    rates = [(draw @ (matrices[:, 0, 1] + matrices[:, 2, 1])) / (draw @ hours) for draw in draws]
    assert found[1] == pytest.approx(np.percentile(rates, [2.5, 97.5]))
    pooled = metrics.false_alarms_per_hour(matrices.sum(0), hours.tolist(), ["N", "S", "V"])
    assert pooled is not None and all(
        low < pooled[name] < high for name, (low, high) in zip("SV", found[1:], strict=True)
    )


def test_more_beats_of_the_same_patients_do_not_shrink_the_interval():
    matrices = patients_like(np.random.default_rng(1), 20)
    assert ci95(10 * matrices, 3) == ci95(matrices, 3)


def test_more_patients_do_shrink_it():
    rng = np.random.default_rng(2)
    widths = [np.ptp(ci95(patients_like(rng, count))) for count in (10, 40, 160)]
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_one_patient_gives_a_point():
    low, high = ci95(EXAMPLE[None])
    assert low == high == metrics.macro_f1(EXAMPLE)


def test_an_evaluation_resamples_patients_not_records():
    rng = np.random.default_rng(11)
    patients = np.repeat(np.arange(8), 100)
    labels = rng.integers(0, 5, 800)
    predictions = np.where(rng.random(800) < 0.3 + 0.08 * patients, labels, rng.integers(0, 5, 800))
    records = 2 * patients + np.tile([0, 1], 400)
    scores = metrics.score(labels, predictions, records, patients, AAMI, 3)
    cms = np.stack([metrics.confusion_matrix(labels[patients == p], predictions[patients == p], 5) for p in range(8)])
    assert scores.macro_f1_ci95 == ci95(cms, 3)
    assert scores.macro_f1_nsv_ci95 == ci95(cms[:, :3], 3)


def test_a_difference_on_the_same_patients_is_surer_than_either_figure():
    first = patients_like(np.random.default_rng(9), 30)
    worse = first + np.array([[-5, 5], [5, -5]]) * (np.diagonal(first, axis1=1, axis2=2).min(1) >= 5)[:, None, None]
    difference, low, high = metrics.paired_difference(first, worse, metrics.macro_f1)
    assert 0 < low < difference < high
    assert difference == pytest.approx(metrics.macro_f1(first.sum(0)) - metrics.macro_f1(worse.sum(0)))
    assert ci95(worse)[1] > ci95(first)[0]  # their own intervals overlap
    assert metrics.paired_difference(worse, first, metrics.macro_f1) == pytest.approx((-difference, -high, -low))


def test_the_interval_of_a_class_agrees_with_that_of_macro_f1_where_classes_are_alike():
    matrices = patients_like(np.random.default_rng(10), 25)
    alike = matrices + matrices[:, ::-1, ::-1]
    low, high = ci95(alike, 3)
    np.testing.assert_allclose(metrics.class_f1_ci95(alike, 3), [[low, high]] * 2)


def test_the_interval_is_reproducible_and_depends_on_the_seed():
    matrices = patients_like(np.random.default_rng(4), 12)
    assert ci95(matrices, 5) == ci95(matrices, 5)
    assert ci95(matrices, 5) != ci95(matrices, 6)


def test_the_interval_agrees_with_a_plain_loop():
    matrices = patients_like(np.random.default_rng(7), 15)
    rng = np.random.default_rng(8)
    values = [metrics.macro_f1(matrices[rng.integers(0, 15, 15)].sum(0)) for _ in range(2000)]
    assert ci95(matrices) == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.01)


def test_a_class_missing_from_a_resample_counts_as_zero():
    """One of two patients holds all beats of the second class: without him its F1 is 0/0, so 0."""
    matrices = np.stack([np.diag([10, 0]), np.diag([10, 10])])
    assert ci95(matrices) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("labels", "predictions", "patients", "message"),
    [
        ([], [], [], "no beats"),
        ([0, -1], [0, 0], ["x", "x"], "labels lie between -1 and 0"),
        ([0, 1], [0, 2], ["x", "x"], "predictions lie between 0 and 2"),
        ([0, 1], [0], ["x", "x"], "differ in shape"),
        ([0, 1], [0, 1], ["x", "y"], "several patients"),
        ([0, 1], [0, 1], ["x"], "several patients or none"),
    ],
)
def test_bad_input(labels, predictions, patients, message):
    with pytest.raises(UserError, match=message):
        metrics.score(np.array(labels), np.array(predictions), ["a"] * len(labels), patients, ("N", "V"))
