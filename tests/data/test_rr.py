"""R-R features: causal, bounded, and equal to a plain reading of their definition."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from statistics import median, median_low

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data.rr import FEATURES, RunningRhythm, rr_features

NAMES = list(FEATURES)
FS = 360.0
REGULAR = [float(name in ("steadiness", "recurrence")) for name in NAMES]
quick = settings(max_examples=50)
# Gaps in samples at 360 Hz: usual, two marks on one sample, far too early, and a pause of 10 s and more.
GAPS = st.one_of(st.integers(90, 700), st.sampled_from([0, 1, 30, 72, 1080, 3600, 20_000]))


def beats(least: int = 1, most: int = 180) -> st.SearchStrategy[np.ndarray]:
    lists = st.lists(GAPS, min_size=least - 1, max_size=most - 1)
    return lists.map(lambda gaps: 50 + np.cumsum([0, *gaps]).astype(np.int64))


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def recordings_with_losses() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Beats, and whether signal was lost between each and the next."""
    return beats().flatmap(
        lambda samples: st.tuples(
            st.just(samples),
            st.lists(
                st.sampled_from([False, False, False, True]), min_size=len(samples) - 1, max_size=len(samples) - 1
            ).map(lambda lost: np.array(lost, bool)),
        )
    )


def reference(samples: list[int], fs: float, lost: list[bool] | None = None) -> list[list[float]]:
    """The features of every beat in the order of NAMES, straight from the text of the module."""
    between = [min(max((b - a) / fs, 0.2), 3.0) for a, b in pairwise(samples)]
    n = len(samples)
    rows = []
    known: list[float] = []
    histories = []
    for k, across in enumerate(lost or [False] * len(between)):
        if across and known:
            between[k] = median_low(known[-64:])
        else:
            known.append(0.8 if across else between[k])
            between[k] = known[-1]
        histories.append(list(known))
    for k in range(n):
        pre = between[k - 1] if k else (between[0] if n > 1 else 0.8)
        post = between[k] if k < n - 1 else (between[k - 1] if n > 1 else 0.8)
        before = between[k - 2] if k >= 2 else pre
        so_far = histories[max(k, 1) - 1] if n > 1 else [0.8]
        ratios = {
            "pre_median": pre / median(so_far[-64:]),
            "post_median": post / median(so_far[-64:]),
            "pre_post": pre / post,
            "pre_mean10": pre / (sum(so_far[-10:]) / len(so_far[-10:])),
            "previous_pre": before / pre,
            "pre_quantile70": pre / quantile(so_far[-128:], 0.7),
            "pre_mean": pre / (sum(so_far) / len(so_far)),
            "post_mean": post / (sum(so_far) / len(so_far)),
            "pre_slow": pre / quantile(so_far[-128:], 0.9),
            "post_slow": post / quantile(so_far[-128:], 0.9),
            "pre_usual": pre / usual(so_far),
            "post_usual": post / usual(so_far),
        }
        values = {name: math.log2(ratio) for name, ratio in ratios.items()} | context(so_far[-64:])
        rows.append([min(max(values[name], -1.0), 1.0) for name in NAMES])
    return rows


def usual(so_far: list[float]) -> float:
    u = sum(so_far[:512]) / len(so_far[:512])
    for p in so_far[512:]:
        u += min(max(p - u, -u / 10), u / 10) / 512
    return u


def context(recent: list[float]) -> dict[str, float]:
    def share(marks: list[bool]) -> float:
        return sum(marks) / len(marks) if marks else 1.0

    def differ_less(one: float, other: float, percent: float) -> bool:
        return max(one, other) < (1 + percent / 100) * min(one, other)

    points = list(pairwise(recent))
    near = [all(differ_less(*both, 6.02) for both in zip(a, b, strict=True)) for a, b in combinations(points, 2)]
    ratios = [interval / median(recent) for interval in recent]
    counts = [sum(math.exp(0.05 * (j - 15.5)) <= r < math.exp(0.05 * (j - 14.5)) for r in ratios) for j in range(1, 30)]
    counts += [sum(r < math.exp(-0.725) for r in ratios), sum(r >= math.exp(0.725) for r in ratios)]
    return {
        "steadiness": share([differ_less(*pair, 5.02) for pair in points]),
        "recurrence": share(near),
        "entropy": -sum(n / len(recent) * math.log2(n / len(recent)) for n in counts if n) / 5,
    }


@quick
@given(samples=beats())
def test_equal_to_the_definition(samples: np.ndarray) -> None:
    found = rr_features(samples, FS, NAMES)
    assert found.shape == (len(samples), len(NAMES))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(samples.tolist(), FS), atol=2e-6)


@quick
@given(recording=recordings_with_losses())
def test_equal_to_the_definition_where_signal_was_lost(recording: tuple[np.ndarray, np.ndarray]) -> None:
    samples, lost = recording
    expected = reference(samples.tolist(), FS, lost.tolist())
    np.testing.assert_allclose(rr_features(samples, FS, NAMES, lost), expected, atol=2e-6)


@quick
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 700), share=st.sampled_from([0.0, 0.1, 0.6]), data=st.data()
)
def test_a_record_in_pieces_has_the_same_features(seed: int, count: int, share: float, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    samples, lost = np.cumsum(rng.integers(90, 700, count)), rng.random(count) < share
    cuts = sorted(data.draw(st.lists(st.integers(1, count), max_size=6)))
    rhythm, found = RunningRhythm(FS), []
    for start, end in pairwise([0, *cuts, count]):
        if start < end:
            following = int(samples[end]) if end < count else None
            around = np.append(start > 0 and lost[start - 1], lost[start:end])
            found.append(rhythm.features(samples[start:end], following, [NAMES], around)[0])
    np.testing.assert_allclose(np.concatenate(found), rr_features(samples, FS, NAMES, lost[:-1]), atol=1e-6)


def test_equal_to_the_definition_over_a_long_record() -> None:
    samples = np.cumsum(np.random.default_rng(1).integers(100, 600, 700))
    np.testing.assert_allclose(rr_features(samples, FS, NAMES), reference(samples.tolist(), FS), atol=2e-6)


@quick
@given(samples=beats())
def test_always_finite_and_bounded(samples: np.ndarray) -> None:
    found = rr_features(samples, FS, NAMES)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1.0


@quick
@given(samples=beats(3), rest=beats(1), data=st.data())
def test_known_after_the_beats_that_the_table_says(samples: np.ndarray, rest: np.ndarray, data: st.DataObject) -> None:
    """A feature of beat k stays the same whatever follows after the one beat it waits for."""
    k = data.draw(st.integers(0, len(samples) - 2))
    for index, name in enumerate(NAMES):
        delay = FEATURES[name].delay_beats
        assert delay in (0, 1)
        seen = samples[: k + 1 + delay]
        other = np.concatenate([seen, seen[-1] + rest])
        whole = rr_features(samples, FS, NAMES)[: k + 1, index]
        np.testing.assert_array_equal(whole, rr_features(other, FS, NAMES)[: k + 1, index])
        if delay == 0:
            np.testing.assert_array_equal(whole, rr_features(seen, FS, NAMES)[:, index])


@quick
@given(samples=beats(), offset=st.integers(0, 10**6), factor=st.integers(2, 5))
def test_only_the_intervals_count(samples: np.ndarray, offset: int, factor: int) -> None:
    expected = rr_features(samples, FS, NAMES)
    np.testing.assert_array_equal(rr_features(samples + offset, FS, NAMES), expected)
    np.testing.assert_allclose(rr_features(samples * factor, FS * factor, NAMES), expected, atol=1e-6)


def test_a_regular_rhythm_is_all_steady_and_never_late() -> None:
    found = rr_features(np.arange(0, 100_000, 300), FS, NAMES)
    np.testing.assert_allclose(found, np.broadcast_to(REGULAR, found.shape), atol=1e-6)


def test_no_beats_have_no_features() -> None:
    assert rr_features(np.zeros(0, np.int64), 360.0, list(FEATURES)).shape == (0, len(FEATURES))


@pytest.mark.parametrize("samples", [[1000], [1000, 1200]], ids=["a lone beat", "two beats"])
def test_at_most_one_interval_is_a_regular_rhythm(samples: list[int]) -> None:
    np.testing.assert_array_equal(rr_features(np.array(samples), FS, NAMES), [REGULAR] * len(samples))


def test_the_rhythm_context_tells_fibrillation_from_bigeminy() -> None:
    rng = np.random.default_rng(0)
    names = ["steadiness", "recurrence", "entropy"]
    fibrillation = rr_features(np.cumsum(rng.integers(150, 400, 200)), FS, names)[-1]
    bigeminy = rr_features(np.cumsum(np.tile([200, 400], 100) + rng.integers(0, 4, 200)), FS, names)[-1]
    assert fibrillation[0] < 0.3 and bigeminy[0] == 0.0  # steadiness does not tell them apart ...
    assert fibrillation[1] < 0.1 and bigeminy[1] > 0.4  # ... recurrence does
    assert fibrillation[2] > 0.7 and bigeminy[2] < 0.3


def test_first_and_last_beat_borrow_the_neighbouring_interval() -> None:
    samples = np.array([0, 360, 540, 900])
    pre_post, previous_pre = rr_features(samples, FS, ["pre_post", "previous_pre"]).T
    assert pre_post.tolist() == [0.0, 1.0, -1.0, 0.0]
    assert previous_pre.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_twice_as_late_is_one_and_twice_as_early_minus_one() -> None:
    regular = np.arange(0, 3600, 360)
    late, early = np.append(regular, regular[-1] + 720), np.append(regular, regular[-1] + 180)
    assert rr_features(late, FS, ["pre_median"])[-1, 0] == 1.0
    assert rr_features(early, FS, ["pre_median"])[-1, 0] == -1.0


def test_the_usual_interval_forgets_a_slow_night_but_not_for_a_tachycardia() -> None:
    """What calls every beat of a morning early, the mean of all since the evening, is for half an hour only."""
    night, morning = np.full(10_000, 1.2), np.linspace(1.2, 0.8, 700)
    day, tachycardia = np.full(1500, 0.8), np.full(200, 0.4)
    beats = np.cumsum(np.round(FS * np.concatenate([night, morning, day, tachycardia]))).astype(np.int64)
    pre_mean, pre_usual = rr_features(beats, FS, ["pre_mean", "pre_usual"]).T
    assert pre_mean[-201] < -0.5
    assert pre_usual[-600] > -0.13 and pre_usual[-201] > -0.06
    assert pre_usual[-200:].max() < -0.9


def test_columns_come_in_the_order_asked_for() -> None:
    samples = np.cumsum(np.random.default_rng(0).integers(100, 600, 50))
    whole = rr_features(samples, FS, NAMES)
    np.testing.assert_array_equal(rr_features(samples, FS, NAMES[::-1]), whole[:, ::-1])
    assert rr_features(samples, FS, []).shape == (50, 0)


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_states_its_formula(name: str) -> None:
    assert ("post" in FEATURES[name].formula) == (FEATURES[name].delay_beats == 1)
    assert ("log2" in FEATURES[name].formula) != (name in ("steadiness", "recurrence", "entropy"))
