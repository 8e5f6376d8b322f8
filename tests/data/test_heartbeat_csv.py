"""The CSV files that users have: read as they are, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heartzoo.config import InputConfig
from heartzoo.config.file import parse_config
from heartzoo.data.databases import get_database
from heartzoo.data.download import folder
from heartzoo.data.heartbeat_csv import read_heartbeats
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.tasks import get_task

CONTRACT = InputConfig(cut="r-peak", fs=125.0, frame=187)


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Lines as the data set has them: values from 0 to 1, then the class."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.random((count, 187)), np.arange(count) % 5])


def write(path: Path, table: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, table, fmt="%.18e", delimiter=",")
    return path


def test_values_and_classes_are_those_of_the_file(tmp_path: Path) -> None:
    table = rows(12)
    record, examples = read_heartbeats(write(tmp_path / "mitbih_train.csv", table), CONTRACT)
    np.testing.assert_array_equal(examples.frames, table[:, :187].astype(np.float32))
    for mapping in "AB":
        np.testing.assert_array_equal(get_task("arrhythmia-5").labels(examples.symbols, mapping), table[:, 187])
    assert examples.samples.tolist() == list(range(12))
    assert (record.name, record.fs) == ("mitbih_train", 125.0)


def lines(table: np.ndarray) -> list[str]:
    return [",".join(f"{value:.6e}" for value in row) for row in table]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "", "is empty"),
        (lambda text: "\n" + text, "is empty"),
        (lambda text: ",".join(f"x{n}" for n in range(188)) + "\n" + text, "is not such a table .*could not convert"),
        (lambda text: "\n".join(line.split(",", 1)[1] for line in text.splitlines()), "has 187 columns, expected 188"),
        (lambda text: "\n".join("0," + line for line in text.splitlines()), "has 189 columns, expected 188"),
        (lambda text: text[: len(text) * 2 // 3], "is not such a table"),
        (lambda text: text[: text.rindex(",") - 3], "is not such a table"),
        (lambda text: text + "\n" + text.splitlines()[0].rsplit(",", 1)[0] + ",5", "line 6: a class outside"),
        (lambda text: text + "\n" + text.splitlines()[0].rsplit(",", 1)[0] + ",1.5", "line 6: a class outside"),
        (lambda text: text + "\n" + "7," + text.splitlines()[0].split(",", 1)[1], "line 6: a value outside"),
        (lambda text: text + "\n" + "nan," + text.splitlines()[0].split(",", 1)[1], "line 6: a value outside"),
        (lambda text: "\N{SNOWMAN}" + text, "is not such a table"),
    ],
)
def test_a_file_that_is_no_such_table_is_told_in_one_line(change, told, tmp_path: Path) -> None:
    path = tmp_path / "mitbih_test.csv"
    path.write_text(change("\n".join(lines(rows(5)))), encoding="utf-8")
    with pytest.raises(UserError, match=told) as caught:
        read_heartbeats(path, CONTRACT)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_contract_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mitbih_test.csv", rows(5))
    for other in (InputConfig(), InputConfig(cut="r-peak", fs=125.0, frame=186)):
        with pytest.raises(UserError, match="187 samples at 125 Hz"):
            read_heartbeats(path, other)


def test_absent_files_are_told_where_to_go(cache: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded, and mitbih_test.csv is not in"):
        prepare(get_database("heartbeat-csv"), ["mitbih_test"], CONTRACT, jobs=1)


def test_the_same_configuration_trains_on_it_by_its_data_section(cache: Path) -> None:
    write(folder(get_database("heartbeat-csv")) / "mitbih_train.csv", rows(60))
    tree = {
        "name": "x", "task": "arrhythmia-5", "data": {"train": ["csv-train"], "test": ["csv-test"]},
        "input": {"cut": "r-peak", "fs": 125, "frame": 187}, "model": {"architecture": "cnn_187"},
        "training": {"batch_size": 16, "folds": 4},
    }  # fmt: skip
    config = parse_config(tree, "x")
    assert config.track == "random" and get_split("csv-test").test
    data = load_training_set(config, jobs=1)
    assert data.validation.sum() == 15  # nobody can be told from anybody: drawn at random
    assert np.bincount(data.labels[data.validation]).tolist() == [3] * 5
    inputs, labels = data.batches(0).batch(0, 0)
    assert inputs["signal"].shape == (16, 1, 187, 1) and labels.shape == (16, 5)
    seen = {frame.tobytes() for frame in data.inputs(~data.validation)["signal"]}
    assert {frame.tobytes() for frame in inputs["signal"]} <= seen
