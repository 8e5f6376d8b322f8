"""What an evaluation refuses."""

from __future__ import annotations

import pytest

from heartzoo.config.file import parse_config
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, evaluate


def subject(train: str, test: str) -> Subject:
    tree = {
        "name": "x", "task": "arrhythmia-5", "model": {"architecture": "cnn_187"},
        "data": {"train": [train], "test": [test]}, "input": {"cut": "r-peak", "fs": 125, "frame": 187},
    }  # fmt: skip
    return Subject(parse_config(tree, "x"), "int8", "tflm", "0" * 64, 0, lambda chunks, total: iter([]))


@pytest.mark.parametrize(
    ("train", "test", "split"),
    [
        ("random-train", "random-test", "ds2"),
        ("random-train", "random-test", "ds2-no202"),
        ("random-train", "random-test", "csv-test"),
        ("csv-train", "csv-test", "random-test"),
        ("csv-train", "csv-test", "ds2"),
        ("ds1", "ds2", "random-test"),
        ("ds1", "ds2", "csv-test"),
        ("rhythm-train", "rhythm-test", "ds2"),
        ("rhythm-train", "rhythm-test", "random-test"),
    ],
)
def test_people_that_a_model_has_seen_do_not_test_it(train: str, test: str, split: str) -> None:
    with pytest.raises(UserError, match=f"trained on {train}: it has seen people of {split}; score it on {test}"):
        evaluate(subject(train, test), get_split(split))
