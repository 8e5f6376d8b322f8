"""A published model at work: its float network for retraining, its int8 file with the preprocessing it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heartzoo.errors import UserError
from heartzoo.zoo import Entry, named

if TYPE_CHECKING:
    import keras
    import numpy as np

    from heartzoo.config import Config
    from heartzoo.config.export import Runtime
    from heartzoo.data.beats import Examples
    from heartzoo.data.records import Record
    from heartzoo.personalisation import LogitMap
    from heartzoo.prevalence import RunningPrevalence
    from heartzoo.runtime import TfliteModel


def load(name: str, zoo: Path | str | None = None) -> keras.Model:
    """Load a model's float network, in safe mode, for inference or retraining.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Returns:
        A Keras model from ``{"signal": (n, 1, frame, 1)[, "rr": (n, features)]}`` to logits ``(n, classes)``.

    Raises:
        UserError: no such model, or its file is damaged.
    """
    from heartzoo.stderr import captured_stderr

    path = named(name, zoo).path("model.keras")
    with captured_stderr():  # TensorFlow's start-up messages tell a user nothing
        from heartzoo.checkpoints import load_model

        return load_model(path)


def load_tflite(name: str, runtime: Runtime | None = None, zoo: Path | str | None = None) -> PublishedModel:
    """Load a model's int8 file.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        runtime: ``"tflm"``, ``"reference"`` or ``"xnnpack"``; default TFLite Micro where it is installed.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Raises:
        UserError: no such model, its file is damaged, or the runtime is not installed.
    """
    from heartzoo.runtime import TfliteModel
    from heartzoo.tasks import get_task

    entry = named(name, zoo)
    config = entry.config
    tflite = TfliteModel(entry.path("model.tflite").read_bytes(), runtime)
    return PublishedModel(entry, config, get_task(config.task).classes, tflite)


@dataclass(frozen=True)
class PublishedModel:
    """An int8 model with its preprocessing contract.

    Attributes:
        entry: its entry in the zoo.
        config: its configuration.
        classes: class names in the order of the logits.
        tflite: the network.
    """

    entry: Entry
    config: Config
    classes: tuple[str, ...]
    tflite: TfliteModel

    def predict(self, frames: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        """Classify frames.

        Args:
            frames: shape (n, frame), in mV at the model's sampling rate, the beat at ``frame // 2``; they are
                normalised here. A model whose configuration says ``cut: r-peak`` takes frames scaled to 0-1, one that
                says ``cut: difference`` what :func:`heartzoo.data.template.differences` gives, and one that says
                ``cut: features`` the features themselves.
            rr: R-R features, then template features, shape (n, features), for a model that takes them.

        Returns:
            float32 logits, shape (n, classes). Where the configuration names a ``prevalence``, a recording's beats are
            called by what :class:`heartzoo.prevalence.RunningPrevalence` makes of them.

        Raises:
            UserError: a wrong shape, NaN values, or features missing or not taken.
        """
        import numpy as np

        from heartzoo.data.signal import normalise

        frames = np.asarray(frames)
        if frames.ndim != 2:
            raise UserError(
                f"expected frames of shape (n, {self.config.input.frame}), found {frames.shape}",
                "give one frame as frame[None]",
            )
        return self.tflite.predict(normalise(frames, self.config.input), rr)

    def logits(
        self, frames: np.ndarray, rr: np.ndarray | None = None, prevalence: RunningPrevalence | None = None
    ) -> np.ndarray:
        """The logits by which beats are called: those of :meth:`predict`, after the configuration's ``prevalence``.

        Args:
            frames: as in :meth:`predict`; where the configuration names a ``prevalence``, the beats of one recording in
                order of time.
            rr: likewise.
            prevalence: what has followed the recording's beats before these; default nothing, as at its start.

        Returns:
            Shape (n, classes).

        Raises:
            UserError: as :meth:`predict`.
        """
        from heartzoo.prevalence import RunningPrevalence

        return (prevalence or RunningPrevalence(self.config)).shifted(self.predict(frames, rr))

    def probabilities(
        self,
        frames: np.ndarray,
        rr: np.ndarray | None = None,
        prevalence: RunningPrevalence | None = None,
        personal: LogitMap | None = None,
    ) -> np.ndarray:
        """Probability of each class, ``softmax(logits / temperature)``, with the configuration's temperature.

        Args:
            frames: as in :meth:`logits`.
            rr: likewise.
            prevalence: likewise.
            personal: what makes the logits one person's; default nothing.

        Returns:
            float64, shape (n, classes). The largest is the confidence; below the threshold under ``confidence`` of the
            configuration the model had better abstain.

        Raises:
            UserError: as :meth:`predict`.
        """
        from heartzoo.confidence import probabilities

        confidence = self.entry.configuration.get("confidence", {"temperature": 1.0})  # older versions have none
        logits = self.logits(frames, rr, prevalence)
        return probabilities(personal(logits) if personal else logits, confidence["temperature"])

    def label_beats(self, record: Record) -> list[str]:
        """Class of every annotated beat of a record, cut and normalised as the model's contract says.

        Raises:
            UserError: the model labels frames by rhythm, see :meth:`label_frames`; no record; or beats that are not
                ascending samples of the signal.
        """
        _require_record(record)
        if self.config.input.cut == "rhythm":
            raise UserError(f"{self.entry.name} labels frames by rhythm, not beats", "call label_frames")
        from heartzoo.data.beats import cut_beats
        from heartzoo.data.r_peaks import as_r_peaks, refuse_past_end

        refuse_past_end(as_r_peaks(record.samples), len(record.signal), record.fs)
        if not len(record.samples):
            return []
        return self._labels(cut_beats(record, self.config.input))

    def label_frames(self, record: Record) -> list[str]:
        """Class of every frame of a record, one after the other, by a model that labels frames by rhythm.

        Raises:
            UserError: the model labels beats; no record.
        """
        _require_record(record)
        from heartzoo.data.beats import cut_frames

        if self.config.input.cut != "rhythm":
            raise UserError(f"{self.entry.name} labels beats, not frames", "call label_beats")
        return self._labels(cut_frames(record, self.config.input))

    def _labels(self, examples: Examples) -> list[str]:
        rr = examples.rr if self.config.input.beat_features else None
        return [self.classes[index] for index in self.probabilities(examples.frames, rr).argmax(axis=1)]


def _require_record(record: object) -> None:
    from heartzoo.data.records import Record

    if not isinstance(record, Record):
        raise UserError(
            f"expected a record, found {type(record).__name__}",
            "heartzoo.open_record gives one; heartzoo.classify takes arrays",
        )
