"""Following the prevalence of a class over a recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heartzoo.config import Config
from heartzoo.config.file import parse_config
from heartzoo.errors import UserError
from heartzoo.prevalence import MEMORY_BEATS, RunningPrevalence, shifted

S, V, F = 1, 2, 3
LOGITS = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(5)), elements=st.floats(-20, 20, width=32))


def config(prevalence: dict[str, dict[str, float]], **changes: object) -> Config:
    tree = {"name": "x", "task": "arrhythmia-5", "model": {"architecture": "mlp"}, "input": {"frame": 64}}
    return parse_config({**tree, "prevalence": prevalence, **changes}, "x")


def by_hand(logits: np.ndarray, rules: dict[int, tuple[int, float, float]]) -> np.ndarray:
    """The formula of the module, beat after beat."""
    r = {column: usual for column, (_, usual, _) in rules.items()}
    found = []
    for z in logits.astype(float):
        y, u = z.copy(), z.copy()
        for column, (_, usual, assumed) in rules.items():
            y[column] += np.log(r[column] / assumed)
            u[column] += np.log(usual / assumed)
        p = np.exp(u - u.max()) / np.exp(u - u.max()).sum()
        for column, (followed, *_) in rules.items():
            r[column] += (p[followed] - r[column]) / MEMORY_BEATS
        found.append(y)
    return np.array(found)


@given(LOGITS)
def test_each_beat_is_called_by_the_prevalence_before_it(logits):
    followed = config({"S": {}, "V": {"usual": 0.3, "assumed": 0.1}, "F": {"of": "V", "usual": 0.03, "assumed": 0.015}})
    wanted = by_hand(logits, {S: (S, 0.02, 0.05), V: (V, 0.3, 0.1), F: (V, 0.03, 0.015)})
    np.testing.assert_allclose(RunningPrevalence(followed).shifted(logits), wanted, atol=1e-9)


@given(LOGITS, st.integers(0, 40))
def test_pieces_are_called_as_the_whole(logits, cut):
    whole = RunningPrevalence(config({"S": {}})).shifted(logits)
    pieces = RunningPrevalence(config({"S": {}}))
    found = np.concatenate([pieces.shifted(logits[:cut]), pieces.shifted(logits[cut:])])
    assert np.array_equal(found, whole)


def test_nothing_moves_where_nothing_is_followed():
    logits = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    assert shifted(config({}), logits, np.repeat(["a", "b"], 15)) is logits


def test_recordings_do_not_know_of_one_another():
    logits = np.random.default_rng(1).normal(size=(60, 5))
    records = np.tile(["a", "b", "c"], 20)
    found = shifted(config({"S": {}}), logits, records)
    for record in "abc":
        alone = RunningPrevalence(config({"S": {}})).shifted(logits[records == record])
        assert np.array_equal(found[records == record], alone)


def test_doubtful_beats_are_called_by_what_the_record_is_like():
    doubtful, sure = np.array([1.0, 1.0, 0, 0, 0]), np.array([0, 8.0, 0, 0, 0])
    normal = np.array([8.0, 0, 0, 0, 0])
    for before, called in ((sure, S), (normal, 0)):
        logits = np.array([*[before] * 100, doubtful])
        assert RunningPrevalence(config({"S": {}})).shifted(logits)[-1].argmax() == called


def test_doubtful_fused_beats_are_called_where_ventricular_ones_are():
    doubtful = np.array([1.0, 0, 0, 1.0, 0])
    rule = {"F": {"of": "V", "usual": 0.03, "assumed": 0.05}}
    for before, called in ((np.array([0, 0, 8.0, 0, 0]), F), (np.array([8.0, 0, 0, 0, 0]), 0)):
        logits = np.array([*[before] * 100, doubtful])
        assert RunningPrevalence(config(rule)).shifted(logits)[-1].argmax() == called


def test_it_recovers_from_a_long_stretch():
    logits = np.array([[8.0, 0, 0, 0, 0]] * 5000 + [[0, 8.0, 0, 0, 0]] * 300)
    found = RunningPrevalence(config({"S": {}})).shifted(logits)
    assert np.isfinite(found).all() and (found[5000:].argmax(axis=1) == S).all()


@pytest.mark.parametrize(
    ("prevalence", "changes", "line"),
    [
        ({"PAC": {}}, {}, "unknown class 'PAC'"),
        ({"F": {"of": "PVC"}}, {}, "unknown class 'PVC'"),
        ({"S": {"usual": 0.0}}, {}, "usual"),
        ({"S": {"assumed": 1.0}}, {}, "assumed"),
        ({"S": {}}, {"data": {"train": ["random-train"], "test": ["random-test"]}}, "one after the other"),
        ({"S": {}}, {"input": {"cut": "r-peak", "frame": 187, "fs": 125}}, "one after the other"),
    ],
)
def test_mistakes_are_refused_in_one_line(prevalence, changes, line):
    with pytest.raises(UserError, match=line) as error:
        config(prevalence, **changes)
    assert "\n" not in str(error.value)
