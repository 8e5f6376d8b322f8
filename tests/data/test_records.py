"""Reading records: what is read, and one clear line for everything that can be wrong with the files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from heartzoo.config import InputConfig
from heartzoo.data import synthetic
from heartzoo.data.annotations import beat_symbols
from heartzoo.data.batches import model_inputs
from heartzoo.data.beats import cut_beats
from heartzoo.data.databases import get_database
from heartzoo.data.r_peaks import of_doubled_beats
from heartzoo.data.recordings import open_recording
from heartzoo.data.records import Record, open_record, other_lead, read_lead, read_record
from heartzoo.data.wfdb_files import MissingLead
from heartzoo.errors import UserError

DATABASE = get_database("synthetic")
LENGTH = 2500


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one good record of 10 s."""
    synthetic.write(tmp_path, ["syn00"], LENGTH / 250)
    return tmp_path


def read(source: Path, leads: tuple[str, ...] | None = None) -> Record:
    return read_record(source, DATABASE, "syn00", leads)


def in_header(source: Path, old: str, new: str) -> None:
    path = source / "syn00.hea"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def annotate(source: Path, samples: list[int], symbols: list[str], fs: float = 250) -> None:
    notes = ["(N" if symbol == "+" else "" for symbol in symbols]
    wfdb.wrann("syn00", "atr", np.array(samples), symbol=symbols, aux_note=notes, fs=fs, write_dir=str(source))


def overwrite_sample(source: Path, position: int, value: int) -> None:
    content = bytearray((source / "syn00.dat").read_bytes())
    content[2 * position : 2 * position + 2] = value.to_bytes(2, "little", signed=True)
    (source / "syn00.dat").write_bytes(content)


def test_the_other_lead_is_the_first_beside_the_one_that_is_read(tmp_path: Path) -> None:
    signal = np.zeros((100, 3))
    names = ["V1", "MLII", "V5"]
    wfdb.wrsamp("r", 250, ["mV"] * 3, names, signal, fmt=["16"] * 3, write_dir=str(tmp_path))
    assert [other_lead(tmp_path / "r", leads) for leads in (("MLII", "V5"), ("V5",), ("V1",))] == ["V1", "V1", "MLII"]


def test_two_leads_of_one_name_are_told_apart(tmp_path: Path) -> None:
    signal = np.array([[1.0, 2.0]] * 100)
    wfdb.wrsamp("r", 250, ["mV"] * 2, ["ECG", "EKG"], signal, fmt=["16"] * 2, write_dir=str(tmp_path))
    header = tmp_path / "r.hea"
    header.write_text(header.read_text().replace("EKG", "ECG"))  # wfdb writes no such file, and reads it
    assert other_lead(tmp_path / "r", ("ECG",)) == "ECG (2)"
    assert read_lead(tmp_path / "r", ("ECG (2)",))[0].round(2).tolist() == [2.0] * 100


def test_a_turned_lead_lies_between_two(source: Path) -> None:
    first = read_lead(source / "syn00", ("MLII",))[0]
    second = np.where(np.arange(len(first)) < 1000, 1.0, np.nan)
    both = np.stack([first, second], axis=1)
    wfdb.wrsamp("syn00", 250, ["mV"] * 2, ["MLII", "V5"], both, fmt=["16"] * 2, write_dir=str(source))
    straight, turned = (read_record(source, DATABASE, "syn00", turned_by=angle) for angle in (None, np.pi / 6))
    np.testing.assert_allclose(turned.signal[:1000], np.sqrt(0.75) * straight.signal[:1000] + 0.5, atol=0.005)
    assert not len(straight.lost) and np.isfinite(turned.signal).all()
    assert turned.lost[0, 1] == len(first) - 1  # what either lacks is lost


def test_leads_of_different_rates_are_not_turned(source: Path) -> None:
    beside = np.zeros((2 * len(read_lead(source / "syn00", ("MLII",))[0]), 1))
    wfdb.wrsamp("beside", 500, ["mV"], ["V5"], beside, fmt=["16"], write_dir=str(source))
    header, more = (source / f"{name}.hea" for name in ("syn00", "beside"))
    lines = header.read_text().splitlines()
    lines[0] = lines[0].replace("syn00 1 ", "syn00 2 ")
    lines.insert(2, more.read_text().splitlines()[1].replace(" 16 ", " 16x2 ", 1))
    header.write_text("\n".join(lines))
    with pytest.raises(MissingLead, match="MLII and V5 have different rates"):
        read_record(source, DATABASE, "syn00", turned_by=1.0)


def test_a_record_of_one_lead_has_no_other(source: Path) -> None:
    with pytest.raises(MissingLead, match="no lead beside MLII"):
        other_lead(source / "syn00", ("MLII",))


def test_a_record_has_everything_its_files_say(source: Path) -> None:
    record = read(source)
    assert (record.database, record.name, record.patient, record.lead) == ("synthetic", "syn00", "syn00", "MLII")
    assert (record.fs, record.signal.shape, record.signal.dtype) == (250.0, (LENGTH,), np.float64)
    assert record.calibrated
    assert (np.diff(record.samples) > 0).all()
    assert set(record.symbols.tobytes().decode()) <= set("NA")
    assert record.rhythms == ((0, "(N"),)


def truncate(source: Path, extension: str = "dat") -> None:
    path = source / f"syn00.{extension}"
    path.write_bytes(path.read_bytes()[:-2])


def two_leads(source: Path) -> None:
    signal = np.zeros((LENGTH, 2))
    signal[:, 1] = 1.0
    names = ["V5", "MLII"]
    arguments = {"units": ["mV"] * 2, "fmt": ["16"] * 2, "adc_gain": [200.0] * 2, "baseline": [0] * 2}
    wfdb.wrsamp("syn00", fs=250, sig_name=names, p_signal=signal, write_dir=str(source), **arguments)


# What is done to the good record, and the words of the one line that follows.
BAD: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no signal file": (lambda s: (s / "syn00.dat").unlink(), ("syn00.dat is missing", "data verify")),
    "truncated signal": (truncate, ("syn00.dat is truncated", "5000", "4998")),
    "no name of a signal file": (
        lambda s: (s / "syn00.hea").write_text((s / "syn00.hea").read_text().replace("syn00.dat", ".")),
        ("expected its signal file in", "found ."),
    ),
    "empty signal file": (lambda s: (s / "syn00.dat").write_bytes(b""), ("syn00.dat is truncated",)),
    "no header": (lambda s: (s / "syn00.hea").unlink(), ("syn00.hea is missing",)),
    "empty header": (
        lambda s: (s / "syn00.hea").write_text(""),
        ("is not a WFDB header (a line or a field is missing)",),
    ),
    "garbage header": (lambda s: (s / "syn00.hea").write_text("garbage\n"), ("syn00.hea is not a WFDB header",)),
    "binary header": (lambda s: (s / "syn00.hea").write_bytes(bytes(range(256))), ("syn00.hea is not a WFDB header",)),
    "header of a page": (
        lambda s: (s / "syn00.hea").write_text("<html>\n<body>404 not found</body>\n</html>\n"),
        ("syn00.hea is not a WFDB header",),
    ),
    "header cut after its first line": (
        lambda s: (s / "syn00.hea").write_text(f"syn00 1 250 {LENGTH}\n"),
        ("syn00",),
    ),
    "header that leaves its folder": (lambda s: in_header(s, "syn00.dat", "../syn00.dat"), ("syn00.hea",)),
    "no such lead": (lambda s: in_header(s, " MLII", " V1"), ("expected a lead among MLII, found V1", "missing_lead")),
    "leads without names": (lambda s: in_header(s, " 0 MLII", " 0"), ("syn00", "no leads")),
    "no annotations": (lambda s: (s / "syn00.atr").unlink(), ("syn00.atr is missing",)),
    "empty annotations": (lambda s: (s / "syn00.atr").write_bytes(b""), ("syn00.atr is empty",)),
    "annotations without an entry": (lambda s: (s / "syn00.atr").write_bytes(b"\0\0"), ("syn00.atr holds no beat",)),
    "truncated annotations": (lambda s: truncate(s, "atr"), ("syn00.atr is truncated",)),
    "annotations without a beat": (lambda s: annotate(s, [5, 9], ["+", "~"]), ("syn00.atr holds no beat",)),
    "annotation far past the end": (
        lambda s: annotate(s, [100, LENGTH + 25], ["N", "N"]),
        (f"at sample {LENGTH + 25}, past the end ({LENGTH} samples)",),
    ),
    "no voltage": (lambda s: in_header(s, "200.0(0)/mV", "200.0(0)/mmHg"), ("in V, mV or uV", "the unit mmHg", "MLII")),
    "several segments": (
        lambda s: (s / "syn00.hea").write_text("syn00/2 1 250 2000\na 1000\nb 1000\n"),
        ("syn00 is made of several segments", "one by one"),
    ),
    "annotations out of order": (
        # N at 100, N 600 later, N 300 before that: wfdb reads such a file, and writes none
        lambda s: (s / "syn00.atr").write_bytes(b"\x64\x04\x58\x06\x00\xec\xff\xff\xd4\xfe\x00\x04\0\0"),
        ("syn00.atr is not in order of time", "sample 400 follows one at 700"),
    ),
    "no samples but missing ones": (
        lambda s: (s / "syn00.dat").write_bytes(np.full(LENGTH, -32768, "<i2").tobytes()),
        (f"expected numbers, found none in {LENGTH:,} samples", "MLII"),
    ),
    "sampling rate 0": (lambda s: in_header(s, "syn00 1 250 ", "syn00 1 0 "), ("above 0 Hz",)),
    "unknown signal format": (
        lambda s: in_header(s, "syn00.dat 16 ", "syn00.dat 17 "),
        ("signal format that wfdb does not know", "17"),
    ),
    "a signal too few": (lambda s: in_header(s, "syn00 1 250", "syn00 2 250"), ("says 2 signals and describes 1",)),
    "unreadable gain": (lambda s: in_header(s, "200.0(0)/mV", "200.0)/mV"), ("a gain", "'200.0)/mV'")),
    "unknown annotation code": (
        lambda s: (s / "syn00.atr").write_bytes(b"\x20\x04\x20\x3c\0\0"),
        ("syn00.atr holds an unknown annotation code",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_clear_line(source: Path, case: str) -> None:
    spoil, words = BAD[case]
    spoil(source)
    with pytest.raises(UserError) as raised:
        read(source)
    line = str(raised.value)
    assert "\n" not in line
    assert "record syn00" in line
    assert raised.value.remedy
    assert len(line) < 400
    for word in words:
        assert word in line


def test_a_missing_sample_is_as_the_one_before(source: Path) -> None:
    before = read(source).signal
    overwrite_sample(source, 77, -32768)
    after = read(source).signal
    assert after[77] == after[76] == before[76]
    np.testing.assert_array_equal(np.delete(after, 77), np.delete(before, 77))


def test_a_lead_with_several_samples_a_frame_has_its_own_rate(source: Path) -> None:
    before = read(source)
    half = LENGTH // 2  # frames of two samples; times of annotations are in frames
    in_header(source, f"syn00 1 250 {LENGTH}", f"syn00 1 125 {half}")
    in_header(source, "syn00.dat 16 ", "syn00.dat 16x2 ")
    annotate(source, (before.samples // 2).tolist(), list(map(chr, before.symbols)), fs=125)
    record = read(source)
    assert record.fs == 250
    np.testing.assert_array_equal(record.signal, before.signal)
    assert np.abs(record.samples - before.samples).max() <= 1
    recording = open_recording(source / "syn00")
    assert (recording.fs, recording.samples) == (250, LENGTH)
    np.testing.assert_array_equal(np.concatenate(list(recording.read(333))), before.signal)


@pytest.mark.parametrize("content", [b"\xff" * 40, bytes(range(1, 100)), b"\x00\xec\xff\xff", b"N"])
def test_annotations_of_garbage_get_one_clear_line(source: Path, content: bytes) -> None:
    (source / "syn00.atr").write_bytes(content)
    with pytest.raises(UserError, match=r"record syn00: "):
        read(source)


def test_the_first_preferred_lead_is_taken_by_name(source: Path) -> None:
    two_leads(source)
    assert read(source).lead == "MLII"
    assert read(source).signal.mean() == pytest.approx(1.0, abs=0.01)
    assert read(source, ("V5", "MLII")).lead == "V5"
    assert read(source, ("V1", "V5")).signal.mean() == pytest.approx(0.0, abs=0.01)
    with pytest.raises(MissingLead, match="among V1, II, found V5, MLII"):
        read(source, ("V1", "II"))


def test_an_annotation_one_sample_past_the_end_is_kept_and_padded(source: Path) -> None:
    annotate(source, [100, LENGTH], ["N", "V"])
    record = read(source)
    assert record.samples.tolist() == [100, LENGTH]
    examples = cut_beats(record, InputConfig(fs=250.0, frame=64))
    assert len(examples.frames) == 2
    np.testing.assert_allclose(examples.frames[1, 31:], record.signal[-1], rtol=1e-6)


@pytest.mark.parametrize("gain", ["0", "0(0)/mV", "0/mV", ""])
def test_gain_zero_is_read_as_uncalibrated(source: Path, gain: str) -> None:
    calibrated = read(source)
    lines = (source / "syn00.hea").read_text().splitlines()
    fields = lines[1].split()
    fields[2:3] = [gain] if gain else ["0"]
    (source / "syn00.hea").write_text("\n".join([lines[0], " ".join(fields), *lines[2:]]) + "\n")
    record = read(source)
    assert not record.calibrated
    np.testing.assert_allclose(record.signal, calibrated.signal, atol=1e-9)  # 200 units per mV either way


def test_annotations_at_another_time_resolution_come_to_the_rate_of_the_record(source: Path) -> None:
    annotate(source, [0, 401, 2001, 9998], ["+", "N", "V", "N"], fs=1000)
    record = read(source)
    assert record.samples.tolist() == [100, 500, 2500]  # halves are rounded up
    assert record.rhythms == ((0, "(N"),)
    assert open_recording(source / "syn00").beats.tolist() == [100, 500, 2500]


def test_two_beats_at_one_sample_are_taken_and_found(source: Path) -> None:
    annotate(source, [100, 100, 400, 400, 700], ["+", "N", "N", "V", "N"], fs=250)
    record = read(source)
    assert record.samples.tolist() == [100, 400, 400, 700]
    assert of_doubled_beats(record.samples) == "more than one beat at sample 400, whose interval counts as 0.2 s"
    assert of_doubled_beats(record.samples[:2]) == ""


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (
            ["## annotated by J. Doe"],
            "begins with the note '## annotated by J. Doe', which defines nothing; leave the ##",
        ),
        (["## time resolution: 250", "## time resolution: 250"], "begins with the note '## time resolution: 250'"),
        (["## end of definitions"], "which defines nothing"),
        (["annotated by J. Doe"], None),
        (["## time resolution: 250"], None),
        (["## annotation type definitions", "42 x some beat", "## end of definitions"], None),
    ],
)
def test_a_note_that_wfdb_would_read_for_ever_is_told(source: Path, notes: list[str], told: str | None) -> None:
    samples, symbols = [*[0] * len(notes), 0, 400, 700], [*['"'] * len(notes), "N", "V", "N"]
    wfdb.wrann(
        "syn00", "atr", np.array(samples), symbol=symbols, aux_note=[*notes, "", "", ""], write_dir=str(source)
    )  # fmt: skip
    if told is None:
        assert read(source).samples.tolist() == [0, 400, 700]
    else:
        with pytest.raises(UserError, match=told):
            read(source)


def test_annotations_may_have_another_ending(source: Path) -> None:
    expected = read(source)
    (source / "syn00.atr").rename(source / "syn00.qrs")
    database = replace(DATABASE, extensions=("dat", "hea", "qrs"))
    assert database.annotated and database.annotator == "qrs"
    np.testing.assert_array_equal(read_record(source, database, "syn00").samples, expected.samples)
    (source / "syn00.qrs").unlink()
    with pytest.raises(UserError, match=r"record syn00: the annotation file syn00\.qrs is missing"):
        read_record(source, database, "syn00")


@pytest.mark.parametrize(
    ("extensions", "ending"),
    [(("hea", "dat"), None), (("csv",), None), (("hea", "mat", "ecg"), "ecg"), (("hea", "dat", "qrs", "atr"), "atr")],
)
def test_what_is_neither_header_nor_signal_holds_the_annotations(
    extensions: tuple[str, ...], ending: str | None
) -> None:
    assert replace(DATABASE, extensions=extensions).annotator == ending


@pytest.mark.parametrize(("unit", "scale"), [("V", 1e3), ("uV", 1e-3), ("mV", 1.0), ("", 1.0)])
def test_a_signal_is_read_in_mv_whatever_the_unit_of_its_header(source: Path, unit: str, scale: float) -> None:
    expected = scale * read(source).signal
    in_header(source, "200.0(0)/mV", f"200.0(0)/{unit}".rstrip("/"))
    record = read(source)
    np.testing.assert_array_equal(record.signal, expected)  # in mV bit by bit
    opened = open_recording(source / "syn00")
    np.testing.assert_array_equal(np.concatenate(list(opened.pieces())), record.signal)


def test_a_record_tells_where_signal_was_lost(source: Path) -> None:
    whole = read(source)
    assert whole.lost.shape == (0, 2) and not whole.across_lost_signal.any()
    first, second = whole.samples[3] + 20, whole.samples[5] + 20
    for position in [*range(first, first + 25), *range(second, second + 24)]:  # 25 samples are a tenth of a second
        overwrite_sample(source, position, -(2**15))
    record = read(source)
    assert record.lost.tolist() == [[first + 24, first + 24]]
    assert np.flatnonzero(record.across_lost_signal).tolist() == [3]
    assert (record.signal[first : first + 25] == whole.signal[first - 1]).all()


def test_what_is_lost_later_than_an_interval_counts_is_not_between(source: Path) -> None:
    record = replace(read(source), samples=np.array([100, 1_200]), symbols=np.frombuffer(b"NN", np.uint8))
    assert [replace(record, lost=np.array([[at, at]])).across_lost_signal[0] for at in (849, 850)] == [True, False]


def test_a_flat_record_gives_zeros(source: Path) -> None:
    (source / "syn00.dat").write_bytes(bytes(2 * LENGTH))
    contract = InputConfig(frame=64)
    examples = cut_beats(read(source), contract)
    assert len(examples.frames) > 5
    assert not model_inputs(examples.frames, examples.rr, contract)["signal"].any()


def test_every_beat_is_cut_and_its_peak_is_at_the_middle(source: Path) -> None:
    signal = np.zeros(LENGTH)
    positions = [2, 700, 1500, 2496]
    signal[positions] = 1.0
    wfdb.wrsamp(
        "syn00",
        fs=250,
        units=["mV"],
        sig_name=["MLII"],
        p_signal=signal[:, None],
        fmt=["16"],
        adc_gain=[200.0],
        baseline=[0],
        write_dir=str(source),
    )
    annotate(source, positions, ["N", "V", "A", "F"])
    for margin in (0, 5):
        examples = cut_beats(read(source), InputConfig(fs=125.0, frame=32, rr_features=["pre_post"]), margin)
        assert examples.frames.shape == (4, 32 + 2 * margin)
        assert examples.frames.argmax(axis=1).tolist() == [16 + margin] * 4
        assert examples.rr.shape == (4, 1)
        assert examples.symbols.tobytes() == b"NVAF"
        assert examples.samples.tolist() == positions


def test_errors_survive_the_way_from_a_worker_process() -> None:
    for error in (UserError("problem", "remedy"), MissingLead("problem", "remedy")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (again.problem, again.remedy, str(again)) == ("problem", "remedy", "problem; remedy")


def test_records_are_opened_by_database_and_name(cache: Path) -> None:
    assert open_record("synthetic", "syn03").signal.shape == (75_000,)
    with pytest.raises(UserError, match="'mitdb'"):
        open_record("mitbd", "100")
    with pytest.raises(UserError, match="syn99"):
        open_record("synthetic", "syn99")
    with pytest.raises(UserError, match="3"):
        open_record("synthetic", 3)
    assert len(beat_symbols(DATABASE, ["syn00", "syn01"])) == sum(
        len(open_record("synthetic", name).symbols) for name in ("syn00", "syn01")
    )


def test_records_of_one_person_share_a_patient() -> None:
    mitdb = get_database("mitdb")
    assert mitdb.patient("201") == mitdb.patient("202") == "201"
    assert len({mitdb.patient(record) for record in mitdb.records}) == 47
    icentia = get_database("icentia11k-continuous-ecg")
    assert icentia.patient("p00/p00000/p00000_s00") == icentia.patient("p00/p00000/p00000_s07") == "p00000"


@pytest.mark.parametrize(
    ("comments", "sex", "age"),
    [
        (("69 M 1085 1629 x1", "Aldomet, Inderal"), "M", 69),
        (("24 F 1240 2851 x1",), "F", 24),
        (("-1 M 742 654 x1",), "M", None),
        (("The record has 30 M of samples",), None, None),
        (("Aldomet", "69 M 1085 1629 x1"), None, None),
        ((), None, None),
    ],
)
def test_sex_and_age_are_those_of_the_first_comment(
    source: Path, comments: tuple[str, ...], sex: str | None, age: int | None
) -> None:
    record = replace(read(source), comments=comments)
    assert (record.sex, record.age) == (sex, age)
