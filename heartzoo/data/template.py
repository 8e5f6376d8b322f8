"""A beat beside the running template of the patient's own regular beats, learned without labels.

Notation. ``x`` is the signal in mV at ``fs`` after the high-pass. A beat's window holds x from 0.40 s before the beat
to 0.56 s after it. The record's first ten beats are *regular*, and of the others, in the notation
of :mod:`heartzoo.data.rr`, those with

* ``|log2(pre / median of H(64))| < 0.15`` by the rule ``median``;
* ``log2(pre / 90 % quantile of H(128)) > -0.25`` by the rule ``late``, which follows the sinus beats also where most
  beats are early.

The template starts as the first beat's window. Each beat is shifted by up to 0.05 s to where the correlation of its QRS
with the template's is highest (of equal ones the earliest), its features are taken, and if it is regular the template
moves by 1/min(n, 16) of the way towards its shifted window, n being the number of regular beats up to it. So features
depend on the record so far alone.

A feature that ends in ``_unusual`` says how far another one, ``f``, is from what the patient's regular beats before it
had, one that ends in ``_usual`` what they had. ``m`` starts as the first beat's f, ``v`` as 0.05^2; of a regular beat,
n of them up to and including it, with ``a = 1/min(n, 32)`` and ``d = f - m`` limited to -0.5 ... 0.5: ``m = m + a d``,
and, but for the first, ``v = (1 - a)(v + a d^2)``.

``b`` and ``T`` are the shifted window and the template before that step, each less its mean; QRS is -0.08 ... 0.12 s, P
-0.30 ... -0.07 s, T-wave 0.12 ... 0.51 s, slope (where that of the QRS is) -0.12 ... 0.22 s. The shape of a QRS is
measured from the level before it: ``q = x - mean x over level``, x being b or T; level is -0.14 ... -0.08 s, early
-0.08 ... 0 s, late 0.06 ... 0.16 s. Every feature is limited to -1 ... 1.

References:
    A matched filter of the patient's own beat: Hamilton and Tompkins 1988, Adaptive matched filtering for QRS
    detection (IEEE EMBS); correlation with a running template: Krasteva and Jekova 2007, QRS template matching for
    recognition of ventricular ectopic beats (Annals of Biomedical Engineering).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from heartzoo.data.rr import rr_features

BEFORE_S, AFTER_S = 0.40, 0.56
SHIFT_S = 0.05
REGULAR_OCTAVES, LATE_OCTAVES, FIRST_BEATS, MEMORY_BEATS = 0.15, -0.25, 10, 16
RegularRule = Literal["median", "late"]
REGULAR_FEATURES = ("pre_median", "pre_slow")
USUAL_BEATS, USUAL_SPREAD, USUAL_STEP = 32, 0.05, 0.5
WAVES_S = {
    "QRS": (-0.08, 0.12),
    "P": (-0.30, -0.07),
    "T-wave": (0.12, 0.51),
    "slope": (-0.12, 0.22),
    "level": (-0.14, -0.08),
    "early": (-0.08, 0.0),
    "late": (0.06, 0.16),
}
EPSILON_MV, EPSILON_STEP_MV = 0.01, 0.001


@dataclass(frozen=True)
class Compared:
    """Beats and what each is compared with.

    Attributes:
        beats: shifted windows less their means, shape (n, window).
        templates: the templates before each beat, likewise.
        regular: which beats the template learns from, boolean, shape (n,).
        fs: sampling rate, Hz.
        memory: what was usual of the features of the record's beats before these.
    """

    beats: np.ndarray
    templates: np.ndarray
    regular: np.ndarray
    fs: float
    memory: dict[str, _Usual] = field(default_factory=dict)
    _followed: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def usual(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """``m`` and ``v`` of a feature before each beat, shape (n,) each."""
        if name not in self._followed:
            found = _limited(_SHAPES[name], self)
            self._followed[name] = self.memory.setdefault(name, _Usual()).follow(found, self.regular)
        return self._followed[name]

    def wave(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """That part of the beats and of the templates."""
        part = wave(name, self.fs)
        return self.beats[:, part], self.templates[:, part]


@dataclass(frozen=True)
class TemplateFeature:
    """A template feature.

    Attributes:
        formula: its definition in the notation of this module.
        value: function that gives it for every beat, not limited yet; shape (n,).
    """

    formula: str
    value: Callable[[Compared], np.ndarray]


def wave(name: str, fs: float) -> slice:
    """Where a wave lies in a window."""
    start, stop = (round((BEFORE_S + edge) * fs) for edge in WAVES_S[name])
    return slice(start, stop)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the last axis, in mV; a flat line correlates with nothing."""
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    power = (a**2).sum(axis=-1) * (b**2).sum(axis=-1)
    found: np.ndarray = (a * b).sum(axis=-1) / np.sqrt(power + EPSILON_MV**4)
    return found


def _match(wave: str) -> TemplateFeature:
    return TemplateFeature(
        f"correlation of b and T over {wave}, sum((b - mean)(T - mean)) / sqrt(sum((b - mean)^2) * sum((T - mean)^2) + "
        f"{EPSILON_MV:g}^4)",
        lambda c: _correlation(*c.wave(wave)),
    )


def _size(wave: str) -> TemplateFeature:
    def ratio(compared: Compared) -> np.ndarray:
        beat, template = (np.ptp(part, axis=1) + EPSILON_MV for part in compared.wave(wave))
        return np.log2(beat / template)

    return TemplateFeature(
        f"log2((max b - min b + {EPSILON_MV:g}) / (max T - min T + {EPSILON_MV:g})) over {wave}", ratio
    )


def _length(compared: Compared) -> np.ndarray:
    beat, template = (np.abs(np.diff(part, axis=1)).sum(axis=1) + EPSILON_MV for part in compared.wave("QRS"))
    return np.log2(beat / template)


def _width(compared: Compared) -> np.ndarray:
    """How far the squared slope spreads in time around its centre."""
    widths = []
    for part in compared.wave("slope"):
        energy = np.diff(part, axis=1) ** 2 + EPSILON_STEP_MV**2
        energy /= energy.sum(axis=1, keepdims=True)
        place = np.arange(energy.shape[1])
        centre = (energy * place).sum(axis=1, keepdims=True)
        widths.append(np.sqrt((energy * (place - centre) ** 2).sum(axis=1)))
    return np.log2(widths[0] / widths[1])


def _qrs_size(compared: Compared) -> np.ndarray:
    """Of the template, mV, shape (n,)."""
    size: np.ndarray = np.ptp(compared.wave("QRS")[1], axis=1) + EPSILON_MV
    return size


def _difference(wave: str) -> TemplateFeature:
    def relative(compared: Compared) -> np.ndarray:
        beat, template = compared.wave(wave)
        return np.sqrt(((beat - template) ** 2).mean(axis=1)) / _qrs_size(compared)

    return TemplateFeature(
        f"root mean square of b - T over {wave}, divided by max T - min T + {EPSILON_MV:g} over QRS", relative
    )


class _Usual:
    """``m`` and ``v`` of one feature, as they move from beat to beat."""

    def __init__(self) -> None:
        self._usual, self._spread, self._count = math.nan, USUAL_SPREAD**2, 0

    def follow(self, found: np.ndarray, regular: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both before each of the next beats, shape (n,) each, of the feature's values."""
        if math.isnan(self._usual) and len(found):
            self._usual = float(found[0])
        before = np.empty((2, len(found)))
        for k, (value, teaches) in enumerate(zip(found.tolist(), regular.tolist(), strict=True)):
            before[:, k] = self._usual, self._spread
            if teaches:
                self._learn(value)
        return before[0], before[1]

    def _learn(self, value: float) -> None:
        self._count += 1
        weight = 1 / min(self._count, USUAL_BEATS)
        step = min(max(value - self._usual, -USUAL_STEP), USUAL_STEP)
        self._usual += weight * step
        if self._count > 1:
            self._spread = (1 - weight) * (self._spread + weight * step**2)


def _unusual(name: str) -> TemplateFeature:
    def distance(compared: Compared) -> np.ndarray:
        found = _limited(_SHAPES[name], compared)
        usual, spread = compared.usual(name)
        return (found - usual) / (4 * (np.sqrt(spread) + 0.03))

    return TemplateFeature(f"(f - m) / (4 (sqrt(v) + 0.03)), f = {name}", distance)


def _usual(name: str) -> TemplateFeature:
    return TemplateFeature(f"m, f = {name}", lambda compared: compared.usual(name)[0])


def _share(wave: str) -> TemplateFeature:
    def ratio(compared: Compared) -> np.ndarray:
        size = np.ptp(compared.wave(wave)[1], axis=1) + EPSILON_MV
        return np.log2(size / _qrs_size(compared)) / 4

    return TemplateFeature(
        f"log2((max T - min T + {EPSILON_MV:g} over {wave}) / (max T - min T + {EPSILON_MV:g} over QRS)) / 4", ratio
    )


def _from_level(x: np.ndarray, part: str, fs: float) -> np.ndarray:
    return x[:, wave(part, fs)] - x[:, wave("level", fs)].mean(axis=1, keepdims=True)


def _polarity(x: np.ndarray, fs: float) -> np.ndarray:
    q = _from_level(x, "QRS", fs)
    high, low = q.max(axis=1), q.min(axis=1)
    found: np.ndarray = (high + low) / (high - low + EPSILON_MV)
    return found


def _area(x: np.ndarray, fs: float) -> np.ndarray:
    q = _from_level(x, "QRS", fs)
    found: np.ndarray = q.mean(axis=1) / (np.abs(q).mean(axis=1) + EPSILON_STEP_MV)
    return found


def _part(name: str, times: int) -> Callable[[np.ndarray, float], np.ndarray]:
    def mean(x: np.ndarray, fs: float) -> np.ndarray:
        size = np.ptp(x[:, wave("QRS", fs)], axis=1) + EPSILON_MV
        found: np.ndarray = times * _from_level(x, name, fs).mean(axis=1) / size
        return found

    return mean


QRS_SHAPES: dict[str, tuple[str, Callable[[np.ndarray, float], np.ndarray]]] = {
    "polarity": (f"(max q + min q) / (max q - min q + {EPSILON_MV:g}) over QRS", _polarity),
    "area": (f"mean q / (mean |q| + {EPSILON_STEP_MV:g}) over QRS", _area),
    "early": (f"mean q over early, divided by max q - min q + {EPSILON_MV:g} over QRS", _part("early", 1)),
    "late": (f"2 (mean q over late), divided by max q - min q + {EPSILON_MV:g} over QRS", _part("late", 2)),
}


def _qrs_shape(name: str, of_template: bool) -> TemplateFeature:
    formula, measure = QRS_SHAPES[name]
    return TemplateFeature(
        f"{formula}, x = {'T' if of_template else 'b'}",
        lambda compared: measure(compared.templates if of_template else compared.beats, compared.fs),
    )


_SHAPES: dict[str, TemplateFeature] = {
    "qrs_match": _match("QRS"),
    "p_match": _match("P"),
    "t_match": _match("T-wave"),
    "qrs_size": _size("QRS"),
    "p_size": _size("P"),
    "qrs_length": TemplateFeature(
        f"log2((sum|b[i+1] - b[i]| + {EPSILON_MV:g}) / (sum|T[i+1] - T[i]| + {EPSILON_MV:g})), i and i+1 in QRS",
        _length,
    ),
    "qrs_difference": _difference("QRS"),
    "p_difference": _difference("P"),
    "t_difference": _difference("T-wave"),
}

TEMPLATE_FEATURES = (
    _SHAPES
    | {f"{name}_unusual": _unusual(name) for name in _SHAPES}
    | {"p_match_usual": _usual("p_match"), "template_p": _share("P"), "template_t": _share("T-wave")}
    | {
        "qrs_width": TemplateFeature(
            f"log2(width of b / width of T); width = sqrt(sum(e (i - c)^2) / sum(e)), c = sum(e i) / sum(e), with "
            f"e[i] = (b[i+1] - b[i])^2 + {EPSILON_STEP_MV:g}^2, i and i+1 in slope",
            _width,
        )
    }
    | {f"qrs_{name}": _qrs_shape(name, of_template=False) for name in QRS_SHAPES}
    | {f"template_{name}": _qrs_shape(name, of_template=True) for name in QRS_SHAPES}
)


def window_samples(fs: float) -> int:
    """Samples in a beat's window."""
    return round(BEFORE_S * fs) + round(AFTER_S * fs)


def reach(fs: float) -> tuple[int, int]:
    """Samples before a beat and from it on that its window takes with every shift."""
    return round(BEFORE_S * fs) + round(SHIFT_S * fs), round(AFTER_S * fs) + round(SHIFT_S * fs)


def regular_beats(samples: np.ndarray, fs: float, rule: RegularRule, lost: np.ndarray | None = None) -> np.ndarray:
    """Which beats of a record are regular.

    Args:
        samples: beat positions, ascending, shape (n,).
        fs: their sampling rate in Hz.
        rule: see above.
        lost: whether signal was lost between each beat and the next, boolean, shape (n - 1,); by default nowhere.

    Returns:
        Boolean, shape (n,).
    """
    features, numbers = rr_features(samples, fs, REGULAR_FEATURES, lost), np.arange(len(samples))
    return are_regular(features, numbers, rule, None if lost is None else np.append(False, lost))


def are_regular(
    features: np.ndarray, numbers: np.ndarray, rule: RegularRule, lost: np.ndarray | None = None
) -> np.ndarray:
    """Which of some beats of a record are regular, boolean, shape (n,).

    Args:
        features: their :data:`REGULAR_FEATURES`, shape (n, 2).
        numbers: which beats of the record they are, counted from 0, shape (n,).
        rule: see above.
        lost: whether signal was lost since the beat before, boolean, shape (n,): its time is not known then, and it is
            none of the regular ones, but for the record's first ten; by default nowhere.
    """
    median, slow = features.T
    found = np.abs(median) < REGULAR_OCTAVES if rule == "median" else slow > LATE_OCTAVES
    return (found if lost is None else found & ~lost) | (numbers < FIRST_BEATS)


class RunningTemplate:
    """The template of one recording, whose beats come in pieces.

    Args:
        fs: sampling rate in Hz.
    """

    def __init__(self, fs: float) -> None:
        self._fs, self._shift = fs, round(SHIFT_S * fs)
        self._template: np.ndarray | None = None
        self._taught = 0
        self._memory: dict[str, _Usual] = {}

    def compare(self, wide: np.ndarray, regular: np.ndarray) -> Compared:
        """Shift each of the next beats to the template of those before it.

        Args:
            wide: the signal in mV around each, in order of time, as far as :func:`reach` says; shape
                (n, before + after).
            regular: which of them the template learns from, boolean, shape (n,).
        """
        wide = np.asarray(wide, np.float64)
        length = wide.shape[1] - 2 * self._shift
        shifted = np.lib.stride_tricks.sliding_window_view(wide, length, axis=1)  # (n, 2 * shift + 1, length)
        qrs = wave("QRS", self._fs)
        beats, templates = np.empty((len(wide), length)), np.empty((len(wide), length))
        template = self._template
        for k, teaches in enumerate(regular):  # each beat's shift depends on the template that those before it made
            template = wide[k, self._shift : self._shift + length] if template is None else template
            best = np.argmax(_correlation(shifted[k][:, qrs], template[qrs]))
            beats[k], templates[k] = shifted[k, best], template
            if teaches:
                self._taught += 1
                template = template + 1 / min(self._taught, MEMORY_BEATS) * (beats[k] - template)
        self._template = template
        beats -= beats.mean(axis=1, keepdims=True)
        templates -= templates.mean(axis=1, keepdims=True)
        return Compared(beats, templates, np.asarray(regular), self._fs, self._memory)


def compare(wide: np.ndarray, regular: np.ndarray, fs: float) -> Compared:
    """Shift every beat of a record to the running template of those before it.

    Args:
        wide: as for :meth:`RunningTemplate.compare`, of every beat of the record.
        regular: likewise.
        fs: sampling rate in Hz.
    """
    return RunningTemplate(fs).compare(wide, regular)


def template_features(compared: Compared, names: Sequence[str]) -> np.ndarray:
    """Template features of every beat of a record.

    Args:
        compared: from :func:`compare`.
        names: keys of :data:`TEMPLATE_FEATURES`.

    Returns:
        float32, shape (n, len(names)), within -1 ... 1, never NaN.
    """
    if not names:
        return np.zeros((len(compared.beats), 0), np.float32)
    columns = [_limited(TEMPLATE_FEATURES[name], compared) for name in names]
    return np.stack(columns, axis=1).astype(np.float32)


def _limited(feature: TemplateFeature, compared: Compared) -> np.ndarray:
    return np.clip(feature.value(compared), -1.0, 1.0)


def differences(compared: Compared) -> np.ndarray:
    """What is left of each beat without its template, the template's QRS measuring 1: ``(b - T) / (size of QRS)``.

    A network that sees this instead of the signal has it harder to learn its patients by heart.

    Returns:
        float32, shape (n, window), not limited yet.
    """
    return ((compared.beats - compared.templates) / _qrs_size(compared)[:, None]).astype(np.float32)
