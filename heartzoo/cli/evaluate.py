"""``heartzoo evaluate``: a model on patients it has not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from heartzoo import configuration_file
from heartzoo.cli.backend import import_keras
from heartzoo.cli.completion import model_names
from heartzoo.cli.evaluate_apart import Apart, how_to_adapt
from heartzoo.errors import UserError
from heartzoo.files import refuse_unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from heartzoo.config import Config
    from heartzoo.data.same_recordings import Hashes
    from heartzoo.data.splits import Split
    from heartzoo.evaluation import Subject
    from heartzoo.evaluation.example_beats import Verdicts
    from heartzoo.metrics_file.results import Condition, DisturbedResult, Evaluation
    from heartzoo.zoo import Entry

RuntimeName = Literal["tflm", "reference", "xnnpack", "keras"]
PictureFormat = Literal["png", "svg"]


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into the app."""
    app.command()(evaluate)


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]|PATH",
            help="a model of the zoo, a .tflite or .keras file",
            autocompletion=model_names,
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="database; default that of the model's first test split")] = None,
    split: Annotated[str | None, typer.Option(help="split; default the model's first test split")] = None,
    runtime: Annotated[RuntimeName | None, typer.Option(help="default tflm for .tflite, keras for .keras")] = None,
    config: Annotated[Path | None, typer.Option(help="configuration of a file that has none beside it")] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
    present_only: Annotated[
        bool, typer.Option(help="score the records at hand where others of the split are not")
    ] = False,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="score the very records that the published figures are of")
    ] = False,
    robustness: Annotated[
        bool, typer.Option(help="also with noise, other gains and sampling rates, R peaks that are off: takes its time")
    ] = False,
    personalised: Annotated[
        bool, typer.Option(help="also adapted to each patient by the first five minutes, without labels and with them")
    ] = False,
    plots: Annotated[
        bool,
        typer.Option(
            "--plots", help="every picture, not only the confusion matrix: by class, confidence, robustness, beats"
        ),
    ] = False,
    picture_format: Annotated[
        PictureFormat | None, typer.Option("--format", help="of the pictures; default both formats")
    ] = None,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="also with the beats found by the detector instead of given")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, max=64, help="processes; default one a core")] = None,
    out: Annotated[Path, typer.Option(help="folder for the report and the pictures")] = Path("reports"),
) -> None:
    """Score a model on patients it has not seen; print, and write a report (JSON) and pictures."""
    from heartzoo.data.download import split_records
    from heartzoo.data.same_recordings import files_that_trained, refuse_copies
    from heartzoo.data.splits import PARTS
    from heartzoo.evaluation import evaluate_each_beat, refuse_without_recordings
    from heartzoo.evaluation.end_to_end import refuse_without_beats
    from heartzoo.tables.terminal import report_table, show
    from heartzoo.tasks import TASKS
    from heartzoo.zoo import zoo_folder
    from heartzoo.zoo.openings import log_openings

    refuse_unwritable(out, "--out")
    label, subject, entry = _subject(target, runtime, config, zoo, jobs)
    chosen = _split(subject.config, dataset, split)
    if end_to_end:
        refuse_without_beats(subject.config)
    if personalised:
        how_to_adapt(label, entry)
    if end_to_end or personalised:
        refuse_without_recordings(chosen)
    if as_published:
        chosen = _as_published(label, entry, chosen, present_only)
    elif entry and not present_only:
        _tell_absent(entry, chosen)
    if entry:
        refuse_copies(files_that_trained(entry.configuration), chosen, split_records(chosen))
    results, verdicts = evaluate_each_beat(subject, chosen, present_only)
    log = log_openings(zoo or zoo_folder(), label, results)
    for result in results:
        show(report_table(label, result, TASKS[subject.config.task].unit))
    print(_what_was_read(verdicts, TASKS[subject.config.task].unit))
    for part in PARTS.get(chosen.name, ()):
        if part not in (result.split for result in results):
            print(f"{part}: left out, it holds no scored beat of the records at hand")
    if entry:
        _compare(entry, results)
    name = label.replace("@", "-") if entry else f"{label}-{subject.file_sha256[:8]}"  # many are named model.tflite
    stem = out / f"{name}-{chosen.name}-{subject.runtime}"
    found: dict[str, Sequence[Condition]] = {}
    _write_report(stem, label, results, found)  # and again after each measurement, so that none is lost with the next
    apart = Apart(label, subject, chosen, present_only, zoo or zoo_folder())
    if end_to_end:
        found["end_to_end"] = apart.end_to_end(results[0])
        _write_report(stem, label, results, found)
    if personalised:
        found["personalisation"] = apart.adapted(entry)
        _write_report(stem, label, results, found)
    disturbed: list[DisturbedResult] = []
    if robustness:
        found["robustness"] = disturbed
        for worse in apart.disturbed():
            disturbed.append(worse)
            _write_report(stem, label, results, found)
        apart.show_disturbed(disturbed, results[0])
    if entry:
        for part, measured in found.items():
            _compare_apart(part, getattr(entry.metrics, part), measured)
    print(f"wrote {stem}.json")
    figures = _pictures(label, subject, entry, results[0], disturbed, verdicts if plots else None)
    _save(figures, stem, picture_format)
    if log:
        print(f"logged in {log}")


def _subject(
    target: str, runtime: RuntimeName | None, config: Path | None, zoo: Path | None, jobs: int | None
) -> tuple[str, Subject, Entry | None]:
    """What to evaluate: its label, the model ready to run, and its entry if it is one of the zoo's."""
    if target.endswith((".tflite", ".keras")) or "/" in target:
        path = Path(target)
        if not path.is_file():
            raise UserError(f"no model file {path}", "name a .tflite or .keras file, or a model of the zoo")
        checked, stated = _configuration_beside(path, config)
        seed = stated["training"]["shipped_seed"] if stated else None
        subject = replace(_load(path, checked, seed, runtime, jobs), **_confidence(stated, path))
        return path.name, subject, None
    from heartzoo.zoo import named

    if config:
        raise UserError(f"--config is for a file, {target} is a model of the zoo", "leave it out, or name the file")
    entry = named(target, zoo)
    path = entry.path("model.keras" if runtime == "keras" else "model.tflite")
    seed = entry.configuration["training"]["shipped_seed"]
    subject = replace(_load(path, entry.config, seed, runtime, jobs), **_confidence(entry.configuration, path))
    return f"{entry.name}@{entry.version}", subject, entry


def _confidence(stated: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Temperature and threshold, which are of the integer file."""
    return dict(stated.get("confidence", {})) if path.suffix == ".tflite" else {}


def _configuration_beside(path: Path, config: Path | None) -> tuple[Config, dict[str, Any]]:
    """The configuration, and the content of the ``configuration.json`` that it is from; empty where it is from none."""
    from heartzoo.config.file import load_config, parse_config

    beside = path.with_name("configuration.json")
    if config:
        return load_config(config), {}
    if not beside.is_file():
        raise UserError(f"{path} has no configuration.json beside it", "name its configuration with --config")
    content = configuration_file.read(beside)
    try:
        _ = content["training"]["shipped_seed"]
        return parse_config(content["config"], str(beside)), content
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{beside} is not a configuration.json of heartzoo", "name a configuration with --config"
        ) from error


def _load(path: Path, config: Config, seed: int | None, runtime: RuntimeName | None, jobs: int | None) -> Subject:
    from heartzoo.predictors import keras_subject, tflite_subject
    from heartzoo.runtime import default_runtime

    if path.suffix == ".keras":
        if runtime not in (None, "keras"):
            raise UserError(f"{path.name} runs in Keras only, found --runtime {runtime}", "leave --runtime out")
        import_keras()
        return keras_subject(config, path, seed)
    if runtime == "keras":
        raise UserError("a .tflite file does not run in Keras", "take --runtime tflm, reference or xnnpack")
    if runtime is None and default_runtime() != "tflm":
        print(
            "TFLite Micro is not installed here (its wheel is for Linux x86-64): LiteRT's reference kernels run instead"
        )
    return tflite_subject(config, path.read_bytes(), seed, runtime, jobs)


def _split(config: Config, dataset: str | None, split: str | None) -> Split:
    from heartzoo.data.databases import get_database
    from heartzoo.data.splits import SPLITS, get_split

    if split is None and dataset is None:
        return get_split(config.data.test[0])
    if split is None:
        assert dataset is not None
        get_database(dataset)
        tests = (name for name, known in SPLITS.items() if known.test and known.database == dataset)
        if (first := next(tests, None)) is None:
            raise UserError(f"{dataset} has no test split", "name a split with --split")
        return get_split(first)
    found = get_split(split)
    if dataset and found.database != dataset:
        raise UserError(f"split {split} belongs to {found.database}, not to {dataset}", "leave --dataset out")
    return found


def _tell_absent(entry: Entry, split: Split) -> None:
    """Say where the published figures are of fewer records than the split has, and others are not here either."""
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import present, split_records

    published = _published(entry, split)
    scored = published.records if published else []
    absent = {*split_records(split)} - {*present(get_database(split.database))} if scored else set()
    if absent - {*scored}:
        print(
            f"{split.name}: the published figures are of {len(scored)} of its {len(split_records(split))} records; "
            "--as-published scores those"
        )


def _published(entry: Entry, split: Split) -> Evaluation | None:
    """What was published of a model on a split; int8 and float are of the same records."""
    return next((found for found in entry.metrics.evaluations if found.split == split.name), None)


def _as_published(label: str, entry: Entry | None, split: Split, present_only: bool) -> Split:
    """The split, of the records that a model's published figures on it are of."""
    if entry is None:
        raise UserError(f"--as-published is for a model of the zoo, found {label}", "leave it out")
    if present_only:
        raise UserError("--as-published takes other records than --present-only", "leave one of them out")
    if (published := _published(entry, split)) is None:
        known = dict.fromkeys(found.split for found in entry.metrics.evaluations)
        raise UserError(f"{label} has no published figures on {split.name}", f"take --split {' or '.join(known)}")
    return split.of(published.records)


def _what_was_read(verdicts: Verdicts, unit: str) -> str:
    """Which leads were taken, and how much was not scored."""
    leads = ", ".join(f"{lead} ({count} record{'s' * (count > 1)})" for lead, count in verdicts.leads.items())
    total = sum(verdicts.unscored.values())
    symbols = ", ".join(f"{symbol} {count:,}" for symbol, count in sorted(verdicts.unscored.items()))
    return f"lead {leads}; {total:,} annotated {unit} are not scored{f', no class holds them: {symbols}' * bool(total)}"


def _compare(entry: Entry, results: list[Evaluation]) -> None:
    """Say whether the results are those that were published."""
    for result in results:
        for published in entry.metrics.evaluations:
            if (published.precision, published.split) == (result.precision, result.split):
                verdict = _verdict(published, result, entry.configuration.get("data_sha256", {}))
                print(f"{result.split}, {result.precision} by {result.runtime}: {verdict}")


def _verdict(published: Evaluation, result: Evaluation, files: Hashes) -> str:
    from heartzoo.data.databases import get_database
    from heartzoo.data.same_recordings import changed

    if published.records != result.records:
        return f"of {len(result.records)} records; the published figures are of {len(published.records)}, not the same"
    same = published.confusion_matrix == result.confusion_matrix
    if same:
        return "the published figures, exactly"
    others = changed(files, get_database(result.dataset), result.records)
    why = f", and other files now of record {', '.join(others)}" if others else ""
    return f"not the published figures ({published.runtime}){why}"


def _compare_apart(part: str, published: Sequence[Condition], results: Sequence[Condition]) -> None:
    """The same of what is measured apart; where none was published, nothing."""
    before = {_question(result): result for result in published}
    known = [result for result in results if _question(result) in before]
    if not known:
        return
    counts = {"records", "confusion_matrix", "by_record"}
    other = [r for r in known if r.model_dump(include=counts) != before[_question(r)].model_dump(include=counts)]
    verdict = f"{len(other)} of {len(known)} not the published figures" if other else "the published figures, exactly"
    print(f"{part.replace('_', ' ')}, {known[0].precision} by {known[0].runtime}: {verdict}")


def _question(result: Condition) -> str:
    """What was asked: split, precision, and how the recordings or the model were changed."""
    asked = result.model_dump(mode="json", include={"precision", "split", "disturbance", "adapted"})
    return json.dumps(asked, sort_keys=True)


def _write_report(
    stem: Path,
    label: str,
    results: list[Evaluation],
    apart: Mapping[str, Sequence[Condition]],
) -> None:
    from heartzoo.files import write_json

    evaluations = [result.model_dump(mode="json", exclude_none=True) for result in results]
    content = {"model": label, "evaluations": evaluations}
    for name, found in apart.items():
        content[name] = [result.model_dump(mode="json", exclude_none=True) for result in found]
    write_json(stem.with_name(f"{stem.name}.json"), content)


def _pictures(
    label: str,
    subject: Subject,
    entry: Entry | None,
    result: Evaluation,
    disturbed: list[DisturbedResult],
    verdicts: Verdicts | None,
) -> dict[str, Figure]:
    """All pictures where there are verdicts; else the confusion matrix, and the curves that were measured just now."""
    from heartzoo.plots import evaluation_pictures

    task = subject.config.task
    if verdicts is None:
        drawn = evaluation_pictures(label, task, result, disturbed)
        return {name: figure for name, figure in drawn.items() if name in ("confusion", "robustness")}
    published = entry.metrics.robustness if entry else []
    drawn = evaluation_pictures(label, task, result, disturbed or published)
    return drawn | _example_beats(label, subject, result, verdicts)


def _example_beats(label: str, subject: Subject, result: Evaluation, verdicts: Verdicts) -> dict[str, Figure]:
    """The picture of example beats; none of a task of rhythms, or of beats that come without their recordings."""
    from heartzoo.data.databases import get_database
    from heartzoo.evaluation.example_beats import example_beats
    from heartzoo.plots.strips import beat_strips
    from heartzoo.tasks import TASKS

    database = get_database(result.dataset)
    if TASKS[subject.config.task].of_rhythm or database.extensions == ("csv",):
        return {}
    beats = example_beats(verdicts, database, subject.config.data.leads)
    return {"beats": beat_strips(label, result, beats, database)}


def _save(figures: dict[str, Figure], stem: Path, chosen: PictureFormat | None) -> None:
    from heartzoo.plots import FORMATS, save

    for name, figure in figures.items():
        for path in save(figure, stem.with_name(f"{stem.name}-{name}"), [chosen] if chosen else FORMATS):
            print(f"wrote {path}")
