"""Detector and classifier together against reference annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heartzoo.data.batches import Inputs
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, end_to_end
from heartzoo.metrics_file import EndToEndResult
from heartzoo.predictors import tflite_subject
from heartzoo.zoo import find
from heartzoo.zoo.openings import log_openings

SPLIT = get_split("synthetic-test")


@pytest.fixture
def subject(tiny_zoo: Path, cache: Path) -> Subject:
    entry = find("tiny", tiny_zoo)
    return tflite_subject(entry.config, entry.path("model.tflite").read_bytes(), 0, jobs=1)


def called(subject: Subject, name: str) -> Subject:
    """The same, but it calls every beat one class."""

    def predict(chunks: Iterable[Inputs], total: int) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield np.tile(np.eye(3)[["NSR", "PAC", "PVC"].index(name)], (len(chunk["signal"]), 1))

    return replace(subject, predict=predict)


def test_counts_add_up(subject: Subject) -> None:
    result = end_to_end.evaluate_end_to_end(subject, SPLIT)
    assert result.records == list(SPLIT.records)
    detection, matrix = result.detection, np.array(result.confusion_matrix)
    assert detection.se > 0.98 and detection.ppv > 0.98
    assert matrix[:, -1].sum() <= detection.missed
    assert matrix[-1].sum() == detection.extra
    assert matrix[:-1].sum(axis=1).tolist() == [figures.support for figures in result.per_class.values()]
    assert result.per_class["PVC"].f1 > 0.8
    assert EndToEndResult.model_validate_json(result.model_dump_json()) == result


def test_missed_and_extra_beats_count_against_their_classes(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(end_to_end.FrontEnd):
        def __init__(self, contract, fs):
            super().__init__(contract, fs, np.arange(1000, 60_000, 1000))

    monkeypatch.setattr(end_to_end, "FrontEnd", Deaf)
    result = end_to_end.evaluate_end_to_end(called(subject, "PVC"), SPLIT)
    matrix = np.array(result.confusion_matrix)
    assert result.detection.missed > result.detection.found
    assert matrix[-1, 2] == result.detection.extra > 0
    assert result.per_class["NSR"].se == 0
    assert result.per_class["PVC"].se == pytest.approx(matrix[2, 2] / matrix[2].sum())
    assert result.per_class["PVC"].ppv == pytest.approx(matrix[2, 2] / matrix[:, 2].sum())


def test_stated_figures_are_checked(subject: Subject) -> None:
    content = end_to_end.evaluate_end_to_end(called(subject, "NSR"), SPLIT).model_dump()
    content["detection"]["extra"] += 1
    with pytest.raises(ValueError, match=r"detection\.extra"):
        EndToEndResult.model_validate(content)


def test_openings_are_logged(subject: Subject, tmp_path: Path) -> None:
    result = end_to_end.evaluate_end_to_end(called(subject, "NSR"), SPLIT)
    opened = result.model_copy(update={"split": "ds2", "dataset": "mitdb"})
    assert log_openings(tmp_path, "tiny", [result]) is None
    path = log_openings(tmp_path, "tiny", [opened])
    assert path is not None
    assert json.loads(path.read_text())["figures"]["end_to_end_se"] == result.detection.se


def test_people_it_has_trained_on_are_refused(subject: Subject) -> None:
    with pytest.raises(UserError, match="it has seen people of synthetic-train"):
        end_to_end.evaluate_end_to_end(subject, get_split("synthetic-train"))


def test_beats_from_single_frames_are_refused(subject: Subject) -> None:
    with pytest.raises(UserError, match="holds no whole recordings"):
        end_to_end.evaluate_end_to_end(subject, get_split("random-test"))
