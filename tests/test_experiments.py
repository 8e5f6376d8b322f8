"""Experiments on synthetic recordings: what they train, what they report, and mistakes in their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from heartzoo.config.disturbance import Disturbance
from heartzoo.config.experiment import load_experiment
from heartzoo.data.splits import SPLITS, get_split
from heartzoo.errors import UserError
from heartzoo.experiment_results import _by_seed, _heading, every_table, overview, read, table
from heartzoo.experiments import run_experiment
from heartzoo.metrics import macro_f1

ROOT = Path(__file__).parents[1]
STEP = "compression=[{distill: {teachers: [$alone], epochs: 1}}]"
TREE = {
    "question": "Is a taught network better?",
    "config": "tiny.yaml",
    "changes": ["training.folds=3", "training.epochs=1"],
    "seeds": [0, 1],
    "folds": [0, 2],
    "reference": "alone",
    "variants": [
        {"name": "alone", "what": "as it is"},
        {
            "name": "taught",
            "what": "by its seeds",
            "after": "alone",
            "changes": [STEP],
        },
    ],
}


def after(**changes) -> dict[str, Any]:
    """The experiment's variants with the second one changed."""
    return {"variants": [TREE["variants"][0], TREE["variants"][1] | changes]}


def written(folder: Path, tiny: Path, **changes) -> Path:
    (folder / "tiny.yaml").write_bytes(tiny.read_bytes())
    path = folder / "teachers.yaml"
    path.write_text(yaml.safe_dump(TREE | changes), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tiny, synthetic_cache, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("experiment")
    path = written(folder, tiny)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        run_experiment(path, folder / "runs")
    return path, folder / "runs"


def test_every_fold_and_seed_is_validated_on_patients_that_did_not_train_it(finished):
    result = read(finished[0].with_suffix(".json"))
    assert [variant.name for variant in result.variants] == ["alone", "taught"]
    for variant in result.variants:
        trials = [(seed.fold, seed.seed) for fold in variant.folds for seed in fold.seeds]
        assert trials == [(0, 0), (0, 1), (2, 0), (2, 1)]
        first, second = (set(fold.seeds[0].patients) for fold in variant.folds)
        assert first and second and not first & second
    beats = [sum(np.sum(m) for m in seed.patients.values()) for v in result.variants for seed in v.folds[0].seeds]
    assert len(set(beats)) == 1


def test_a_teacher_is_asked_once_for_all_seeds(finished):
    assert len(list((finished[1] / "teachers" / "taught" / "fold-0").glob("teacher-*.npz"))) == 1


def test_an_experiment_goes_on_and_gives_the_same(finished, cache):
    path, runs = finished
    before = path.with_suffix(".json").read_bytes()
    kept = runs / "teachers" / "taught" / "fold-2" / "validation.json"
    networks = {p: p.stat().st_mtime_ns for p in runs.rglob("best.keras")}
    kept.unlink()
    path.with_suffix(".json").unlink()
    run_experiment(path, runs)
    assert path.with_suffix(".json").read_bytes() == before
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("best.keras")} == networks


def test_disturbances_are_scored_on_the_same_patients_without_training_again(finished, tiny, cache, monkeypatch):
    path, runs = finished
    monkeypatch.setattr("heartzoo.experiments.train", lambda *_, **__: pytest.fail("trains again"))
    monkeypatch.setattr("heartzoo.experiments.compress", lambda *_, **__: pytest.fail("trains again"))
    before = path.with_suffix(".json").read_bytes()
    try:
        asked = [{"gain": -1}, {"jitter_ms": 150}, {"rhythm": "block"}]
        result, _ = run_experiment(written(path.parent, tiny, disturbances=asked), runs)
    finally:
        written(path.parent, tiny)
        path.with_suffix(".json").write_bytes(before)
    plain = read(path.with_suffix(".json"))
    changed = []
    for variant, undisturbed in zip(result.variants, plain.variants, strict=True):
        seeds = [seed for fold in variant.folds for seed in fold.seeds]
        assert [seed.patients for seed in seeds] == [s.patients for fold in undisturbed.folds for s in fold.seeds]
        assert all(set(one) == set(seed.patients) for seed in seeds for one in seed.disturbed)
        assert all(len(seed.disturbed) == 3 for seed in seeds)
        changed += [one != seed.patients for seed in seeds for one in seed.disturbed]
    assert any(changed)  # networks of one epoch may say the same of both
    rows = [[cell.strip() for cell in line.split("|")] for line in table(result).splitlines()]
    headings = ["inverted lead, x -1", "R peaks jittered, up to 150 ms", "Se NSR in made block"]
    first = rows[0].index(headings[0])
    assert rows[0][first : first + 3] == headings and len({len(row) for row in rows}) == 1
    assert all(row[first].startswith(("+", "-")) and abs(float(row[first])) < 1 for row in rows[2:])
    for row, variant in zip(rows[2:], result.variants, strict=True):
        found = [np.sum(list(each.disturbed[2].values()), axis=0) for fold in variant.folds for each in fold.seeds]
        by_seed = [np.sum(found[seed::2], axis=0) for seed in (0, 1)]  # of each fold both seeds
        assert all(matrix[1:].sum() == 0 for matrix in by_seed)
        assert float(row[first + 2]) == pytest.approx(np.mean([m[0, 0] / m[0].sum() for m in by_seed]), abs=6e-4)
    table_before = table(plain)
    assert not any(heading in table_before for heading in headings)


@contextmanager
def longer(path: Path, end: bytes) -> Iterator[None]:
    """A file with something behind its end, for a while."""
    content = path.read_bytes()
    path.write_bytes(content + end)
    try:
        yield
    finally:
        path.write_bytes(content)


def test_students_of_another_teacher_are_not_taken_for_this_one_s(finished, cache):
    path, runs = finished
    before = path.with_suffix(".json").read_bytes()
    teacher = runs / "teachers" / "alone" / "fold-0" / "seed-0" / "best.keras"
    told = "fold-0 was taught by other networks than its teachers are now; remove it"
    with longer(teacher, b" "), pytest.raises(UserError, match=told):
        run_experiment(path, runs)
    run_experiment(path, runs)
    assert path.with_suffix(".json").read_bytes() == before


def test_a_finished_trial_is_not_taken_for_one_of_other_recordings(finished, cache, monkeypatch):
    path, runs = finished
    before = path.with_suffix(".json").read_bytes()
    (header,) = cache.rglob("syn00.hea")
    told = "fold-0 was trained on other files of synthetic-train than"
    with longer(header, b"# corrected\n"), pytest.raises(UserError, match=told):
        run_experiment(path, runs)
    with monkeypatch.context() as patched:
        train = get_split("synthetic-train")
        patched.setitem(SPLITS, "synthetic-train", replace(train, records=train.records[1:]))
        with pytest.raises(UserError, match="fold-0 was trained on other records of synthetic-train"):
            run_experiment(path, runs)
    run_experiment(path, runs)
    assert path.with_suffix(".json").read_bytes() == before


def test_variants_that_others_validated_are_not_compared(finished):
    result = read(finished[0].with_suffix(".json"))
    told = "taught: validated on other people, or other beats, than alone; not compared."
    assert told not in table(result) and "taught, of 1" in overview([result])
    other = result.model_copy(deep=True)
    seed = other.variants[1].folds[0].seeds[0]
    seed.patients["somebody/else"] = seed.patients.pop(next(iter(seed.patients)))
    row = next(line for line in table(other).splitlines() if line.startswith("| taught"))
    assert told in table(other) and row.split(" | ")[3:5] == ["-", "-"]
    assert "| - |" in overview([other]) and "taught, of 1" not in overview([other])


def test_trials_of_examples_that_other_code_made_are_told(finished, cache, monkeypatch, capfd):
    path, runs = finished
    before = path.with_suffix(".json").read_bytes()
    run_experiment(path, runs)
    assert "other code" not in "".join(capfd.readouterr())
    monkeypatch.setattr("heartzoo.experiments.code", lambda: "other")
    run_experiment(path, runs)
    told = " ".join("".join(capfd.readouterr()).split())
    assert told.count("is of examples that other code made") == len(list(runs.rglob("validation.json")))
    assert path.with_suffix(".json").read_bytes() == before


def test_a_table_of_trials_on_different_examples_says_so(finished):
    result = read(finished[0].with_suffix(".json"))
    told = "Not all of these trials are of examples that the same code made"
    assert told not in table(result)
    other = result.model_copy(deep=True)
    other.variants[0].folds[0] = other.variants[0].folds[0].model_copy(update={"code": "another"})
    assert told in table(other)


def test_bars_in_a_text_or_a_class_s_name_end_no_cell():
    result = read(ROOT / "configs" / "experiments" / "beat-3-features.json")
    variants = [result.variants[0].model_copy(update={"what": "one | other"}), *result.variants[1:]]
    changes = {"question": "One | other?", "classes": ["NSR", "PAC|PVC", "PVC"], "variants": variants}
    result = result.model_copy(update=changes)
    for text in (table(result), overview([result])):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")}
        assert len(bars) == 1 and "\\|" in text


def test_the_table_pools_the_patients_of_all_folds(finished):
    result = read(finished[0].with_suffix(".json"))
    line = next(row for row in table(result).splitlines() if row.startswith("| alone"))
    figures = []
    for seed in (0, 1):
        pooled = sum(
            np.sum(list(each.patients.values()), axis=0)
            for fold in result.variants[0].folds
            for each in fold.seeds
            if each.seed == seed
        )
        f1 = 2 * np.diag(pooled) / (pooled.sum(axis=0) + pooled.sum(axis=1)).clip(1)
        figures.append(f1.mean())
    assert f"{np.mean(figures):.4f} ± {np.std(figures, ddof=1):.4f}" in line


def test_the_table_says_whether_one_patient_makes_a_gain(finished):
    result = read(finished[0].with_suffix(".json"))
    line = next(row for row in table(result).splitlines() if row.startswith("| taught"))
    people = sorted({name for fold in result.variants[0].folds for each in fold.seeds for name in each.patients})

    def without(variant, patient, seed):
        folds = [each for fold in variant.folds for each in fold.seeds if each.seed == seed]
        return macro_f1(np.sum([m for each in folds for name, m in each.patients.items() if name != patient], axis=0))

    alone, taught = result.variants
    gains = [np.mean([without(taught, p, seed) - without(alone, p, seed) for seed in (0, 1)]) for p in people]
    assert line.split(" | ")[4] == f"{min(gains):+.4f} to {max(gains):+.4f}"


def test_the_page_says_what_the_best_variant_changes_and_how_the_table_is_to_be_read(finished, tiny):
    path, _ = finished
    result = read(path.with_suffix(".json"))
    written(path.parent, tiny, found="Nothing at all.")
    line = next(row for row in every_table(path.parent).splitlines() if row.startswith("| [teachers](#teachers) | Is"))
    _, _, best, figure, *_ = line.split(" | ")
    alone, taught = (np.mean([row[0] for row in _by_seed(result, variant)]) for variant in result.variants)
    assert (best, figure) == ("taught, of 1", f"{taught - alone:+.4f}")
    assert every_table(path.parent).endswith(f"{table(result)}\n\nNothing at all.")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reference": "alon"}, "reference = alon is no variant; did you mean 'alone'"),
        ({"folds": []}, "folds: List should have at least 1 item"),
        ({"fold": 3}, "unknown key fold"),
        ({"variants": [TREE["variants"][0]] * 2}, "two variants are called alone"),
        ({"variants": TREE["variants"][::-1]}, "after = alone is no earlier variant"),
        ({"changes": ["training.epoch=1"]}, "unknown key training.epoch"),
        ({"changes": ["summary=$later"]}, "'later' after [$], which is no earlier variant"),
        ({"config": "none.yaml"}, "no configuration file"),
        ({"folds": [7]}, "training.fold = 7"),
        ({"folds": [0, 0]}, "would count people twice"),
        ({"folds": [0, "synthetic"]}, "would count people twice"),
        ({"disturbances": [{"fusion": True}]}, "fusion changes what the beats are"),
        (after(changes=[]), "variant taught adds no compression to alone"),
        (after(changes=[STEP, "training.learning_rate=0.02"]), "fold-0 was trained with another training"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(changes, told, tiny, tmp_path, cache):
    with pytest.raises(UserError, match=told):
        run_experiment(written(tmp_path, tiny, **changes), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_trained(tiny, tmp_path, cache, monkeypatch):
    path = written(tmp_path, tiny)
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != tmp_path)
    with pytest.raises(UserError, match="cannot be written, where the result goes"):
        run_experiment(path, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_yaml_would_read_otherwise_is_told(tiny, tmp_path, cache):
    with pytest.raises(UserError, match=r"expected their folder of letters, digits, blanks and ._-/.*my runs, 2"):
        run_experiment(written(tmp_path, tiny), tmp_path / "my runs, 2")
    path = written(tmp_path, tiny)
    with pytest.raises(UserError, match=r"named by small letters.*found My\.Experiment\.yaml; rename it"):
        run_experiment(path.rename(path.with_name("My.Experiment.yaml")), tmp_path / "runs")


def test_a_run_of_another_configuration_is_not_taken(finished, tiny, cache, tmp_path):
    runs = finished[1]
    other = written(tmp_path, tiny, changes=["training.folds=3", "training.epochs=1", "training.learning_rate=0.1"])
    with pytest.raises(UserError, match="holds a run of another configuration"):
        run_experiment(other, runs)


def test_texts_and_what_is_published_make_no_other_configuration(finished, tiny, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("heartzoo.experiments.train", lambda *_, **__: pytest.fail("trains again"))
    changes = ["training.folds=3", "training.epochs=1", "summary=another", "export.robustness=true"]
    changes += ["export.personalisation=true", "export.end_to_end=true", "export.firmware_hz=250"]
    result, _ = run_experiment(written(tmp_path, tiny, changes=changes), finished[1])
    assert result.variants == read(finished[0].with_suffix(".json")).variants


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_experiments_at_hand_read(path):
    assert load_experiment(path).question


def test_the_experiments_page_is_current():
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    text = page.partition("<!-- experiments: begin -->")[2].partition("<!-- experiments: end -->")[0]
    expected = every_table(ROOT / "configs" / "experiments")
    assert text.strip() == expected, "run `python -m heartzoo.experiment_results docs/experiments.md`"


def test_columns_of_different_disturbances_have_different_headings():
    asked = [
        {"rhythm": "block"},
        {"rhythm": "block", "noise": "ma", "snr_db": 0},
        {"rhythm": "block", "other_lead": True},
        {"rhythm": "arrhythmia"},
        {"noise": "ma", "snr_db": 0},
        {"other_lead": True},
    ]
    headings = [_heading(Disturbance(**each), "N") for each in asked]
    assert len(set(headings)) == len(asked) and headings[0] == "Se N in made block"
    assert all(("Se N" in heading) == ("rhythm" in each) for heading, each in zip(headings, asked, strict=True))
