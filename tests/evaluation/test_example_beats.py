"""Example beats: really of the stated class and verdict, cut where they are, drawn from many records."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from heartzoo.confidence import Decisions
from heartzoo.config.file import load_config
from heartzoo.data.databases import get_database
from heartzoo.data.records import open_record
from heartzoo.data.splits import get_split
from heartzoo.evaluation import Subject, evaluate_each_beat
from heartzoo.evaluation.example_beats import REACH_S, Verdicts, choose, example_beats
from heartzoo.plots.strips import attribution, beat_strips
from heartzoo.tasks import TASKS

TASK = TASKS["beat-3"]


@pytest.fixture
def judged(tiny, cache):
    """Evaluations on the synthetic recordings by a model that calls beats by one sample, and its verdicts."""

    def predict(chunks, total):
        return (chunk["signal"][:, 0, 30:33, 0] for chunk in chunks)

    model = Subject(load_config(tiny), "float32", "keras", "1" * 64, 0, predict, temperature=2.0)
    return evaluate_each_beat(model, get_split("synthetic-test"))


def test_verdicts_are_those_of_the_evaluation(judged):
    (result,), verdicts = judged
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (verdicts.decisions.labels, verdicts.decisions.predictions), 1)
    assert matrix.tolist() == result.confusion_matrix
    assert len(verdicts.records) == len(verdicts.samples) == result.n


def test_each_beat_is_what_is_said_of_it(judged):
    _, verdicts = judged
    beats = example_beats(verdicts, get_database("synthetic"), each=2)
    order = [(beat.label, beat.right) for beat in beats]
    assert order == [(k, right) for k in range(3) for right in (True, False) for _ in range(2)]
    for beat in beats:
        record = open_record("synthetic", beat.record)
        sample = round(beat.position_s * record.fs)
        (annotated,) = np.flatnonzero(record.samples == sample)
        assert TASK.labels(record.symbols[annotated : annotated + 1])[0] == beat.label
        (row,) = np.flatnonzero((verdicts.records == beat.record) & (verdicts.samples == sample))
        assert verdicts.decisions.predictions[row] == beat.prediction
        assert verdicts.decisions.confidence[row] == beat.confidence
        # Where the strip says its sample is, the recording has about that value.
        inside = np.abs(beat.times) < 0.9 * REACH_S
        there = np.interp(
            beat.position_s + beat.times[inside], np.arange(len(record.signal)) / record.fs, record.signal
        )
        assert np.corrcoef(there, beat.signal[inside])[0, 1] > 0.98
        assert beat.lead == record.lead


def test_a_beat_at_an_end_has_a_shorter_strip(cache):
    record = open_record("synthetic", "syn24")
    ends = Verdicts(
        np.array(["syn24", "syn24"]),
        record.samples[[0, -1]],
        Decisions(np.array([0, 1]), np.array([0, 1]), np.array([0.5, 0.6])),
    )
    first, last = example_beats(ends, get_database("synthetic"))
    assert first.times[0] == pytest.approx(max(-first.position_s, -REACH_S))
    assert last.position_s + last.times[-1] < len(record.signal) / record.fs
    assert len(first.times) == len(first.signal) and len(last.times) == len(last.signal)


def test_beats_come_from_as_many_records_as_there_are():
    records = np.array(["a"] * 97 + ["b", "b", "c"])
    verdicts = Verdicts(records, np.arange(100), Decisions(np.zeros(100, int), np.zeros(100, int), np.ones(100)))
    for each, expected in ((3, "abc"), (5, "aabbc"), (7, "aaaabbc")):
        rows = choose(verdicts, each)
        assert "".join(sorted(records[rows])) == expected and len(set(rows)) == each
        assert rows == choose(verdicts, each)
    assert len(choose(verdicts, 200)) == 100


def test_the_picture_names_class_verdict_and_where_each_beat_is_from(judged):
    (result,), verdicts = judged
    verdicts.decisions.predictions[verdicts.decisions.labels == 2] = 2  # no PVC is called wrong
    database = get_database("synthetic")
    beats = example_beats(verdicts, database, each=2)
    figure = beat_strips("tiny@1.0.0", result, beats, database)
    strips = [axes for axes in figure.axes if axes.lines]
    assert len(strips) == len(beats) == 10
    for axes in strips:
        said, where = axes.get_title("left"), axes.get_title("right")
        (beat,) = (b for b in beats if len(b.signal) == len(axes.lines[0].get_ydata())
                   and (b.signal == axes.lines[0].get_ydata()).all())  # fmt: skip
        assert (
            said
            == f"{TASK.classes[beat.label]} called {TASK.classes[beat.prediction]}, {100 * beat.confidence:.1f} % sure"
        )
        minutes, seconds = divmod(int(beat.position_s), 60)
        assert where == f"{beat.record} {beat.lead} {minutes}:{seconds:02}"
        assert beat.right == (axes.get_subplotspec().colspan.start == 0)
    figure.draw_without_rendering()
    shown = [text.get_text().replace("\n", " ") for text in figure.findobj(Text) if text.get_text()]
    assert attribution(beats, database) in shown and "no PVC called wrong" in shown
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8


def test_the_database_and_its_licence_are_named(judged):
    beats = example_beats(judged[1], get_database("synthetic"), each=1)[:1]
    named = attribution(beats, get_database("mitdb"))
    assert named == f"MIT-BIH Arrhythmia Database, record {beats[0].record} (ODC-By 1.0)"
