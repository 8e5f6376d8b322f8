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

from heartzoo.data import synthetic
from heartzoo.data.icentia import segments, stream
from heartzoo.data.rhythm import rhythm_at
from heartzoo.errors import UserError

FS = 250
NAMES = [f"p00/p{patient:05d}/p{patient:05d}_s{segment:02d}" for patient in (3, 21) for segment in (0, 1)]
REAL = Path(__file__).parents[3] / "shared/data/physionet/icentia11k-continuous-ecg/1.0"
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
    found = rhythm_at(record, record.samples)
    assert set(found[record.symbols == ord("N")]) == {"N"}
    assert set(found[record.symbols == ord("Q")]) == {""}
