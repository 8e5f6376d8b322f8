"""Tasks and beat mappings as protocol.md states them."""

from __future__ import annotations

import numpy as np
import pytest

from heartzoo.errors import UserError
from heartzoo.tasks import BEAT_SYMBOLS, MAPPINGS, TASKS, get_task

# Of protocol.md, written out once more.
A = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
B = {"N": "NLRB", "S": "AaJSejn", "V": "VEr", "F": "F", "Q": "/fQ"}


def labels(task: str, symbols: str, mapping: str = "A") -> list[int]:
    return get_task(task).labels(np.frombuffer(symbols.encode(), np.uint8), mapping).tolist()


@pytest.mark.parametrize(("mapping", "expected"), [("A", A), ("B", B)])
def test_mappings(mapping: str, expected: dict[str, str]) -> None:
    for index, (name, symbols) in enumerate(expected.items()):
        assert get_task("arrhythmia-5").classes[index] == name
        assert labels("arrhythmia-5", symbols, mapping) == [index] * len(symbols)
    unlisted = "".join(chr(code) for code in range(33, 127) if chr(code) not in "".join(expected.values()))
    assert set(labels("arrhythmia-5", unlisted, mapping)) == {-1}


def test_mapping_b_moves_the_beats_it_says() -> None:
    moved = [s for s in BEAT_SYMBOLS if labels("arrhythmia-5", s, "A") != labels("arrhythmia-5", s, "B")]
    assert sorted(moved) == sorted("ejnBr")


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_sensor_tasks_leave_fusion_and_unknown_beats_out(mapping: str) -> None:
    for task in ("beat-2", "beat-3"):
        assert labels(task, "F/fQ", mapping) == [-1] * 4
    assert labels("beat-2", "NLRAaJSVE", mapping) == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert labels("beat-3", "NLRAaJSVE", mapping) == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_classes_are_those_of_the_issue() -> None:
    assert {name: task.classes for name, task in TASKS.items()} == {
        "beat-2": ("NSR", "PAC|PVC"),
        "beat-3": ("NSR", "PAC", "PVC"),
        "arrhythmia-5": ("N", "S", "V", "F", "Q"),
        "rhythm-3": ("NSR", "AFIB|AFL", "NOISE"),
    }


def test_what_is_no_beat_is_not_scored() -> None:
    marks = '[!]x|~+"()^s'
    assert not set(marks) & set(BEAT_SYMBOLS)
    for name, task in TASKS.items():
        if not task.of_rhythm:
            assert set(labels(name, marks)) == {-1}


def test_beats_are_no_rhythm_frames() -> None:
    assert labels("rhythm-3", "nf~?") == [0, 1, 2, -1]
    assert set(labels("rhythm-3", BEAT_SYMBOLS.replace("n", "").replace("f", ""))) == {-1}


def test_symbols_of_every_mapping_are_beats() -> None:
    for mapping in MAPPINGS.values():
        listed = "".join(mapping.values())
        assert set(listed) <= set(BEAT_SYMBOLS)
        assert len(set(listed)) == len(listed)


def test_no_beats_no_labels() -> None:
    assert labels("beat-3", "") == []


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'arrhythmia-5'"):
        get_task("arrhytmia-5")
