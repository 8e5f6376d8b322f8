"""A signal that comes in pieces -> labelled beats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heartzoo.classification.personal_map import PersonalMap
from heartzoo.config.export import HIGHEST_HZ, LOWEST_HZ
from heartzoo.data.beats import Examples
from heartzoo.data.intake import Intake
from heartzoo.data.quality import Stretch
from heartzoo.errors import UserError
from heartzoo.prevalence import RunningPrevalence
from heartzoo.zoo.published import PublishedModel, load_tflite

DEFAULT_MODEL = "arr-5-rr-sm"


@dataclass(frozen=True)
class Beat:
    """A labelled beat.

    Attributes:
        sample: its R peak, in samples from the start of the recording.
        time_s: the same in seconds.
        label: the model's class.
        confidence: that class's probability.
        abstained: the confidence is below the model's threshold: better not to rely on the label.
    """

    sample: int
    time_s: float
    label: str
    confidence: float
    abstained: bool


class Stream:
    """Takes a signal in pieces of any size and gives beats as they are decided; the same ones whatever the pieces.

    A beat is decided when the next one is found or can only come more than 3 s later (a model without features of the
    following interval does not wait for it), and the signal that the model looks at is there.

    Args:
        model: ``NAME`` or ``NAME@VERSION`` of the zoo, or what :func:`heartzoo.load_tflite` gave.
        fs: sampling rate of the signal in Hz, 100 to 1,000.
        r_peaks: R peaks that are known already, in samples of the signal, ascending, shape (n,); by default they are
            found, see :mod:`heartzoo.data.detection`.
        personal: what adapts the model to the person, from :func:`heartzoo.personalise`, or its file; by default
            nothing.

    Attributes:
        model: the model.
        personalised_by: the recording that it was adapted to its person by; None for nobody's.
        longest_delay_s: no beat is given later than this after its R peak, if the pieces come in time; usually it is
            the next R-R interval and .3 s.

    Raises:
        UserError: no such model, or one that labels frames by rhythm; a sampling rate out of range; R peaks that do not
            ascend; a personal map of another model.

    Example:
        >>> stream = Stream("arr-5-rr-sm", fs=250.0)
        >>> for piece in pieces:  # doctest: +SKIP
        ...     for beat in stream.push(piece):
        ...         print(beat.time_s, beat.label)
        >>> rest = stream.finish()
    """

    def __init__(
        self,
        model: str | PublishedModel,
        fs: float,
        r_peaks: np.ndarray | None = None,
        personal: PersonalMap | Path | str | None = None,
    ) -> None:
        self.model = model if isinstance(model, PublishedModel) else load_tflite(model)
        require_beats(self.model)
        require_fs(fs)
        self._fs = float(fs)
        self._intake = Intake(self.model.config.input, self._fs, r_peaks)
        self._prevalence = RunningPrevalence(self.model.config)
        known = PersonalMap.read(personal) if isinstance(personal, Path | str) else personal
        if not isinstance(known, PersonalMap | None):
            raise UserError(f"expected a personal map, found {type(known).__name__}", "heartzoo.personalise gives one")
        self._personal = known.of(self.model) if known else None
        self.personalised_by = known.recording if known else None
        confidence = self.model.entry.configuration.get("confidence", {})
        self._threshold = confidence.get("threshold") or 0.0
        self._finished = False
        self.longest_delay_s = self._intake.longest_delay_s

    @property
    def quality(self) -> list[Stretch]:
        """The stretches of poor signal so far."""
        return self._intake.quality

    @property
    def missing(self) -> int:
        """How many samples so far were NaN or infinite; each was taken as the one before it."""
        return self._intake.missing

    def push(self, signal: np.ndarray) -> list[Beat]:
        """Take the next samples.

        Args:
            signal: in mV, NaN where missing, shape (any,).

        Returns:
            The beats that are decided now, in order of time.

        Raises:
            UserError: not one row of numbers, or the stream has ended.
        """
        if self._finished:
            raise UserError("this stream has ended with finish()", "begin another heartzoo.Stream")
        return [beat for examples in self._intake.push(numbers(signal)) for beat in self._labelled(examples)]

    def finish(self) -> list[Beat]:
        """The beats that are left when the signal ends. Nothing may be pushed after that."""
        self._finished = True
        return [beat for examples in self._intake.finish() for beat in self._labelled(examples)]

    def _labelled(self, examples: Examples) -> list[Beat]:
        if not len(examples.samples):
            return []
        rr = examples.rr if self.model.config.input.beat_features else None
        probabilities = self.model.probabilities(examples.frames, rr, self._prevalence, self._personal)
        return [
            Beat(sample, sample / self._fs, self.model.classes[called], confidence, confidence < self._threshold)
            for sample, called, confidence in zip(
                examples.samples.tolist(),
                probabilities.argmax(axis=1).tolist(),
                probabilities.max(axis=1).tolist(),
                strict=True,
            )
        ]


def require_beats(model: PublishedModel) -> None:
    """Refuse a model that labels frames by rhythm.

    Raises:
        UserError: it does.
    """
    if model.config.input.cut == "rhythm":
        raise UserError(f"{model.entry.name} labels frames by rhythm, not beats", f"take {DEFAULT_MODEL}")


def require_fs(fs: float) -> None:
    """Refuse a sampling rate out of range.

    Raises:
        UserError: it is below 100 or above 1,000 Hz.
    """
    if not (isinstance(fs, int | float | np.integer | np.floating) and LOWEST_HZ <= fs <= HIGHEST_HZ):
        found = f"{fs:g}" if isinstance(fs, int | float) else repr(fs)
        raise UserError(
            f"expected a sampling rate of {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz, found {found}", "resample the recording"
        )


def numbers(signal: np.ndarray) -> np.ndarray:
    """A signal as float64, shape (samples,); what a NumPy array masks is missing.

    Raises:
        UserError: not one row of numbers.
    """
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiu":
        raise UserError(
            f"expected one row of numbers in mV, found shape {x.shape} of {x.dtype}", "choose one lead of the recording"
        )
    return np.ma.filled(np.ma.asarray(signal).astype(np.float64), np.nan)
