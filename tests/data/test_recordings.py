"""Recordings of every kind of file, and what is wrong with some."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyedflib
import pytest
import wfdb
from pyedflib.highlevel import make_signal_header

from heartzoo.data import synthetic
from heartzoo.data.recordings import Recording, open_recording
from heartzoo.errors import UserError

FS = 250
UNSORTED = b"\x64\x04\x58\x06\x00\xec\xff\xff\xd4\xfe\x00\x04\0\0"  # N at 100, 700 and 400: wfdb writes no such file
SIGNAL = np.round(np.sin(np.arange(20 * FS) / 40), 3)


def write_edf(path: Path, kind: int, *signals: tuple[str, str, float]) -> Path:
    """Sines: of each its label, unit, and how large one mV is in it."""
    with pyedflib.EdfWriter(str(path), len(signals), file_type=kind) as file:
        for number, (label, unit, scale) in enumerate(signals):
            top = 5 * scale
            header = make_signal_header(label, unit, FS, physical_max=top, physical_min=-top)
            file.setSignalHeader(number, header)
        if signals:
            file.writeSamples([SIGNAL * scale for _, _, scale in signals])
        else:
            file.writeAnnotation(1, -1, "a note")
    return path


def write_csv(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def wfdb_record(folder: Path, name: str, **changes: Any) -> Path:
    settings = {"fs": FS, "units": ["uV", "mV"], "sig_name": ["V1", "MLII"], "fmt": ["16", "16"]} | changes
    signals = np.stack([SIGNAL * 1000, -SIGNAL], axis=1)
    wfdb.wrsamp(name, p_signal=signals, adc_gain=[1, 1000], baseline=[0, 0], write_dir=str(folder), **settings)
    return folder / name


def differences(folder: Path, name: str) -> Path:
    """A record in format 8, which wfdb does not write."""
    values = np.round(1000 * SIGNAL).astype(int)
    np.diff(values, prepend=values[0]).astype(np.int8).tofile(folder / f"{name}.dat")
    line = f"{name}.dat 8 1000(0)/mV 12 0 {values[0]} 0 0 MLII"
    (folder / f"{name}.hea").write_text(f"{name} 1 {FS} {len(values)}\n{line}\n")
    return folder / name


def twins(folder: Path, name: str) -> Path:
    """A record of two signals of one name, the first in no volts."""
    path = wfdb_record(folder, name, sig_name=["ECG", "V1"], units=["NU", "mV"])
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("V1", "ECG"))
    inverted = np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, 2)
    (-inverted).astype("<i2").tofile(path.with_suffix(".dat"))
    header.write_text(re.sub(r" -?\d+ -?\d+ 0 ECG", " 0 0 0 ECG", header.read_text()))
    return path


def whole(recording: Recording) -> np.ndarray:
    return np.concatenate(list(recording.pieces()))


def timed(times: np.ndarray, name: str = "time") -> str:
    """A column of times beside the signal."""
    return f"{name},ECG\n" + "".join(f"{at:.3f},{value}\n" for at, value in zip(times, SIGNAL, strict=False))


def several_arrays(path: Path) -> Path:
    with path.open("wb") as file:  # as an archive that somebody gave another name
        np.savez(file, one=np.zeros(9), other=np.zeros(9))
    return path


def save_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


EXPORT = (
    'Name\nDate of Birth,"Jan 1, 1970"\nRecorded Date,2026-01-01 10:00:00 +0000\nSymptoms,\nDevice,"Watch7,1"\n'
    "Sample Rate,250 hertz\n\n\nLead,Lead I\nUnit,µV\n\n"
)
MAKERS: dict[str, Callable[[Path], tuple[Path, dict[str, Any]]]] = {
    "edf": lambda f: (write_edf(f / "a.edf", pyedflib.FILETYPE_EDFPLUS, ("Resp", "%", 1.0), ("ECG", "uV", 1e3)), {}),
    "bdf": lambda f: (write_edf(f / "a.bdf", pyedflib.FILETYPE_BDFPLUS, ("EEG", "uV", 1e3), ("ECG", "mV", 1.0)), {}),
    "edf without a unit": lambda f: (write_edf(f / "a.edf", 1, ("ECG", "", 1e3), ("Resp", "%", 1.0)), {"unit": "uV"}),
    "csv": lambda f: (write_csv(f / "a.csv", "\n".join(map(str, SIGNAL.tolist()))), {"fs": FS}),
    "csv with a header": lambda f: (
        write_csv(f / "a.csv", "time;MLII\n" + "".join(f"{k};{value}\n" for k, value in enumerate(SIGNAL.tolist()))),
        {"fs": FS, "leads": ["V1", "MLII"]},
    ),
    "csv with a column named ECG": lambda f: (
        write_csv(
            f / "a.csv", "time,ECG,V1\n" + "".join(f"{k},{value},0\n" for k, value in enumerate(SIGNAL.tolist()))
        ),
        {"fs": FS, "leads": ["MLII"]},
    ),
    "csv in uV": lambda f: (
        write_csv(f / "a.txt", "".join(f"{1000 * value}\n" for value in SIGNAL.tolist())),
        {"fs": FS, "unit": "uV"},
    ),
    "csv with a line of units": lambda f: (
        write_csv(
            f / "a.csv",
            "'Elapsed time','MLII'\n'hh:mm:ss','uV'\n"
            + "".join(f"'0:{k}',{1000 * value}\n" for k, value in enumerate(SIGNAL.tolist())),
        ),
        {"fs": FS, "lead": "MLII"},
    ),
    "csv with a unit in the column's name": lambda f: (
        write_csv(f / "a.csv", "t_ms,ecg_uV\n" + "".join(f"{k},{1000 * v}\n" for k, v in enumerate(SIGNAL.tolist()))),
        {"fs": FS},
    ),
    "csv in V": lambda f: (
        write_csv(
            f / "a.csv", "Time,ECG (V)\n" + "".join(f"{k},{v / 1000:.6f}\n" for k, v in enumerate(SIGNAL.tolist()))
        ),
        {"fs": FS},
    ),
    "csv of times without names": lambda f: (
        write_csv(f / "a.csv", "".join(f"2026-01-01 10:00:{k},{value}\n" for k, value in enumerate(SIGNAL.tolist()))),
        {"fs": FS, "lead": "2"},
    ),
    "csv of pandas": lambda f: (
        write_csv(f / "a.csv", "time,0,1\n" + "".join(f"{k},0,{value}\n" for k, value in enumerate(SIGNAL.tolist()))),
        {"fs": FS, "lead": "1"},
    ),
    "csv with decimal commas": (
        lambda f: (
            write_csv(
                f / "a.csv",
                "t;ECG\n"
                + f"{''.join(f'{k};{value}|' for k, value in enumerate(SIGNAL.tolist()))}".replace(".", ",").replace(
                    "|", "\n"
                ),
            ),
            {"fs": FS},
        )
    ),
    "csv of lines that end with a carriage return": lambda f: (
        write_csv(f / "a.csv", "".join(f"{value}\r" for value in SIGNAL.tolist())),
        {"fs": FS},
    ),
    "an export of a watch": lambda f: (
        write_csv(f / "a.csv", EXPORT + "".join(f"{1000 * value:.3f}\n" for value in SIGNAL.tolist())),
        {},
    ),
    "an export of a watch with decimal commas": lambda f: (
        write_csv(
            f / "a.csv", EXPORT + "".join(f"{1000 * value:.3f}\n".replace(".", ",") for value in SIGNAL.tolist())
        ),
        {"fs": FS, "lead": "Lead I"},
    ),
    "an export with a filter": lambda f: (
        write_csv(
            f / "a.csv",
            "Low-pass,100 Hz\n"
            + EXPORT.replace("Sample Rate,250 hertz", "Abtastrate,250,0 Hertz")
            + "".join(f"{1000 * value:.3f}\n" for value in SIGNAL.tolist()),
        ),
        {},
    ),
    "remarks with hertz above columns": lambda f: (
        write_csv(f / "a.csv", "# Sampling rate, 360 Hz\n# Mains filter, 50 Hz\n" + timed(np.arange(5000) / FS)),
        {"fs": FS},
    ),
    "csv with times in nanoseconds": lambda f: (
        write_csv(
            f / "a.csv",
            "timestamp,ECG\n" + "".join(f"{4_000_000 * k},{value}\n" for k, value in enumerate(SIGNAL.tolist())),
        ),
        {"fs": FS},
    ),
    "csv with times of long packets": lambda f: (
        write_csv(f / "a.csv", timed(1000 * (np.arange(5000) // 300 * 300) / FS)),
        {"fs": FS},
    ),
    "csv with a temperature": lambda f: (
        write_csv(
            f / "a.csv", "T,ECG\n" + "".join(f"{36 + k / 3000},{value}\n" for k, value in enumerate(SIGNAL.tolist()))
        ),
        {"fs": FS},
    ),
    "csv of a known lead with its unit": lambda f: (
        write_csv(
            f / "a.csv",
            "time,MLII (uV),V5 (mV)\n" + "".join(f"{k},{1000 * v},0\n" for k, v in enumerate(SIGNAL.tolist())),
        ),
        {"fs": FS, "leads": ["MLII"]},
    ),
    "csv of two columns of one name and unit": lambda f: (
        write_csv(f / "a.csv", "ECG (uV),ECG (uV)\n" + "".join(f"0,{1000 * v}\n" for v in SIGNAL.tolist())),
        {"fs": FS, "lead": "ECG (2)"},
    ),
    "csv with times rounded to a millisecond": lambda f: (
        write_csv(f / "a.csv", timed(np.arange(5000) / FS + 1.7e9)),
        {"fs": FS},
    ),
    "csv with times in whole seconds": lambda f: (
        write_csv(f / "a.csv", timed(np.arange(5000) // FS)),
        {"fs": FS},
    ),
    "csv with the first time of each packet": lambda f: (
        write_csv(
            f / "a.csv",
            "time,ECG\n" + "".join(f"{'' if k % 50 else 4 * k},{v}\n" for k, v in enumerate(SIGNAL.tolist())),
        ),
        {"fs": FS},
    ),
    "csv with minutes over the hour": lambda f: (
        write_csv(
            f / "a.csv",
            "time,ECG\n"
            + "".join(
                f"{at // 60 % 60:02.0f}:{at % 60:04.1f},{value}\n"
                for at, value in zip(3590 + np.arange(5000) / FS, SIGNAL.tolist(), strict=True)
            ),
        ),
        {"fs": FS},
    ),
    "csv with the end of summer time": lambda f: (
        write_csv(
            f / "a.csv",
            "time,ECG\n"
            + "".join(f"2024-10-27T02:59:{50 + k / FS:06.3f}+02:00,{v}\n" for k, v in enumerate(SIGNAL[:2500].tolist()))
            + "".join(f"2024-10-27T02:00:{k / FS:06.3f}+01:00,{v}\n" for k, v in enumerate(SIGNAL[2500:].tolist())),
        ),
        {"fs": FS},
    ),
    "csv with times of day over midnight": lambda f: (
        write_csv(
            f / "a.csv",
            "time,ECG\n"
            + "".join(
                f"{at // 3600 % 24:02.0f}:{at // 60 % 60:02.0f}:{at % 60:06.3f},{value}\n"
                for at, value in zip(86_390 + np.arange(5000) / FS, SIGNAL.tolist(), strict=True)
            ),
        ),
        {"fs": FS},
    ),
    "csv with a counter of microseconds that begins again": lambda f: (
        write_csv(f / "a.csv", timed((2**32 - 9_000_000 + np.arange(5000) * 1_000_000 // FS) % 2**32, "micros")),
        {"fs": FS},
    ),
    "csv with times of packets": lambda f: (
        write_csv(f / "a.csv", timed(1000 * (np.arange(5000) // 50 * 50) / FS)),
        {"fs": FS},
    ),
    "csv whose unit is in Latin-1": lambda f: (
        save_bytes(
            f / "a.csv",
            ("t,ECG (µV)\n" + "".join(f"0,{1000 * value}\n" for value in SIGNAL.tolist())).encode("latin-1"),
        ),
        {"fs": FS},
    ),
    "edf of two signals of one name": lambda f: (
        write_edf(f / "a.edf", 1, ("ECG", "%", 1.0), ("ECG", "mV", 1.0)),
        {},
    ),
    "wfdb of two signals of one name": lambda f: (twins(f, "a"), {}),
    "csv of two columns of one name": lambda f: (
        write_csv(f / "a.csv", "ECG,ECG\n" + "".join(f"0,{value}\n" for value in SIGNAL.tolist())),
        {"fs": FS, "lead": "ECG (2)"},
    ),
    "npy": lambda f: (save(f / "a.npy", SIGNAL), {"fs": FS}),
    "npy of leads": lambda f: (save(f / "a.npy", np.stack([0 * SIGNAL, SIGNAL], 1)), {"fs": FS, "lead": "2"}),
    "wfdb": lambda f: (wfdb_record(f, "a"), {}),
    "wfdb of differences": lambda f: (differences(f, "a"), {}),
    "wfdb by its header": lambda f: (wfdb_record(f, "a").with_suffix(".hea"), {"lead": "V1"}),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_is_read_in_mv(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartzoo.data.recordings.PIECE_S", 3.0)
    path, options = MAKERS[kind](tmp_path)
    recording = open_recording(path, **options)
    assert (recording.name, recording.fs, recording.seconds, recording.number_of_pieces) == ("a", FS, 20.0, 7)
    pieces = list(recording.pieces())
    assert [len(piece) for piece in pieces] == [750] * 6 + [500]
    np.testing.assert_allclose(np.concatenate(pieces), SIGNAL, atol=2e-3)


def test_a_name_in_another_encoding_is_read_and_told(tmp_path: Path) -> None:
    try:
        for name in (b"M\xfcller", b"M\xfdller"):
            save(tmp_path / os.fsdecode(name + b".npy"), SIGNAL)
    except (OSError, UnicodeError):
        pytest.skip("files cannot have such names here")
    names = [open_recording(path, fs=FS).name for path in sorted(tmp_path.iterdir())]
    assert names == ["M\\xfcller", "M\\xfdller"]
    write_edf(tmp_path / "a.edf", 1, ("ECG", "mV", 1.0)).rename(tmp_path / os.fsdecode(b"M\xfcller.edf"))
    with pytest.raises(UserError, match="cannot be read under a name that is no UTF-8; rename it"):
        open_recording(tmp_path / os.fsdecode(b"M\xfcller.edf"))


def test_the_preferred_lead_comes_first(tmp_path: Path) -> None:
    path = wfdb_record(tmp_path, "a")
    assert open_recording(path).lead == "V1"
    assert open_recording(path, ["V5", "MLII"]).lead == "MLII"
    np.testing.assert_allclose(whole(open_recording(path, lead="MLII")), -SIGNAL, atol=2e-3)


def test_annotated_beats_come_along(tmp_path: Path) -> None:
    synthetic.write(tmp_path, ["syn03"], 60.0)
    expected = synthetic.generate("syn03", 60.0).samples
    np.testing.assert_array_equal(open_recording(tmp_path / "syn03").beats, expected)
    (tmp_path / "syn03.atr").unlink()
    assert open_recording(tmp_path / "syn03").beats is None
    wfdb.wrann("syn03", "atr", np.array([10]), symbol=["+"], aux_note=["(N"], fs=FS, write_dir=str(tmp_path))
    assert open_recording(tmp_path / "syn03").beats is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (UNSORTED, "record syn03: syn03.atr is not in order of time.*400 follows one at 700; sort"),
        (
            b"\x64\x04\x00\xec\x00\x00\xc4\x22\x00\x04\0\0",
            r"record syn03: a beat is annotated at sample 9000, past the end",
        ),
    ],
)
def test_annotations_that_do_not_fit_are_refused_unless_left_alone(content: bytes, told: str, tmp_path: Path) -> None:
    synthetic.write(tmp_path, ["syn03"], 10.0)
    (tmp_path / "syn03.atr").write_bytes(content)
    with pytest.raises(UserError, match=f"{told}.*; --detect finds the R peaks without"):
        open_recording(tmp_path / "syn03")
    assert open_recording(tmp_path / "syn03", annotated=False).beats is None


def test_a_beat_one_sample_past_the_end_is_kept_as_the_evaluation_keeps_it(tmp_path: Path) -> None:
    synthetic.write(tmp_path, ["syn03"], 10.0)
    wfdb.wrann("syn03", "atr", np.array([100, 2500]), symbol=["N", "V"], fs=FS, write_dir=str(tmp_path))
    np.testing.assert_array_equal(open_recording(tmp_path / "syn03").beats, [100, 2500])


def test_missing_samples_are_nan(tmp_path: Path) -> None:
    found = whole(open_recording(write_csv(tmp_path / "a.csv", "1\nnan\nNaN\n3\n"), fs=FS))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 3])


@pytest.mark.parametrize(
    "text",
    [
        "1\n\n \n3\n\n\n",
        "# remark\n1\n\n\n3",
        "\ufeffECG\n1\n\n\n3\n",
        "t,ECG\n0,1\n1,\n\n3,3\n",
        "ECG lead II\n1\n\n\n3\n",
        "ECG\r\n1\r\n\r\n\r\n3\r\n",
        "1\r\r\n\r\r\nnan\r\r\n3\r\r\n",
    ],
)
def test_empty_lines_and_fields_are_missing_samples(text: str, tmp_path: Path) -> None:
    recording = open_recording(write_csv(tmp_path / "a.csv", text), ("ECG",), fs=FS)
    np.testing.assert_array_equal(whole(recording), [1, np.nan, np.nan, 3])
    assert [len(piece) for piece in recording.read(2)] == [2, 2] and recording.samples == 4


def test_an_empty_field_makes_no_names_of_the_first_numbers(tmp_path: Path) -> None:
    recording = open_recording(write_csv(tmp_path / "a.csv", "0,\n1,2\n"), lead="2", fs=FS)
    np.testing.assert_array_equal(whole(recording), [np.nan, 2])


def damaged_edf(folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    path = write_edf(folder / name, pyedflib.FILETYPE_EDFPLUS, ("ECG", "mV", 1.0))
    path.write_bytes(change(path.read_bytes()))
    return path


BAD: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "annotations only": (lambda f: write_edf(f / "a.edf", pyedflib.FILETYPE_EDFPLUS), {}, "found no signal"),
    "no voltage": (lambda f: write_edf(f / "a.edf", pyedflib.FILETYPE_EDF, ("Resp", "%", 1.0)), {}, "found Resp in %"),
    "no unit": (lambda f: write_edf(f / "a.edf", 1, ("ECG", "", 1.0)), {}, "found ECG in no unit; say with --unit"),
    "lead without a voltage": (
        lambda f: write_edf(f / "a.edf", 1, ("Resp", "%", 1.0), ("ECG", "mV", 1.0)), {"lead": "Resp"},
        "Resp is not in volts; take one of ECG",
    ),
    "no such lead": (lambda f: wfdb_record(f, "a"), {"lead": "V9"}, "has no lead V9; it has V1, MLII"),
    "gap": (lambda f: damaged_edf(f, "a.edf", lambda b: b.replace(b"EDF+C", b"EDF+D")), {}, "discontinuous"),
    "edf of less than no signals": (
        lambda f: damaged_edf(f, "a.edf", lambda b: b[:252] + b"-100" + b[256:]), {}, r"a\.edf",
    ),
    "truncated edf": (
        lambda f: damaged_edf(f, "a.edf", lambda b: b[:-100]), {}, r"is truncated: expected [\d,]+ bytes, found",
    ),
    "times as a lead": (
        lambda f: write_csv(f / "a.csv", "time,MLII,V5\n0,0,1\n0.004,0,1\n"), {"fs": FS, "lead": "time"},
        "has no lead time; it has MLII, V5",
    ),
    "unfinished edf": (
        lambda f: damaged_edf(f, "a.edf", lambda b: b[:236] + b"-1      " + b[244:]), {}, "does not say how many data",
    ),
    "no edf": (lambda f: damaged_edf(f, "a.edf", lambda b: b"text"), {}, "cannot be read"),
    "no file": (lambda f: f / "b.csv", {"fs": FS}, "no file .*b.csv"),
    "no record": (lambda f: f / "b", {}, "neither a WFDB header b.hea nor an EDF, BDF, CSV or NumPy file"),
    "no rate": (lambda f: save(f / "a.npy", SIGNAL), {}, "does not tell its sampling rate; give it in Hz with --fs"),
    "another rate": (lambda f: wfdb_record(f, "a"), {"fs": 360.0}, "is sampled at 250 Hz, but --fs says 360"),
    "unknown unit": (lambda f: save(f / "a.npy", SIGNAL), {"fs": FS, "unit": "pV"}, "unknown unit 'pV'"),
    "no choice": (lambda f: write_csv(f / "a.csv", "1,2\n3,4\n"), {"fs": FS}, "2 columns .* with --lead: 1, 2"),
    "a unit that it tells": (lambda f: wfdb_record(f, "a"), {"unit": "uV"}, "tells its unit itself; leave --unit out"),
    "several segments": (
        lambda f: write_csv(f / "a.hea", "a/2 1 250 2000\nb 1000\nc 1000\n").with_suffix(""), {},
        "record a is made of several segments; name its segments one by one",
    ),
    "commas between thousands": (
        lambda f: write_csv(f / "a.csv", 'V1,ECG\n"0.9","110.0"\n"0.9","1,110.0"\n'), {"fs": FS, "lead": "ECG"},
        "line 3 has 3 columns, expected 2; write numbers with a decimal point, and nothing between thousands",
    ),
    "a comma for everything": (
        lambda f: write_csv(f / "a.csv", "time,ECG\n0,0\n0,004,0,03\n0,008,0,1\n"), {"fs": FS, "lead": "ECG"},
        "line 3 has 4 columns, expected 2",
    ),
    "a stray number": (
        lambda f: write_csv(f / "a.csv", "1 2\n3 4 5\n"), {"fs": FS, "lead": "2"}, "line 2 has 3 columns, expected 2",
    ),
    "a slightly other rate than the times": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(5000) / FS)), {"fs": 1.05 * FS}, "times are of 250 Hz in s",
    ),
    "another rate than the times": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(5000) / FS)), {"fs": 500.0},
        r"times are of 250 Hz in s, 2.5e.05 Hz in ms, .*, found --fs 500; give the rate of the file",
    ),
    "times that suggest a rate": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(5000) / FS)), {},
        "does not tell its sampling rate; give it in Hz with --fs, 250 by its times",
    ),
    "a gap in time": (
        lambda f: write_csv(f / "a.csv", timed(np.delete(1000 * np.arange(5000) / FS, slice(2000, 3000)))), {"fs": FS},
        "4 s are missing before line 2002; write lines with nan there",
    ),
    "another rate than the times of day": (
        lambda f: write_csv(
            f / "a.csv", "time,ECG\n" + "".join(f"2024-01-01T00:00:{k / FS:06.3f}Z,0\n" for k in range(5000))
        ),
        {"fs": 500.0}, "times are of 250 Hz in s",
    ),
    "another rate than whole seconds": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(6000) // FS)), {"fs": 500.0}, "times are of 250 Hz in s",
    ),
    "ten minutes before and after midnight": (
        lambda f: write_csv(
            f / "a.csv",
            "time,ECG\n"
            + "".join(f"23:54:{k / FS:06.3f},0\n" for k in range(5000))
            + "".join(f"00:04:{20 + k / FS:06.3f},0\n" for k in range(5000)),
        ),
        {"fs": FS}, "600 s are missing before line 5002",
    ),
    "times that go backwards": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(5000)[::-1] / FS)), {"fs": FS},
        "its times in time go backwards; sort its lines by time, or rename",
    ),
    "two recordings in one file": (
        lambda f: write_csv(f / "a.csv", timed(np.arange(5000) % 3000 / FS)), {"fs": FS},
        "its times go back by 12 s before line 3002; classify what is before and after as recordings of their own",
    ),
    "a counter of microseconds begun anew by a reset": (
        lambda f: write_csv(f / "a.csv", timed(3_000_000_000 + np.arange(5000) % 3000 * 1_000_000 // FS)), {"fs": FS},
        "its times go back by 12 s before line 3002",
    ),
    "utf-16": (
        lambda f: save_bytes(f / "a.csv", "ECG\n1\n2\n".encode("utf-16")), {"fs": FS}, "is no text in UTF-8; save it",
    ),
    "the first of one name is in no volts": (
        lambda f: write_edf(f / "a.edf", 1, ("ECG", "%", 1.0), ("ECG", "mV", 1.0)), {"lead": "ECG"},
        r"ECG is not in volts; take one of ECG \(2\)",
    ),
    "another rate than an export's": (
        lambda f: write_csv(f / "a.csv", EXPORT + "1\n2\n"), {"fs": 500.0}, "is sampled at 250 Hz, but --fs says 500",
    ),
    "an export without numbers": (lambda f: write_csv(f / "a.csv", EXPORT), {}, "does not tell|no line of names"),
    "commas between thousands, alone": (
        lambda f: write_csv(f / "a.csv", "a;ECG\n1;65\n2;995\n3;1,015\n"), {"fs": FS, "lead": "ECG", "unit": "uV"},
        "found '1,015' in line 4; write numbers with a decimal point",
    ),
    "an export of two columns": (
        lambda f: write_csv(f / "a.csv", "Device,X\nSample rate,250 Hz\nTime (ms),ECG\n0,2000\n4,2013\n"), {},
        "has 2 columns and none is chosen|expected a number",
    ),
    "a rate of a filter": (
        lambda f: write_csv(f / "a.csv", "# low-pass filter, 150 Hz\n1\n2\n"), {}, "does not tell its sampling rate",
    ),
    "a line of another length": (
        lambda f: write_csv(f / "a.csv", "1,2\n3,4\n5\n"), {"fs": FS, "lead": "2"}, "line 3 has 1 of 2 columns",
    ),
    "no names": (
        lambda f: write_csv(f / "a.csv", "Patch v2, export\n1\n2\n"), {"fs": FS},
        "line 1 is no line of names of the 1 columns below it: 'Patch v2, export'; put # before",
    ),
    "text far below": (
        lambda f: write_csv(f / "a.csv", "# made by hand\n\nECG\n1\n\n2\nx\n"), {"fs": FS}, "found 'x' in line 7",
    ),
    "another unit than its own": (
        lambda f: write_csv(f / "a.csv", "t,ECG\ns,uV\n0,1\n"), {"fs": FS, "lead": "ECG", "unit": "mV"},
        "says that ECG is in uV; leave --unit out",
    ),
    "counts of a converter": (
        lambda f: write_csv(f / "a.csv", "t,V1,ECG\ns,mV,adu\n0,1,2\n"), {"fs": FS, "lead": "ECG"},
        "ECG is in adu; say what one of them is, with --unit",
    ),
    "one line of thousands": (
        lambda f: write_csv(f / "a.csv", ",".join(map(str, range(9000)))), {"fs": FS}, "9000 columns .* and 8975 more",
    ),
    "text": (lambda f: write_csv(f / "a.csv", "1\nabc\n3\n"), {"fs": FS}, "expected a number in every line.*'abc'"),
    "empty": (lambda f: write_csv(f / "a.csv", "ECG\n"), {"fs": FS}, "holds no samples"),
    "transposed": (lambda f: save(f / "a.npy", np.zeros((2, 900))), {"fs": FS}, "save the array transposed"),
    "three axes": (lambda f: save(f / "a.npy", np.zeros((2, 3, 4))), {"fs": FS}, r"found \(2, 3, 4\) of float64"),
    "objects": (lambda f: save(f / "a.npy", np.array([{}, None])), {"fs": FS}, "is not a NumPy array"),
    "several arrays": (lambda f: several_arrays(f / "a.npy"), {"fs": FS}, "holds several NumPy arrays"),
    "words": (lambda f: save(f / "a.npy", np.array(["a"])), {"fs": FS}, "found .* of <U1"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_told_in_one_line(what: str, tmp_path: Path) -> None:
    make, options, told = BAD[what]
    with pytest.raises(UserError, match=told) as error:
        whole(open_recording(make(tmp_path), **options))
    assert "\n" not in str(error.value)


def test_a_truncated_record_is_refused(tmp_path: Path) -> None:
    path = wfdb_record(tmp_path, "a")
    file = path.with_suffix(".dat")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"a\.dat is truncated"):
        open_recording(path)


@pytest.mark.data
def test_a_real_record(physionet: Path, tmp_path: Path) -> None:
    for file in (physionet / "mitdb" / "1.0.0").glob("101.*"):
        shutil.copy(file, tmp_path)
    recording = open_recording(tmp_path / "101", ["V5", "MLII"])
    assert (recording.lead, recording.fs, recording.samples) == ("MLII", 360.0, 650_000)
    expected = wfdb.rdrecord(str(tmp_path / "101"), channels=[0]).p_signal[:, 0]
    np.testing.assert_array_equal(whole(recording), expected)
