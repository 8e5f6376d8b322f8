"""Whole recordings: labels, files, summary, report."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import wfdb

import heartzoo as hz
from heartzoo.classification import files
from heartzoo.classification.drawing import ticks
from heartzoo.classification.files import paths_of
from heartzoo.classification.gallery import Gallery
from heartzoo.classification.recordings import Classification, classify_recording, trained_leads
from heartzoo.classification.report import report
from heartzoo.classification.stream import DEFAULT_MODEL, Beat
from heartzoo.classification.summary import beside_lost_signal, summarise, symbol_of
from heartzoo.data import synthetic
from heartzoo.data.quality import Stretch
from heartzoo.data.recordings import open_recording
from heartzoo.errors import UserError
from heartzoo.tasks import TASKS
from heartzoo.zoo import zoo_folder
from heartzoo.zoo.published import PublishedModel, load_tflite

AAMI = TASKS["arrhythmia-5"]


@pytest.fixture(scope="module")
def model() -> PublishedModel:
    return load_tflite(DEFAULT_MODEL, zoo=zoo_folder())


@pytest.fixture(scope="module")
def classification(model: PublishedModel, tmp_path_factory: pytest.TempPathFactory) -> Classification:
    folder = tmp_path_factory.mktemp("records")
    synthetic.write(folder, ["syn03"], 400.0)
    recording = open_recording(folder / "syn03", trained_leads(model))
    return classify_recording(recording, model, annotated=False, progress=False)


def beats(labels: str, interval_s: float = 1.0) -> list[Beat]:
    return [Beat(round(250 * k * interval_s), k * interval_s, label, 0.9, False) for k, label in enumerate(labels, 1)]


def test_files_and_arrays_give_the_same(classification: Classification, model: PublishedModel) -> None:
    record = synthetic.generate("syn03", 400.0)
    stored = np.round(record.signal * 200) / 200
    found = hz.classify(stored, record.fs, model)
    assert found.beats == classification.beats
    assert found.summary == classification.summary
    assert abs(len(found.beats) - len(record.samples)) < 0.02 * len(record.samples)


def test_annotated_beats_are_r_peaks_unless_unwanted(model: PublishedModel, tmp_path: Path) -> None:
    synthetic.write(tmp_path, ["syn05"], 60.0)
    recording = open_recording(tmp_path / "syn05")
    given = classify_recording(recording, model, progress=False)
    assert given.annotated
    assert [beat.sample for beat in given.beats] == synthetic.generate("syn05", 60.0).samples.tolist()
    assert not classify_recording(recording, model, annotated=False, progress=False).annotated


def test_nothing_is_written_of_a_signal_without_samples(model: PublishedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the signal holds no samples"):
        files.write(hz.classify(np.zeros(0), 250.0, model), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_leads_of_the_training(model: PublishedModel) -> None:
    assert trained_leads(model) == ["MLII", "ECG1"]  # the V5 of mitdb is that of two records of DS2


# Files


def test_the_annotation_file_is_read_by_wfdb(classification: Classification, tmp_path: Path) -> None:
    paths = files.write(classification, tmp_path / "out")
    assert [path.name for path in paths] == ["syn03.hz", "syn03.csv", "syn03.html", "syn03.json"]
    annotation = wfdb.rdann(str(tmp_path / "out" / "syn03"), "hz")
    of_beats = np.array(annotation.symbol) != "~"
    assert annotation.fs == 250
    assert np.array(annotation.sample)[of_beats].tolist() == [beat.sample for beat in classification.beats]
    assert np.array(annotation.symbol)[of_beats].tolist() == [beat.label for beat in classification.beats]
    sure = [round(100 * beat.confidence) for beat in classification.beats]
    assert np.array(annotation.subtype)[of_beats].tolist() == sure
    assert np.array(annotation.num)[of_beats].tolist() == [beat.abstained for beat in classification.beats]


@pytest.mark.parametrize("keep", [0, 1, 64, 513, -2])
def test_an_annotation_file_that_the_disk_cut_off_is_told(
    classification: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    def cut(*arguments: object, write_dir: str, **options: object) -> None:
        whole(*arguments, write_dir=write_dir, **options)
        path = Path(write_dir) / "record.hz"
        path.write_bytes(path.read_bytes()[:keep])

    whole = wfdb.wrann
    monkeypatch.setattr(wfdb, "wrann", cut)
    with pytest.raises(UserError, match=r"the disk is full: cannot write into .*TMPDIR"):
        files.write(classification, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_poor_signal_is_in_the_annotations(classification: Classification, tmp_path: Path) -> None:
    spoilt = replace(classification, quality=[Stretch(2.0, 4.0, "noise"), Stretch(4.0, 5.0, "flat line")])
    files.write(spoilt, tmp_path)
    annotation = wfdb.rdann(str(tmp_path / "syn03"), "hz")
    marks = [
        (sample, note.rstrip("\0"))
        for sample, symbol, note in zip(annotation.sample, annotation.symbol, annotation.aux_note, strict=True)
        if symbol == "~"
    ]
    assert marks == [(500, "noise"), (1000, "flat line"), (1250, "clean")]
    rows = list(csv.DictReader((tmp_path / "syn03.csv").read_text().splitlines()))
    assert {row["signal"] for row in rows if 2 <= float(row["time_s"]) < 4} == {"noise"}
    assert {row["signal"] for row in rows if float(row["time_s"]) > 7} == {""}


def test_the_table_holds_every_beat(classification: Classification) -> None:
    rows = list(csv.DictReader(files.table(classification).splitlines()))
    assert list(rows[0]) == list(files.COLUMNS)
    assert [int(row["sample"]) for row in rows] == [beat.sample for beat in classification.beats]
    assert rows[0]["rr_s"] == ""
    assert float(rows[1]["rr_s"]) == pytest.approx(float(rows[1]["time_s"]) - float(rows[0]["time_s"]), abs=2e-3)


def test_a_recording_without_beats(model: PublishedModel, tmp_path: Path) -> None:
    silent = hz.classify(np.zeros(500), 250.0, model)
    assert silent.beats == []
    paths = files.write(replace(silent, quality=[], name="a b/ü"), tmp_path)
    assert re.fullmatch(r"a_b_ü-[0-9a-f]{8}\.hz", paths[0].name)
    assert wfdb.rdann(str(paths[0].with_suffix("")), "hz").sample.tolist() == []
    assert json.loads(paths[3].read_text())["ectopic_burden"] is None


def test_recordings_of_nearly_the_same_name_keep_files_of_their_own(tmp_path: Path) -> None:
    names = ["night_1", "night.1", "night 1", "患者一", "患者二", "Jürgen", "Jörgen", "", "recording", "a/b"]
    assert len({paths_of(name, tmp_path)[0] for name in names}) == len(names)
    assert [path.name for path in paths_of("100", tmp_path)] == ["100.hz", "100.csv", "100.html", "100.json"]
    assert all(path.parent == tmp_path for name in names for path in paths_of(name, tmp_path))


def test_beats_at_one_sample_are_written_and_count_as_a_fifth_of_a_second(
    model: PublishedModel, tmp_path: Path
) -> None:
    record = synthetic.generate("syn24", 20.0)
    for peaks in ([500, 500], [500, 500, 700, 900]):
        found = hz.classify(record.signal, record.fs, model, np.array(peaks))
        assert len(files.write(found, tmp_path)) == 4 and "heart rate" in report(found)
    assert found.summary["longest_rr_s"] == pytest.approx(200 / record.fs)
    assert found.summary["heart_rate"]["mean"] == pytest.approx(60 / np.mean([0.2, 0.8, 0.8]))


# Summary


def test_patterns_of_ectopic_beats() -> None:
    found = summarise(beats("NVNVNVNNVVNVVVVNSNQSSSN"), [], 24.0, AAMI)
    assert found["classes"] == {"N": 9, "S": 4, "V": 9, "F": 0, "Q": 1}
    assert found["ectopic"]["V"] == {"beats": 9, "couplets": 1, "bigeminy": 1, "runs": 1, "longest_run": 4}
    assert found["ectopic"]["S"] == {"beats": 4, "couplets": 0, "bigeminy": 0, "runs": 1, "longest_run": 3}
    assert found["ectopic_burden"] == pytest.approx(13 / 23)
    assert found["heart_rate"] == {"lowest": 60.0, "mean": 60.0, "highest": 60.0}


def test_ectopic_beats_in_turn_are_bigeminy_from_the_third_on() -> None:
    found = [
        summarise(beats(labels), [], 9.0, AAMI)["ectopic"]["V"]["bigeminy"]
        for labels in ("NVNVNN", "NVNVNVNN", "VNVNN", "VNVNVNN")
    ]
    assert found == [0, 1, 0, 1]


def test_the_mean_rate_is_that_of_the_mean_interval() -> None:
    times = np.cumsum([0.0, *[0.5] * 10, *[1.5] * 10])
    heard = [Beat(round(250 * time), float(time), "N", 0.9, False) for time in times]
    assert summarise(heard, [], 21.0, AAMI)["heart_rate"] == pytest.approx({"lowest": 40, "mean": 60, "highest": 120})


def test_a_rate_is_that_of_eight_intervals_in_a_row() -> None:
    def highest(quick: int) -> float:
        times = np.cumsum([0.0, *[1.0] * 20, *[0.5] * quick, *[1.0] * 20])
        heard = [Beat(round(250 * time), float(time), "N", 0.9, False) for time in times]
        return summarise(heard, [], float(times[-1]), AAMI)["heart_rate"]["highest"]

    assert [highest(quick) for quick in (4, 7, 8, 12)] == pytest.approx([80.0, 60 / (4.5 / 8), 120.0, 120.0])


@pytest.mark.parametrize(("gap_s", "counts"), [(1.9, True), (2.1, False), (2.9, False)])
def test_an_interval_of_twice_the_median_beside_noise_is_none(gap_s: float, counts: bool) -> None:
    times = np.cumsum([0.0, *[1.0] * 10, gap_s, *[1.0] * 10])
    heard = [Beat(round(250 * time), float(time), "N", 0.9, False) for time in times]
    noise = Stretch(10.2, 10.4, "noise")
    assert (summarise(heard, [noise], float(times[-1]), AAMI)["longest_rr_s"] == pytest.approx(gap_s)) == counts
    assert summarise(heard, [], float(times[-1]), AAMI)["longest_rr_s"] == pytest.approx(gap_s)


def test_the_longest_interval_is_not_a_lost_signal() -> None:
    heard = beats("NNNN")
    heard.append(Beat(3500, 14.0, "N", 0.9, True))
    heard.append(Beat(4125, 16.5, "N", 0.9, True))
    lost = [Stretch(5.0, 13.0, "lead off")]
    assert summarise(heard, [], 20.0, AAMI)["longest_rr_s"] == 10.0
    found = summarise(heard, lost, 20.0, AAMI)
    assert (found["longest_rr_s"], found["longest_rr_at_s"]) == (2.5, 14.0)
    assert (found["abstained"], found["poor_signal_s"]) == (2, {"lead off": 8.0})
    assert summarise(heard, [Stretch(5.0, 13.0, "noise")], 20.0, AAMI)["longest_rr_s"] == 2.5  # no pause of 10 s
    assert summarise(heard, [Stretch(14.5, 15.0, "noise")], 20.0, AAMI)["longest_rr_s"] == 10.0


def test_beats_beside_a_lost_signal_do_not_count_in_the_burden() -> None:
    heard = beats("NNVVNNSN")
    seconds = [beat.time_s for beat in heard]
    lost = [Stretch(seconds[2] + 0.2, seconds[3] - 0.2, "lead off")]
    found, whole = summarise(heard, lost, 8.0, AAMI), summarise(heard, [], 8.0, AAMI)
    assert (whole["beside_lost_signal"], whole["ectopic_burden"]) == (0, pytest.approx(3 / 8))
    assert (found["beside_lost_signal"], found["ectopic_burden"]) == (2, pytest.approx(1 / 6))
    assert found["classes"] == whole["classes"]
    ends = [Stretch(0.0, seconds[0] - 0.01, "lead off"), Stretch(seconds[-1] + 0.01, 9.0, "flat line")]
    assert beside_lost_signal(heard, ends).nonzero()[0].tolist() == [0, 7]
    everywhere = summarise(beats("VV"), [Stretch(0.0, 9.0, "lead off")], 9.0, AAMI)
    assert (everywhere["beside_lost_signal"], everywhere["ectopic_burden"]) == (2, None)


def test_the_table_tells_of_lost_signal_and_gives_no_interval_across_it(classification: Classification) -> None:
    first, second, third = classification.beats[3:6]
    between = Stretch(first.time_s + 0.1, second.time_s - 0.1, "lead off")
    text = files.table(replace(classification, quality=[between]))
    rows = {int(row["sample"]): row for row in csv.DictReader(text.splitlines())}
    assert [rows[beat.sample]["signal"] for beat in (first, second, third)] == [files.BESIDE, files.BESIDE, ""]
    assert rows[second.sample]["rr_s"] == "" != rows[third.sample]["rr_s"]


def test_files_of_others_are_not_written_over(classification: Classification, tmp_path: Path) -> None:
    paths = files.write(classification, tmp_path)
    files.refuse_foreign(paths)  # ours may be made anew
    for path in paths[1:]:
        before = path.read_bytes()
        path.write_text("mine")
        with pytest.raises(UserError, match="is there, and not of heartzoo's making; name another folder"):
            files.refuse_foreign(paths)
        path.write_bytes(before)


def test_nothing_follows_across_a_lost_signal() -> None:
    heard = beats("NVNVVNVNVN")
    seconds = [beat.time_s for beat in heard]
    lost = [Stretch(seconds[3] + 0.2, seconds[4] - 0.2, "lead off")]
    assert summarise(heard, [], 10.0, AAMI)["ectopic"]["V"]["couplets"] == 1
    assert summarise(heard, lost, 10.0, AAMI)["ectopic"]["V"]["couplets"] == 0
    run = summarise(beats("VVV"), [Stretch(seconds[1] + 0.2, seconds[1] + 0.4, "flat line")], 3.0, AAMI)["ectopic"]["V"]
    assert (run["runs"], run["couplets"]) == (0, 1)


def test_a_heart_rate_is_of_intervals_in_a_row() -> None:
    times = [*np.arange(0, 18, 2.0), *np.arange(40, 44, 0.4)]
    heard = [Beat(round(250 * time), float(time), "N", 0.9, False) for time in times]
    rate = summarise(heard, [Stretch(17.0, 39.0, "lead off")], 44.0, AAMI)["heart_rate"]
    assert (rate["lowest"], rate["highest"]) == pytest.approx((30, 150))


def test_symbols_of_classes() -> None:
    assert [symbol_of(AAMI, name) for name in AAMI.classes] == list("NSVFQ")
    assert [symbol_of(TASKS["beat-3"], name) for name in TASKS["beat-3"].classes] == list("NSV")
    assert [symbol_of(TASKS["beat-2"], name) for name in TASKS["beat-2"].classes] == list("NQ")


# Report


class Links(HTMLParser):
    """Collects what a page would load, and checks that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page_that_loads_nothing(classification: Classification) -> None:
    page = report(replace(classification, name="<script>"))
    links = Links()
    links.feed(page)
    assert links.loaded == [] and links.open == []
    assert "For research and education; not a medical device." in page
    assert "<script>" not in page
    assert "nan" not in page.replace("tenance", "").lower()
    for section in ("R-R intervals", "Ectopic beats over time", "The surest ectopic beats", "Mean beats"):
        assert section in page


def test_strips_are_of_the_surest_ectopic_beats(classification: Classification) -> None:
    strips = classification.gallery.strips
    assert strips
    for strip in strips:
        alike = [beat for beat in classification.beats if beat.label == strip.beat.label]
        assert strip.beat in alike and strip.beat in strip.beats
        assert strip.beat.label in ("S", "V")
        assert len(strip.signal) <= 8 * 250
    for name in ("S", "V"):
        alike = [beat.confidence for beat in classification.beats if beat.label == name]
        shown = [strip.beat.confidence for strip in strips if strip.beat.label == name]
        assert not alike or max(shown) == max(alike)


def test_mean_beats_are_means(model: PublishedModel) -> None:
    x = np.zeros(250 * 60)
    x[125::200] = 2.0
    x[126::200] = 1.0
    found = hz.classify(x, 250.0, model)
    means = found.gallery.means
    assert set(means) == {beat.label for beat in found.beats}
    peak = max(means, key=lambda name: len([beat for beat in found.beats if beat.label == name]))
    assert abs(int(np.argmax(means[peak])) - round(0.3 * 250)) <= 2


@pytest.mark.parametrize("samples", [[], [100], [100, 300]])
def test_reports_of_few_beats(model: PublishedModel, samples: list[int]) -> None:
    record = synthetic.generate("syn02", 10.0)
    found = hz.classify(record.signal, record.fs, model, np.array(samples, np.int64))
    assert len(found.beats) == len(samples)
    assert "not a medical device" in report(found)


def test_beats_whose_signal_has_gone_before_they_were_decided_are_on_no_picture() -> None:
    gallery, late = Gallery(250.0, ("V",), 4.0), [Beat(500, 2.0, "V", 0.9, False), Beat(9_900, 39.6, "V", 0.8, False)]
    for piece in np.split(np.full(10_000, np.nan), 4):
        gallery.push(piece, [])
    gallery.push(np.linspace(0.0, 1.0, 2_500), late)
    gallery.finish([])
    assert [strip.beat for strip in gallery.strips] == late[1:]
    assert gallery.strips[0].start_s == 39.6 - 4.0 and len(gallery.strips[0].signal) == 2_000
    assert gallery.means == {}


@pytest.mark.parametrize("spoilt", [np.inf, -np.inf, 1e9, -3.4e38])
def test_what_was_not_measured_is_in_no_mean_beat_and_no_strip(model: PublishedModel, spoilt: float) -> None:
    record = synthetic.generate("syn03", 60.0)
    signal = record.signal.copy()
    signal[record.samples[::7] + 20] = spoilt
    found = hz.classify(signal, record.fs, model, record.samples)
    drawn = [*found.gallery.means.values(), *(strip.signal for strip in found.gallery.strips)]
    assert len(drawn) > 2 and all(np.nanmax(np.abs(values)) < 10 for values in drawn)
    assert "inf" not in "".join(re.findall(r' d="([^"]*)"', report(found)))


def test_ticks_are_round() -> None:
    assert ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.37, 1.2, 5) == [0.0, 0.5, 1.0]
