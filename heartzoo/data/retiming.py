"""Rhythms that a patient did not have, made of beats that he had: copies of recordings to train on.

Training patients show few rhythms: two people of mitdb's training half have atrial fibrillation, one of svdb's has long
supraventricular tachycardias, and most have hardly a premature atrial beat. Their beats can be put at other times, so
that each of them shows all that:

* ``fibrillation``: normal beats without P wave follow at irregular intervals, fibrillatory waves between them;
* ``arrhythmia``: normal beats follow at intervals that swell with breathing and wander, as in sinus arrhythmia;
* ``premature``: some normal beats come early, alone or in runs, with a P wave of another size or sign, and the sinus
  node starts anew from them: they become supraventricular (``A``);
* ``block``: the atria go on, but for a while every second, third or fourth beat of theirs is not conducted, as in
  second-degree atrioventricular block: a P wave stands alone and a pause of two sinus intervals follows, so that the
  conducted beats come early by comparison, and stay normal;
* ``tachycardia``: now and then a fast and steady rhythm with another P wave sets in at once and lasts for 4 to 500
  normal beats, which become supraventricular (``A``); in between the sinus rhythm speeds up and slows down again, by
  and by, and its beats stay normal.

A beat is the signal from its P wave to the end of its T wave. Between one beat and the next the signal runs on a
straight line; where they overlap, one fades into the other. Ventricular beats stay what they are (in ``block`` they are
left out), other ectopic beats are left out. Nothing here is fitted to a recording of a patient who is tested.

References:
    That models tell fibrillation apart by what its irregular intervals do not repeat, and that atrial beats reset the
    sinus node: Clifford, Azuaje and McSharry 2006, Advanced Methods and Tools for ECG Data Analysis (Artech House).
    Intervals that follow breathing: Hirsch and Bishop 1981, Respiratory sinus arrhythmia in humans (American Journal of
    Physiology).
    Tachycardias that start at once and are steady, unlike the sinus node's: Page et al. 2016, 2015 ACC/AHA/HRS
    Guideline for the Management of Adult Patients With Supraventricular Tachycardia (Circulation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from heartzoo.data.quality import NOWHERE_LOST
from heartzoo.data.records import Record
from heartzoo.errors import UserError
from heartzoo.tasks import get_task

Rhythm = Literal["arrhythmia", "block", "fibrillation", "premature", "tachycardia"]
MOST_BEATS, LEAST_BEATS = 1500, 50
# What may be moved: neither on the heels of another beat nor before a pause.
PRE_S, POST_S = (0.3, 2.5), (0.38, 2.5)
P_START_S, P_END_S, T_END_S = 0.28, 0.07, 0.42
SHORTEST_S = 0.3
TACHYCARDIA_S = (0.3, 0.5)  # 120 to 200 a minute
SINUS_SHARE, LEAST_SINUS_S = 0.5, 0.36  # of the tachycardias, those of the sinus node, and how fast they get
BLOCK_SINUS_S = (0.4, 1.4)
AFTER_QRS_S = 0.3  # where a P wave may stand alone
NORMAL, VENTRICULAR = 0, 2  # of arrhythmia-5


class TooFewBeats(UserError):
    """A recording has too few beats that can be moved."""

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        return TooFewBeats, (self.problem, self.remedy)


@dataclass(frozen=True)
class _Plan:
    """Which beats of a record follow each other, and how.

    Attributes:
        beats: their numbers in the record, shape (n,).
        intervals: seconds from the beat before, shape (n,).
        p_waves: factor of each P wave, shape (n,).
        symbols: of the new recording, shape (n,).
        lone_p: where a P wave stands alone before a beat, as seconds from the QRS that did not follow it to the beat's;
            0 for none, shape (n,).
    """

    beats: np.ndarray
    intervals: np.ndarray
    p_waves: np.ndarray
    symbols: np.ndarray
    lone_p: np.ndarray | None = None


def retime(record: Record, rhythm: Rhythm, rng: np.random.Generator) -> Record:
    """A recording of the same patient's beats in another rhythm.

    Args:
        record: the recording.
        rhythm: see above.
        rng: the source of chance.

    Returns:
        A recording of at most 1,500 beats.

    Raises:
        TooFewBeats: less than 50 of the record's normal beats can be moved.
    """
    classes = get_task("arrhythmia-5").labels(record.symbols, "A")
    times = record.samples / record.fs
    between = np.where(record.across_lost_signal, np.inf, np.diff(times))
    pre, post = np.append(np.inf, between), np.append(between, np.inf)
    movable = (pre > PRE_S[0]) & (pre < PRE_S[1]) & (post > POST_S[0]) & (post < POST_S[1])
    beats = np.flatnonzero(movable & np.isin(classes, (NORMAL, VENTRICULAR)))
    normal = int((classes[beats] == NORMAL).sum())
    if normal < LEAST_BEATS:
        raise TooFewBeats(
            f"record {record.name}: expected {LEAST_BEATS} normal beats that can be moved, found {normal}",
            "take a longer recording",
        )
    first = int(rng.integers(max(1, len(beats) - MOST_BEATS)))
    beats = beats[first : first + MOST_BEATS]
    if rhythm == "block":
        beats = beats[classes[beats] == NORMAL]
        if len(beats) < LEAST_BEATS:  # they lie elsewhere in the record
            raise TooFewBeats(
                f"record {record.name}: expected {LEAST_BEATS} normal beats in {MOST_BEATS:,} that can be moved, found "
                f"{len(beats)}",
                "take another recording",
            )
    match rhythm:
        case "arrhythmia":
            plan = _arrhythmia(beats, record.symbols, classes, rng)
        case "block":
            plan = _block(beats, record.symbols, classes, pre, rng)
        case "fibrillation":
            plan = _fibrillation(beats, record.symbols, classes, rng)
        case "premature":
            plan = _premature(beats, record.symbols, classes, pre, rng)
        case "tachycardia":
            plan = _tachycardia(beats, record.symbols, classes, pre, rng)
    signal, samples = _assemble(record, plan)
    if plan.lone_p is not None:
        _add_p_waves(signal, samples, record, plan.beats, plan.lone_p)
    if rhythm == "fibrillation":
        signal = signal + _fibrillatory_waves(len(signal), record.fs, rng)
    marks = ((0, "(AFIB"),) if rhythm == "fibrillation" else ()
    return replace(record, signal=signal, samples=samples, symbols=plan.symbols, rhythms=marks, lost=NOWHERE_LOST)


def _arrhythmia(beats: np.ndarray, symbols: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> _Plan:
    count, usual, depth = len(beats), rng.uniform(0.5, 1.1), np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
    breath_s, overtone = rng.uniform(3, 7), rng.uniform(0, 0.6)
    swell = np.maximum(1 + 0.5 * _smooth(count, 25, rng), 0.1)
    wander = rng.uniform(0, 0.1) * _smooth(count, 40, rng)
    chance, spread = rng.standard_normal(count), rng.uniform(0.01, 0.05)
    own, phase = np.empty(count), rng.uniform(0, 2 * np.pi)
    for i in range(count):  # a longer beat takes longer of a breath
        breath = np.sin(phase) + overtone * np.sin(2 * phase)
        own[i] = usual * np.exp(depth * swell[i] * breath + wander[i] + spread * chance[i])
        phase += 2 * np.pi * own[i] / breath_s + 0.15 * chance[i]
    return _Plan(beats, _with_ventricular(own, usual, classes[beats], rng), np.ones(count), symbols[beats])


def _block(
    beats: np.ndarray, symbols: np.ndarray, classes: np.ndarray, pre: np.ndarray, rng: np.random.Generator
) -> _Plan:
    count = len(beats)
    usual = rng.choice([np.median(_sinus(beats, classes, pre)), rng.uniform(0.5, 0.9)])
    chance = 0.06 * _smooth(count, 40, rng) + rng.uniform(0.005, 0.03) * rng.standard_normal(count)
    sinus = np.clip(usual * np.exp(chance), *BLOCK_SINUS_S)
    intervals, lone_p, end = sinus.copy(), np.zeros(count), 15
    while (start := end + _some(2, 120, rng)) < count:
        conducted = int(rng.choice([1, 1, 2, 3]))  # of 2, 3 or 4 atrial beats
        end = start + conducted * _some(2, 80, rng)
        paused = np.arange(start, min(end, count), conducted)
        intervals[paused] += sinus[paused - 1] * rng.uniform(0.97, 1.03, len(paused))
        lone_p[paused] = sinus[paused]
    return _Plan(beats, intervals, np.ones(count), symbols[beats], lone_p)


def _fibrillation(beats: np.ndarray, symbols: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> _Plan:
    usual, spread, count = rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.3), len(beats)
    drift = 0.08 * _smooth(count, 60, rng)
    own = usual * np.exp(spread * rng.standard_normal(count) + drift)
    return _Plan(beats, _with_ventricular(own, usual, classes[beats], rng), np.zeros(count), symbols[beats])


def _with_ventricular(own: np.ndarray, usual: float, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Intervals with ventricular beats earlier than the usual one, none too short; seconds, shape (n,)."""
    early = usual * rng.uniform(0.55, 0.95, len(own))
    return np.maximum(np.where(classes == VENTRICULAR, early, own), SHORTEST_S + 0.04)


def _premature(
    beats: np.ndarray, symbols: np.ndarray, classes: np.ndarray, pre: np.ndarray, rng: np.random.Generator
) -> _Plan:
    burden = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
    going_on = rng.choice([0.0, 0.2, 0.5])  # chance that another one follows
    prematurity, spread = rng.uniform(0.55, 0.82), rng.uniform(0.02, 0.08)
    p_wave, pause = rng.uniform(-1, 1.2), rng.uniform(0.95, 1.35)
    sinus = _sinus(beats, classes, pre)
    count = len(beats)
    intervals, p_waves, made = np.empty(count), np.ones(count), np.zeros(count, bool)
    chance, factor = rng.random(count), prematurity + spread * rng.standard_normal(count)
    for i, beat in enumerate(beats):  # whether one is early depends on the one before
        after_early = i > 0 and made[i - 1]
        if classes[beat] == VENTRICULAR:
            intervals[i] = pre[beat]
            continue
        follows_ventricular = i > 0 and classes[beats[i - 1]] == VENTRICULAR and beats[i - 1] == beat - 1
        if i > 12 and chance[i] < (going_on if after_early else burden):
            made[i] = True
            intervals[i] = np.clip(factor[i], 0.45, 0.88) * sinus[i]
            p_waves[i] = p_wave * rng.uniform(0.7, 1.3)
        elif follows_ventricular:
            intervals[i] = pre[beat]
        else:
            intervals[i] = sinus[i] * (pause * rng.uniform(0.95, 1.05) if after_early else 1.0)
    new = np.where(made, np.uint8(ord("A")), symbols[beats])
    return _Plan(beats, np.maximum(intervals, SHORTEST_S), p_waves, new)


def _tachycardia(
    beats: np.ndarray, symbols: np.ndarray, classes: np.ndarray, pre: np.ndarray, rng: np.random.Generator
) -> _Plan:
    sinus = _sinus(beats, classes, pre) * rng.choice([1.0, rng.uniform(1.0, 1.6)])
    count, slow, p_wave = len(beats), float(np.median(sinus)), rng.uniform(-1, 1.2)
    intervals, p_waves, made = sinus.copy(), np.ones(count), np.zeros(count, bool)
    end = 0
    while (start := end + _some(15, 250, rng)) < count:
        own = rng.random() < SINUS_SHARE
        length = _some(40, 300, rng) if own else _some(4, 500, rng)
        end = min(start + length, count)
        here = slice(start, end)
        if own:
            ends = np.minimum(np.arange(length), np.arange(length)[::-1])
            faster = rng.uniform(0.55, 0.9) ** np.minimum(ends / rng.integers(4, 60), 1.0)
            chance = np.exp(0.02 * rng.standard_normal(length))
            intervals[here] = np.maximum(sinus[here] * (faster * chance)[: end - start], LEAST_SINUS_S)
            continue
        fast = min(np.clip(slow * rng.uniform(0.42, 0.75), *TACHYCARDIA_S), 0.8 * slow)
        spread = np.exp(rng.uniform(np.log(0.005), np.log(0.04)))
        chance = spread * rng.standard_normal(length) + 0.03 * _smooth(length, 60, rng)
        intervals[here] = fast * np.exp(chance[: end - start])
        made[here] = classes[beats[here]] == NORMAL
        p_waves[here] = np.where(made[here], p_wave * rng.uniform(0.8, 1.2), 1.0)
        intervals[end : end + 1] = slow * rng.uniform(0.9, 1.5)  # the pause after it
    new = np.where(made, np.uint8(ord("A")), symbols[beats])
    return _Plan(beats, np.maximum(intervals, SHORTEST_S), p_waves, new)


def _sinus(beats: np.ndarray, classes: np.ndarray, pre: np.ndarray) -> np.ndarray:
    """Their own intervals where a normal beat follows another, elsewhere the usual one; seconds, shape (n,)."""
    known = np.isfinite(pre)  # not the first one's, nor across lost signal
    between_normal = (classes == NORMAL) & (np.roll(classes, 1) == NORMAL)
    usual = np.median(pre[known & between_normal] if (known & between_normal).any() else pre[known])
    return np.where(between_normal[beats], pre[beats], usual)


def _some(fewest: int, most: int, rng: np.random.Generator) -> int:
    """A number of beats, its logarithm evenly distributed."""
    return int(np.exp(rng.uniform(np.log(fewest), np.log(most))))


def _assemble(record: Record, plan: _Plan) -> tuple[np.ndarray, np.ndarray]:
    """The signal of a plan, in mV, and where its beats are."""
    fs, samples = record.fs, record.samples
    positions = np.rint((0.5 + np.cumsum(plan.intervals)) * fs).astype(np.int64)
    out = np.empty(positions[-1] + round(fs))
    end = 0
    for beat, at, interval, p_wave in zip(plan.beats, positions, plan.intervals, plan.p_waves, strict=True):
        centre = samples[beat]
        before = int(min(P_START_S * fs, 0.55 * interval * fs, 0.6 * (centre - samples[beat - 1])))
        after = int(min(T_END_S * fs, 0.62 * (samples[beat + 1] - centre)))
        piece = np.array(record.signal[centre - before : centre + after])
        onset = before - round(P_END_S * fs)
        if onset > 0:
            line = np.linspace(piece[0], piece[onset], onset)
            piece[:onset] = line + p_wave * (piece[:onset] - line)
        start = at - before
        if end == 0:
            out[:start] = piece[0]
        elif start >= end:
            out[end:start] = np.linspace(out[end - 1], piece[0], start - end + 2)[1:-1]
        else:
            overlap = min(end - start, len(piece))
            weight = np.arange(1, overlap + 1) / (overlap + 1)
            piece[:overlap] = weight * piece[:overlap] + (1 - weight) * out[start : start + overlap]
        end = start + len(piece)
        out[start:end] = piece
    out[end:] = out[end - 1]
    return out, positions


def _add_p_waves(
    signal: np.ndarray, samples: np.ndarray, record: Record, beats: np.ndarray, lone_p: np.ndarray
) -> None:
    """Add the P waves that no QRS follows, each that of the beat after it, where the T wave before it has ended."""
    start, stop = round(P_START_S * record.fs), round(P_END_S * record.fs)
    for number in np.flatnonzero(lone_p):
        at, centre = samples[number] - round(lone_p[number] * record.fs), record.samples[beats[number]]
        if centre < start or at - start < samples[number - 1] + AFTER_QRS_S * record.fs:
            continue
        wave = record.signal[centre - start : centre - stop]
        signal[at - start : at - stop] += wave - np.linspace(wave[0], wave[-1], len(wave))


def _fibrillatory_waves(samples: int, fs: float, rng: np.random.Generator) -> np.ndarray:
    """4 to 8 Hz, of up to 0.15 mV or none at all, with some noise; mV, shape (samples,)."""
    amplitude = rng.choice([0.0, 0.02, 0.05, 0.1]) * rng.uniform(0.5, 1.5)
    frequency = rng.uniform(4, 8) * (1 + 0.12 * _smooth(samples, round(0.3 * fs), rng))
    phase = 2 * np.pi * np.cumsum(frequency) / fs
    shape = np.sin(phase) + 0.35 * np.sin(2 * phase + rng.uniform(0, 2 * np.pi))
    swell = 1 + 0.4 * _smooth(samples, round(0.8 * fs), rng)
    noise = rng.uniform(0.002, 0.02) * rng.standard_normal(samples)
    return np.asarray(amplitude * swell * shape + noise)


def _smooth(count: int, step: int, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers ``step`` apart, straight lines between them; shape (count,)."""
    places = np.arange(0, count + step, step)
    return np.interp(np.arange(count), places, rng.standard_normal(len(places)))
