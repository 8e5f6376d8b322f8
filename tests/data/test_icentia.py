"""Icentia11k: the tree is walked in order, segments are streamed, beats get their rhythm."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from heartzoo.config.file import load_config
from heartzoo.data import synthetic
from heartzoo.data.beats import cut_frames
from heartzoo.data.download import split_records
from heartzoo.data.icentia import segments, stream
from heartzoo.data.rhythm import rhythm_at
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.evaluation import evaluate
from heartzoo.predictors import keras_subject
from heartzoo.runs import train

FS = 250
NAMES = [f"p00/p{patient:05d}/p{patient:05d}_s{segment:02d}" for patient in (3, 21) for segment in (0, 1)]
ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/data/physionet/icentia11k-continuous-ecg/1.0"
Mark = tuple[int, str, str]


def write_segment(folder: Path, name: str, marks: list[Mark], length: int = 20 * FS) -> None:
    """Write a segment as the database has them: a rhythm's mark follows the beat that it lies on."""
    home, record = (folder / name).parent, name.rsplit("/", 1)[-1]
    home.mkdir(parents=True, exist_ok=True)
    wave = np.sin(np.arange(length) / 10)[:, None]
    wfdb.wrsamp(
        record, FS, ["mV"], ["ecg"], wave, fmt=["16"], adc_gain=[74.36482269503546], baseline=[0], write_dir=str(home)
    )
    samples, symbols, notes = zip(*marks, strict=True)
    wfdb.wrann(record, "atr", np.array(samples), list(symbols), aux_note=list(notes), fs=FS, write_dir=str(home))


def marks(rhythm: str) -> list[Mark]:
    """Beats each 200 samples: 4 in sinus rhythm, 2 unclassified, 5 in another rhythm, 3 unclassified, the rest open."""
    beats = {200 * k: [(200 * k, "Q" if k in (5, 6, 12, 13, 14) else "N", "None")] for k in range(1, 20)}
    beats[600] = [(600, "V", "None")]
    beats[1800] = [(1800, "S", "None")]
    for sample, note in ((200, "(N"), (800, ")"), (1400, rhythm), (2200, ")"), (3000, "(N")):
        beats[sample].append((sample, "+", note))
    return [mark for group in beats.values() for mark in group]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NAMES:
        write_segment(tmp_path, name, marks("(AFL" if name.endswith("_s01") else "(AFIB"))
    return tmp_path


def test_segments_in_order(tree: Path) -> None:
    (tree / "p00" / "p00003" / ".p00003_s02.dat.part").touch()
    (tree / "p00" / "notes").mkdir()
    (tree / "RECORDS").touch()
    assert list(segments(tree)) == NAMES
    assert list(segments(tree, ["p00021"])) == NAMES[2:]
    assert list(segments(tree, ["p00021", "p00003"])) == NAMES


def test_stream_reads_records(tree: Path) -> None:
    records = list(stream(tree))
    assert [record.name for record in records] == NAMES
    assert [record.patient for record in records] == ["p00003", "p00003", "p00021", "p00021"]
    for record in records:
        assert (record.lead, record.fs, record.signal.shape) == ("ecg", 250.0, (20 * FS,))
        assert Counter(map(chr, record.symbols)) == {"N": 12, "Q": 5, "V": 1, "S": 1}


def test_stream_keeps_no_segment(tree: Path) -> None:
    seen: list[weakref.ref[np.ndarray]] = []
    for record in stream(tree):
        seen.append(weakref.ref(record.signal))
        gc.collect()
        # The loop's own variable holds the segment before until this one is bound.
        assert sum(ref() is not None for ref in seen) == 1
        del record


def test_rhythm_of_each_beat(tree: Path) -> None:
    for record in stream(tree):
        other = "AFL" if record.name.endswith("_s01") else "AFIB"
        expected = ["N"] * 4 + [""] * 2 + [other] * 5 + [""] * 3 + ["N"] * 5
        assert rhythm_at(record, record.samples).tolist() == expected


def test_rhythm_at_any_sample(tree: Path) -> None:
    record = next(stream(tree))
    samples = np.array([0, 199, 200, 800, 801, 1399, 1400, 2200, 2201, 2999, 3000, 9999])
    expected = ["", "", "N", "N", "", "", "AFIB", "AFIB", "", "", "N", "N"]
    assert rhythm_at(record, samples).tolist() == expected
    touching = replace(record, rhythms=((200, "(N"), (800, ")"), (800, "(AFIB"), (1000, ")")))
    assert rhythm_at(touching, np.array([799, 800, 801, 1000, 1001])).tolist() == ["N", "AFIB", "AFIB", "AFIB", ""]
    assert rhythm_at(replace(record, rhythms=()), record.samples).tolist() == [""] * 19


def test_rhythm_without_closing_marks() -> None:
    record = synthetic.generate("syn05", 120.0)
    found = rhythm_at(record, record.samples)
    assert set(found) == {"N", "AFIB"}
    start = next(sample for sample, note in record.rhythms if note == "(AFIB")
    assert found[np.searchsorted(record.samples, start)] == "AFIB"
    assert found[np.searchsorted(record.samples, start) - 1] == "N"


@pytest.mark.parametrize(
    ("extension", "reason"), [("hea", "missing"), ("atr", "missing"), ("dat", "missing"), ("cut", "truncated")]
)
def test_damaged_segment(tree: Path, extension: str, reason: str) -> None:
    if extension == "cut":
        signal = tree / f"{NAMES[1]}.dat"
        signal.write_bytes(signal.read_bytes()[:-100])
    else:
        (tree / f"{NAMES[1]}.{extension}").unlink()
    with pytest.raises(UserError, match=reason):
        list(stream(tree))
    with pytest.warns(UserWarning, match=f"skipped record p00003_s01.*{reason}"):
        assert [record.name for record in stream(tree, on_error="skip")] == [NAMES[0], *NAMES[2:]]


def test_segment_without_beats_is_skipped(tree: Path) -> None:
    write_segment(tree, NAMES[0], [(10, "+", "(N"), (500, "+", ")")])
    with pytest.warns(UserWarning, match="holds no beat"):
        assert [record.name for record in stream(tree, on_error="skip")] == NAMES[1:]


def test_mistakes_are_told(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="p00004"):
        list(segments(tree, ["p00003", "p00004"]))
    with pytest.raises(UserError, match="no patient"):
        list(segments(tree, ["../p00"]))
    with pytest.raises(UserError, match="no segment"):
        list(segments(tmp_path / "elsewhere"))


# The splits, made of patients, and the tree as a data section


def test_a_fifth_of_the_patients_tests_whoever_is_on_disk() -> None:
    train, test = get_split("icentia-train"), get_split("icentia-test")
    assert (len(train.patients), len(test.patients)) == (8_800, 2_200)
    assert not train.people & test.people and len(train.people | test.people) == 11_000
    assert "icentia11k-continuous-ecg/p00000" in train.people


def rhythm_marks(seconds: int) -> list[Mark]:
    """A beat a second: a third in sinus rhythm, a third in fibrillation, a third unclassified and in no rhythm."""
    third = seconds // 3
    notes = {0: "(N", third - 1: ")", third: "(AFIB", 2 * third - 1: ")"}
    found: list[Mark] = []
    for second in range(seconds):
        sample = second * FS + FS // 2
        found.append((sample, "N" if second < 2 * third else "Q", "None"))
        if second in notes:
            found.append((sample, "+", notes[second]))
    return found


@pytest.fixture
def cached_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """Segments of three training and two test patients in a cache of its own."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path))
    names = []
    for split, count in (("icentia-train", 3), ("icentia-test", 2)):
        names.append([f"{p[:3]}/{p}/{p}_s00" for p in get_split(split).patients[:count]])
    for name in (*names[0], *names[1]):
        write_segment(tmp_path / "icentia11k-continuous-ecg/1.0", name, rhythm_marks(150), 150 * FS)
    return names[0], names[1]


def test_a_split_holds_what_is_on_disk(cached_tree: tuple[list[str], list[str]]) -> None:
    assert split_records(get_split("icentia-train")) == tuple(cached_tree[0])
    assert split_records(get_split("icentia-test")) == tuple(cached_tree[1])


def test_a_linked_part_of_the_tree_counts(cached_tree: tuple[list[str], list[str]], tmp_path: Path) -> None:
    home = (tmp_path / "icentia11k-continuous-ecg/1.0" / cached_tree[0][0]).parent
    elsewhere = home.rename(tmp_path / "elsewhere")
    assert split_records(get_split("icentia-train")) == tuple(cached_tree[0][1:])
    home.symlink_to(elsewhere)
    assert split_records(get_split("icentia-train")) == tuple(cached_tree[0])


def test_an_empty_tree_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"no record of icentia-test's 2,200 patients"):
        split_records(get_split("icentia-test"))


def test_cnn1_trains_on_the_tree_by_changing_the_data_section_alone(
    cached_tree: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    data = ["data.train=[icentia-train]", "data.test=[icentia-test]"]
    short = ["training.epochs=1", "training.steps_per_epoch=1", "training.batch_size=8", "seeds=[0]"]
    config = load_config(ROOT / "configs/cnn1.yaml", [*data, *short])
    assert config.track == "icentia"
    made = load_training_set(config)
    # 18 frames of a segment: a rhythm's change falls into one or two; nothing is drowned, noise has its own frames.
    assert all(4 <= count / 3 <= 6 for count in np.bincount(made.labels, minlength=3))
    assert {len(store) for store in made.stores} == {3 * 18}
    train(config, tmp_path / "run")
    more = f"{cached_tree[0][0][:-3]}s01"
    write_segment(tmp_path / "icentia11k-continuous-ecg/1.0", more, rhythm_marks(150), 150 * FS)
    with pytest.raises(UserError, match="trained on examples of other records or people than are at hand"):
        train(config, tmp_path / "run", resume=True)
    (result,) = evaluate(keras_subject(config, tmp_path / "run/seed-0/best.keras", 0), get_split("icentia-test"))
    assert (result.track, result.records) == ("icentia", cached_tree[1])
    assert result.n == sum(c.support for c in result.per_class.values()) and 2 * 12 <= result.n <= 2 * 18


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no Icentia11k segment in {REAL}")
def test_real_segment() -> None:
    assert list(segments(REAL)) == ["p00/p00000/p00000_s00"]
    (record,) = stream(REAL)
    assert (record.patient, record.lead, record.fs, record.calibrated) == ("p00000", "ecg", 250.0, True)
    assert record.signal.shape == (1_048_577,)
    assert Counter(map(chr, record.symbols)) == {"N": 6641, "Q": 244}
    # 19 stretches of sinus rhythm, closed with the last of their beats; what lies between is unclassified.
    assert Counter(note for _, note in record.rhythms) == {"(N": 19, ")": 19}
    contract = load_config(ROOT / "configs/cnn1.yaml").input
    assert Counter(cut_frames(record, contract).symbols.tobytes()) == {ord("n"): 472, ord("~"): 5, ord("?"): 34}
    found = rhythm_at(record, record.samples)
    assert set(found[record.symbols == ord("N")]) == {"N"}
    assert set(found[record.symbols == ord("Q")]) == {""}
