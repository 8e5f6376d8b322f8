"""Adapting a model to one person: as evaluated, in a file, and refused where it cannot be."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import heartzoo as hz
from heartzoo.classification.personal_map import PersonalMap
from heartzoo.confidence import probabilities
from heartzoo.data import synthetic
from heartzoo.data.beats import cut_beats
from heartzoo.data.databases import get_database
from heartzoo.data.records import Record, read_record
from heartzoo.errors import UserError
from heartzoo.personalisation import FIRST_S, Logits, adapt
from heartzoo.tasks import get_task
from heartzoo.zoo import zoo_folder
from heartzoo.zoo.published import PublishedModel, load_tflite

# Of beat-2-rr-sm the version whose validation patients gained by their labels: those of 1.4.0 gained nothing.
MODELS = ("arr-5-rr-sm", "beat-2-rr-sm@1.3.6", "arr-5-rr-fusion")


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> PublishedModel:
    return load_tflite(request.param, zoo=zoo_folder())


@pytest.fixture(scope="module")
def record() -> Record:
    return synthetic.generate("syn11", 420.0)


def learned(record: Record, model: PublishedModel, **options: float) -> PersonalMap:
    return hz.personalise(record.signal, record.fs, record.samples, record.symbols, model, **options)


def confidences(record: Record, model: PublishedModel, personal: PersonalMap | None) -> list[float]:
    return [b.confidence for b in hz.classify(record.signal, record.fs, model, record.samples, personal).beats]


def called(record: Record, model: PublishedModel, personal: PersonalMap | None) -> list[str]:
    return [b.label for b in hz.classify(record.signal, record.fs, model, record.samples, personal).beats]


def as_evaluated(record: Record, model: PublishedModel, labels: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Classes and confidences that the evaluation of a personalised model gives, where the task scores every beat."""
    cut = cut_beats(record, model.config.input)
    first = record.samples < FIRST_S * record.fs
    answers = model.logits(cut.frames, cut.rr if model.config.input.beat_features else None)
    logits = Logits(answers, labels, np.full(len(labels), record.name), first)
    adapted = adapt(logits, model.entry.personalisation, labelled=True)
    chances = probabilities(adapted, model.entry.configuration["confidence"]["temperature"])
    return [model.classes[number] for number in chances.argmax(axis=1)], chances.max(axis=1)


def test_labels_are_those_of_the_evaluation(record: Record, model: PublishedModel) -> None:
    labels = get_task(model.config.task).labels(record.symbols, "A")
    assert (labels >= 0).all()
    found = learned(record, model)
    wanted, sure = as_evaluated(record, model, labels)
    assert called(record, model, found) == wanted
    np.testing.assert_allclose(confidences(record, model, found), sure, atol=1e-9)
    assert np.abs(sure - confidences(record, model, None)).max() > 0.01
    assert found.agreed_after >= found.agreed_before
    first = labels[record.samples < FIRST_S * record.fs]
    assert found.beats == {name: int((first == number).sum()) for number, name in enumerate(model.classes)}


def test_the_labels_are_followed(record: Record, model: PublishedModel) -> None:
    symbols = np.full(len(record.symbols), ord("S"), np.uint8)
    found = hz.personalise(record.signal, record.fs, record.samples, symbols, model)
    assert found.agreed_before < 0.2 * sum(found.beats.values()) < 0.9 * sum(found.beats.values()) < found.agreed_after
    later = np.flatnonzero(record.samples >= FIRST_S * record.fs)
    before, after = called(record, model, None), called(record, model, found)
    assert np.mean([before[beat] == model.classes[1] for beat in later]) < 0.2
    assert np.mean([after[beat] == model.classes[1] for beat in later]) > 0.9


@pytest.mark.data
@pytest.mark.parametrize("name", ["201", "223"])
def test_real_recordings(physionet: Path, name: str) -> None:
    model = load_tflite("arr-5-rr-sm", zoo=zoo_folder())
    record = read_record(physionet / "mitdb" / "1.0.0", get_database("mitdb"), name)
    labels = get_task("arrhythmia-5").labels(record.symbols, "A")
    wanted, sure = as_evaluated(record, model, labels)
    assert called(record, model, learned(record, model)) == wanted
    np.testing.assert_allclose(confidences(record, model, learned(record, model)), sure, atol=1e-9)


def test_what_comes_later_teaches_nothing(record: Record, model: PublishedModel) -> None:
    later = record.samples >= FIRST_S * record.fs
    symbols = np.where(later, np.uint8(ord("V")), record.symbols)
    signal = np.array(record.signal)
    signal[round((FIRST_S + 10) * record.fs) :] = 0
    changed = hz.personalise(signal, record.fs, record.samples, symbols, model)
    assert changed == learned(record, model)


def test_symbols_may_be_texts_and_others_teach_nothing(record: Record, model: PublishedModel) -> None:
    texts = [chr(code) for code in record.symbols]
    found = hz.personalise(record.signal, record.fs, record.samples, texts, model)
    assert found == learned(record, model)
    assert hz.personalise(record.signal, record.fs, record.samples, list(map(int, record.symbols)), model) == found
    unknown = ["B", *texts[1:]]  # no class holds it
    fewer = hz.personalise(record.signal, record.fs, record.samples, unknown, model)
    assert sum(fewer.beats.values()) == sum(found.beats.values()) - 1
    assert (found.others, fewer.others) == (0, 1)


def test_the_pieces_of_a_stream_do_not_matter(record: Record, model: PublishedModel) -> None:
    personal = learned(record, model)
    stream = hz.Stream(model, record.fs, record.samples, personal)
    beats = [beat for piece in np.array_split(record.signal, 91) for beat in stream.push(piece)] + stream.finish()
    assert [beat.label for beat in beats] == called(record, model, personal)
    np.testing.assert_allclose([beat.confidence for beat in beats], confidences(record, model, personal), atol=1e-9)


def test_a_file_is_read_as_it_was_written(record: Record, model: PublishedModel, tmp_path: Path) -> None:
    personal = learned(record, model, seconds=np.int64(120))
    personal.save(tmp_path / "me.json")
    assert PersonalMap.read(tmp_path / "me.json") == personal
    assert personal.seconds == 120 and personal.model == f"{model.entry.name}@{model.entry.version}"
    stream = hz.Stream(model, record.fs, record.samples, tmp_path / "me.json")
    labels = [beat.label for beat in stream.push(record.signal) + stream.finish()]
    assert labels == called(record, model, personal)


def test_nothing_but_a_map_is_written_over(record: Record, model: PublishedModel, tmp_path: Path) -> None:
    personal, other = learned(record, model, seconds=60), learned(record, model, seconds=120)
    personal.save(tmp_path / "me.json")
    other.save(tmp_path / "me.json")
    assert PersonalMap.read(tmp_path / "me.json") == other
    (tmp_path / "night.dat").write_bytes(b"mine")
    for place in (tmp_path / "night.dat", tmp_path):
        with pytest.raises(UserError, match="is there and is no personal map"):
            personal.save(place)
    assert (tmp_path / "night.dat").read_bytes() == b"mine"


def test_another_model_is_refused(record: Record) -> None:
    small, larger = (load_tflite(name, zoo=zoo_folder()) for name in ("arr-5-rr-sm", "arr-5-rr-md"))
    with pytest.raises(UserError, match=r"expected arr-5-rr-sm@.*found arr-5-rr-md@"):
        hz.Stream(larger, record.fs, personal=learned(record, small))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"matrix": [[1.0]]}, "as many rows, columns and offsets"),
        ({"offset": [0.0] * 4}, "as many rows, columns and offsets"),
        ({"offset": [0.0, 0.0, 0.0, 0.0, "x"]}, r"offset\.4"),
        ({"schema_version": 2}, "schema_version"),
        ({"offset": [1e308, 0.0, 0.0, 0.0, 0.0]}, r"offset\.0"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_file_is_refused(record: Record, tmp_path: Path, change: dict[str, object], problem: str) -> None:
    model = load_tflite("arr-5-rr-sm", zoo=zoo_folder())
    content = learned(record, model).model_dump(mode="json") | change
    (tmp_path / "me.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=problem):
        PersonalMap.read(tmp_path / "me.json")


def test_numbers_without_bounds_are_refused(record: Record, tmp_path: Path) -> None:
    model = load_tflite("arr-5-rr-sm", zoo=zoo_folder())
    content = learned(record, model).model_dump(mode="json") | {"offset": [0.0, 0.0, 0.0, 0.0, float("inf")]}
    (tmp_path / "me.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"offset\.4"):
        PersonalMap.read(tmp_path / "me.json")


def test_what_cannot_teach_is_refused(record: Record, model: PublishedModel) -> None:
    x, fs, peaks, symbols = record.signal, record.fs, record.samples, record.symbols
    with pytest.raises(UserError, match="a symbol for each of"):
        hz.personalise(x, fs, peaks, symbols[1:], model)
    with pytest.raises(UserError, match="at least 10 labelled beats in the first 300 s of signal, found 3"):
        hz.personalise(x, fs, peaks[:3], symbols[:3], model)
    for wrong in ("NSR", "+", ""):
        with pytest.raises(UserError, match=f"symbols of beats, found '{re.escape(wrong)}'"):
            hz.personalise(x, fs, peaks, [wrong, *map(chr, symbols[1:])], model)
    for seconds in (0, math.inf, math.nan, "300"):
        with pytest.raises(UserError, match="expected seconds above 0"):
            hz.personalise(x, fs, peaks, symbols, model, seconds)
    with pytest.raises(UserError, match="R peaks in samples of the signal"):
        hz.personalise(x[: len(x) // 2], fs, peaks, symbols, model)
    none = np.full(len(symbols), ord("B"), np.uint8)
    with pytest.raises(UserError, match="found 0 that"):
        hz.personalise(x, fs, peaks, none, model)


def test_labels_of_another_recording_are_refused(record: Record, model: PublishedModel) -> None:
    other = synthetic.generate("syn12", 420.0)
    with pytest.raises(UserError, match=r"only \d+% of them are near a beat of its signal"):
        hz.personalise(record.signal, record.fs, other.samples, other.symbols, model)
    with pytest.raises(UserError, match=r"only \d+% of them are near a beat of its signal"):  # of another rate
        hz.personalise(record.signal, record.fs, record.samples * 100 // 128, record.symbols, model)
    flat = np.zeros(len(record.signal))
    with pytest.raises(UserError, match=r"only 0% of them are near"):
        hz.personalise(flat, record.fs, record.samples, record.symbols, model)


def test_a_map_of_other_classes_is_refused(record: Record) -> None:
    model = load_tflite("arr-5-rr-sm", zoo=zoo_folder())
    turned = learned(record, model).model_copy(update={"classes": ("V", "S", "N", "F", "Q")})
    with pytest.raises(UserError, match="which this personal map was made of"):
        hz.Stream(model, record.fs, personal=turned)


def test_a_model_that_says_nothing_about_it_is_refused(record: Record) -> None:
    with pytest.raises(UserError, match=r"res-187-ds1@.* says nothing about how to adapt it"):
        hz.personalise(record.signal, record.fs, record.samples, record.symbols, "res-187-ds1")


def test_a_short_recording_teaches_what_it_holds(model: PublishedModel) -> None:
    short = synthetic.generate("syn03", 40.0)
    assert sum(learned(short, model).beats.values()) == len(short.samples)
