"""Whole recordings -> classifications: a stream from the first sample to the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo.classification.gallery import Gallery
from heartzoo.classification.personal_map import PersonalMap
from heartzoo.classification.stream import DEFAULT_MODEL, Beat, Stream, numbers
from heartzoo.classification.summary import ectopic_classes, summarise
from heartzoo.data.databases import get_database
from heartzoo.data.quality import Stretch
from heartzoo.data.recordings import Recording
from heartzoo.data.splits import get_split
from heartzoo.progress import track
from heartzoo.tasks import Task, get_task
from heartzoo.zoo.published import PublishedModel


@dataclass(frozen=True)
class Classification:
    """The labelled beats of a recording.

    Attributes:
        name: of the recording.
        lead: the lead that was read.
        model: name and version of the model.
        task: what the model tells apart.
        fs: sampling rate of the recording in Hz.
        seconds: how long it lasts.
        beats: its beats, in order of time.
        quality: its stretches of poor signal.
        missing: how many samples were missing.
        annotated: whether the R peaks are the recording's annotations.
        personalised_by: the recording that the model was adapted to its person by; None for nobody's.
        gallery: mean beats and strips, for the report.
    """

    name: str
    lead: str
    model: str
    task: Task
    fs: float
    seconds: float
    beats: list[Beat]
    quality: list[Stretch]
    missing: int
    annotated: bool
    personalised_by: str | None
    gallery: Gallery = field(repr=False)

    @property
    def summary(self) -> dict[str, Any]:
        """See :func:`heartzoo.classification.summary.summarise`."""
        return summarise(self.beats, self.quality, self.seconds, self.task)


def classify(
    signal: np.ndarray,
    fs: float,
    model: str | PublishedModel = DEFAULT_MODEL,
    r_peaks: np.ndarray | None = None,
    personal: PersonalMap | Path | str | None = None,
) -> Classification:
    """Label every beat of a signal.

    Args:
        signal: one lead in mV, NaN where missing, shape (samples,).
        fs: its sampling rate in Hz, 100 to 1,000.
        model: ``NAME`` or ``NAME@VERSION`` of the zoo, or what :func:`heartzoo.load_tflite` gave.
        r_peaks: R peaks that are known already, in samples, ascending, shape (n,); by default they are found.
        personal: what adapts the model to the person, from :func:`heartzoo.personalise`, or its file; by default
            nothing.

    Returns:
        The beats, the stretches of poor signal, and a summary.

    Raises:
        UserError: as :class:`heartzoo.Stream`.

    Example:
        >>> import heartzoo as hz
        >>> record = hz.open_record("synthetic", "syn24")
        >>> hz.classify(record.signal, record.fs).summary["beats"]
        321
    """
    stream = Stream(model, fs, r_peaks, personal)
    step = round(60 * fs)
    x = numbers(signal)
    pieces = (x[start : start + step] for start in range(0, len(x), step))
    return _classified(stream, pieces, "signal", "", fs, len(x), r_peaks is not None)


def classify_recording(
    recording: Recording,
    model: PublishedModel,
    annotated: bool = True,
    progress: bool = True,
    personal: PersonalMap | None = None,
) -> Classification:
    """Label every beat of a recording, in memory that its length does not change.

    Args:
        recording: from :func:`heartzoo.data.recordings.open_recording`.
        model: the model.
        annotated: take the recording's annotated beats for R peaks, if it has any.
        progress: show a progress bar.
        personal: what adapts the model to the person; by default nothing.

    Raises:
        UserError: as :class:`heartzoo.Stream`, or the recording is damaged.
    """
    peaks = recording.beats if annotated else None
    stream = Stream(model, recording.fs, peaks, personal)
    pieces: Iterable[np.ndarray] = recording.pieces()
    if progress:
        pieces = track(pieces, recording.number_of_pieces, f"classify {recording.name}, 5 min each")
    name, lead, given = recording.name, recording.lead, peaks is not None
    return _classified(stream, pieces, name, lead, recording.fs, recording.samples, given)


def _classified(
    stream: Stream, pieces: Iterable[np.ndarray], name: str, lead: str, fs: float, samples: int, annotated: bool
) -> Classification:
    entry = stream.model.entry
    task = get_task(stream.model.config.task)
    gallery = Gallery(fs, ectopic_classes(task), stream.longest_delay_s)
    beats: list[Beat] = []
    for piece in pieces:
        new = stream.push(piece)
        gallery.push(piece, new)
        beats += new
    rest = stream.finish()
    gallery.finish(rest)
    return Classification(
        name=name,
        lead=lead,
        model=f"{entry.name}@{entry.version}",
        task=task,
        fs=fs,
        seconds=samples / fs,
        beats=beats + rest,
        quality=stream.quality,
        missing=stream.missing,
        annotated=annotated,
        personalised_by=stream.personalised_by,
        gallery=gallery,
    )


def trained_leads(model: PublishedModel) -> list[str]:
    """Names of the leads that a model was trained on, by preference.

    Of a version that does not say which they were, those that its databases prefer.
    """
    config, splits = model.config, model.entry.configuration["splits"]
    stated = splits.get("training_leads")
    found: list[str] = []
    for name in config.learnt_from:
        leads = config.data.leads or get_database(get_split(name).database).leads
        # of the records of a pretrained network it is not stated
        found += [lead for lead in leads if stated is None or lead in stated or name not in splits["train"]]
    return list(dict.fromkeys(found))


def leads_to_take(model: PublishedModel) -> list[str]:
    """Those leads, and behind them II, of which the MLII of Holter recorders is a modification."""
    trained = trained_leads(model)
    return [*trained, *(["II"] if "MLII" in trained else [])]
