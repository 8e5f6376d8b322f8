"""The example's recording as a device may meet it: electrodes put on late, coming off and put on anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from heartzoo.config import Config
from heartzoo.contract.example import Answers
from heartzoo.data.batches import model_inputs
from heartzoo.data.databases import HEARTBEAT_CSV
from heartzoo.data.intake import Intake
from heartzoo.data.records import open_record
from heartzoo.runtime import TfliteModel
from heartzoo.tasks import get_task

LENGTH_S = 60.0
BEATS_S = 56.0  # those after it are not given
# From when on the signal lies higher, and by how much in mV: more than an electrode's offset, then far off.
ADDED = ((0.0, 7.5), (45.0, 400.0))
# From when to when signal is missing: at the start, too briefly to count as lost, 3 s after the last beat before a
# pause, while it lies far off, at the end.
MISSING_S = ((0.0, 0.4), (10.0, 10.08), (34.3, 34.8), (50.0, 52.0), (BEATS_S, LENGTH_S))
PAUSE_S = (31.0, 35.0)  # no beats are told of
LOST_S, LOST_UNTIL_S = 20.0, 23.0  # missing too, up to the first beat after this and with its R peak
ABOUT = (
    "The beginning of the example's recording as a stream (a device, heartzoo classify), by preprocessing.steps: its "
    "first length samples; from each sample of add_mv on so many mV are added to it (the amounts add up); then the "
    "samples from the first to the last of each pair of missing are missing. beats are all that the stream is told "
    "of, as samples of the recording, scored or not; what is followed from beat to beat follows them all; classes is "
    "what each is called. inputs_sha256, outputs_sha256 and called as in the example, of all these beats. shown, by "
    "number among them: the first, those after missing samples, and the last."
)


def stream_example(config: Config, content: bytes, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a .tflite file makes of a recording that begins with lost signal and has more of it.

    Args:
        config: of the model.
        content: the bytes of the file.
        given: its example, see :func:`heartzoo.contract.example.example`; the recording is the same.

    Returns:
        What goes into ``configuration.json``; None where there is no example, or no stream of beats: rhythm frames,
        beats that were cut by others, a recording that has none where it is to be lost.

    Raises:
        UserError: the recording is neither here nor to be had.
    """
    if given is None or config.input.cut == "rhythm" or given["database"] == HEARTBEAT_CSV:
        return None
    record = open_record(given["database"], given["record"], tuple(config.data.leads) if config.data.leads else None)
    fs, length = record.fs, round(LENGTH_S * record.fs)
    seconds = record.samples / fs
    beats = record.samples[(seconds < BEATS_S) & ~((seconds >= PAUSE_S[0]) & (seconds < PAUSE_S[1]))]
    late = beats[beats >= LOST_UNTIL_S * fs]
    if not len(late):
        return None
    added = [(round(start * fs), mv) for start, mv in ADDED]
    ends = [(round(start * fs), round(end * fs) - 1) for start, end in MISSING_S]
    missing = sorted([*ends, (round(LOST_S * fs), int(late[0]))])
    signal = np.array(record.signal[:length], np.float64)
    for start, mv in added:
        signal[start:] += mv
    for first, last in missing:
        signal[first : last + 1] = np.nan
    intake = Intake(config.input, fs, beats)
    found = [*intake.push(signal), *intake.finish()]
    chunks = [model_inputs(each.frames, each.rr, config.input) for each in found if len(each.samples)]
    answers = Answers(config, TfliteModel(content, config.export.runtime), chunks)
    classes = get_task(config.task).classes
    after = np.searchsorted(beats, [last for _, last in missing[:-1]], side="right")
    return {
        "about": ABOUT,
        "database": given["database"],
        "record": given["record"],
        "length": length,
        "add_mv": [list(pair) for pair in added],
        "missing": [list(pair) for pair in missing],
        "beats": beats.tolist(),
        "classes": [classes[called] for called in answers.called],
        **answers.whole(),
        "shown": [{"number": int(number), **answers.beat(number)} for number in np.unique([0, *after, len(beats) - 1])],
    }
