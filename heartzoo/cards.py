"""Model cards and the table of models, written from ``configuration.json`` and ``metrics.json``.

``python -m heartzoo.cards README.md`` brings the table in a page up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from heartzoo.ablation import ablation_table
from heartzoo.card_tables import (
    alarm_table,
    class_table,
    confidence_tables,
    end_to_end_table,
    group_table,
    personalisation_table,
    record_table,
    robustness_table,
)
from heartzoo.data.databases import get_database
from heartzoo.data.splits import PARTS, TRACKS, get_split
from heartzoo.files import fill_page
from heartzoo.interpreters import RUNTIMES
from heartzoo.metrics_file import Evaluation, Metrics, Preprocessing
from heartzoo.tasks import TASKS
from heartzoo.zoo import find, list_models, zoo_folder
from heartzoo.zoo_index import Headline, headline

SECTION = "models"
BEAT_LIMITS = (
    "Supraventricular beats are where it fails most: see the table by class. The figures are at annotated R peaks; a "
    "detector adds its own errors."
)
RHYTHM_LIMITS = "Frames in which a rhythm begins or ends are not scored; a recording as it comes has such frames too."
PRECISIONS = {"int8": "int8", "int16x8": "16x8", "float32": "float"}


def manner(evaluation: Evaluation | Headline) -> str:
    """What is to be said beside a figure of a file that is not int8 or was not run by TFLite Micro; else nothing."""
    said = [] if evaluation.precision == "int8" else [PRECISIONS[evaluation.precision]]
    said += [] if evaluation.runtime == "tflm" else [f"by {RUNTIMES[evaluation.runtime]}"]
    return "".join(f", {words}" for words in said)


def models_table(zoo: Path) -> str:
    """The table of a zoo's newest versions, in Markdown."""
    lines = [
        "| model | task | track, test split | macro-F1 int8 (95 %) | float | parameters | MACs | .tflite | arena |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in list_models(zoo=zoo):
        entry = find(name, zoo)
        metrics = entry.metrics
        first = next(e for e in metrics.evaluations if e.of_file)
        parent = next(e for e in metrics.evaluations if e.precision == "float32" and e.split == first.split)
        figure, (low, high) = headline(first, metrics.task)
        over = " (N/S/V)" if TASKS[metrics.task].headline(first.track) == "macro_f1_nsv" else ""
        cost = metrics.cost
        lines.append(
            f"| [{name}](zoo/{name}/{entry.version}/README.md) {entry.version} | {metrics.task} | {first.track}, "
            f"{first.split} | {figure:.3f} ({low:.3f}-{high:.3f}){over}{manner(first)} | "
            f"{headline(parent, metrics.task)[0]:.3f} | "
            f"{cost.parameters:,} | {cost.macs:,} | {cost.tflite_bytes:,} B | {_bytes(cost.arena_bytes)} |"
        )
    return "\n".join(lines)


def card(configuration: dict[str, Any], metrics: Metrics) -> str:
    """The card of one version: what it is, what it takes, what it does and does badly, how to repeat it.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.

    Returns:
        Markdown.
    """
    name, version, task = configuration["name"], configuration["version"], TASKS[metrics.task]
    mapping = "" if task.of_rhythm else f" Beat mapping {configuration['config']['data']['mapping']}."
    parts = [
        f"# {name} {version}",
        f"{configuration['summary']}. {configuration['origin']}".strip(". ") + ".",
        "**Not a medical device.** For research and education; not for diagnosis, monitoring or treatment.",
        "## Input and output",
        _contract(configuration),
        "## Results",
        f"Track: {configuration['training']['track']} ({TRACKS[configuration['training']['track']]}).{mapping} "
        f"Full coverage, all scored {task.unit}, the published file. Intervals: 95 % bootstrap over patients.",
        _results(metrics),
        *_details(metrics),
        "## Seeds",
        _seeds(configuration, metrics),
        *_robustness(metrics),
        *_personalisation(metrics),
        *_end_to_end(metrics),
        *(["## Compression", ablation_table(metrics)] if metrics.ablation else []),
        "## Cost",
        _cost(metrics),
        "## Limits",
        *([configuration["limits"]] if configuration["limits"] else []),
        "Trained on one lead of two-lead Holter recordings of a few dozen people; other leads, electrodes, populations "
        "and noise may give other results.",
        RHYTHM_LIMITS if task.of_rhythm else BEAT_LIMITS,
        "The design of heartzoo's networks was informed by published results on DS2.",
        "## Repeat it",
        f"```\nheartzoo evaluate {name}@{version}{_runtime_option(metrics)}\n```",
        "## Licence and data",
        _licence(configuration),
    ]
    return "\n\n".join(parts) + "\n"


def _runtime_option(metrics: Metrics) -> str:
    return f" --runtime {metrics.agreement.runtime}" if metrics.agreement else ""


def _contract(configuration: dict[str, Any]) -> str:
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(configuration["preprocessing"]["steps"], start=1))
    features = configuration["preprocessing"]["rr_features"]
    table = ""
    if features:
        rows = "\n".join(f"| {f['name']} | {f['formula']} | {f['delay_beats']} |" for f in features)
        table = f"\n\n| R-R feature | formula | following beats needed |\n| --- | --- | --- |\n{rows}"
    if shapes := configuration["preprocessing"].get("template_features"):  # not in versions of before
        cells = [(f["name"], f["formula"].replace("|", "\\|")) for f in shapes]  # a bar would end the cell
        rows = "\n".join(f"| {name} | {formula} |" for name, formula in cells)
        table += f"\n\n| template feature | formula |\n| --- | --- |\n{rows}"
    classes = "\n".join(f"| {name} | `{symbols}` |" for name, symbols in configuration["class_map"].items())
    delay = configuration["delay"]
    if TASKS[configuration["task"]].of_rhythm:
        wait, symbols = f"{delay['seconds']:g} s {delay['rule']}", "symbols of frames"
    else:
        wait = f"{delay['seconds']:g} s after the R peak, or {delay['following_beats']} following beats"
        wait, symbols = f"{wait} ({delay['rule']})", "WFDB symbols"
    return f"{steps}{table}\n\nDecision delay: {wait}.\n\n| class | {symbols} |\n| --- | --- |\n{classes}"


def _results(metrics: Metrics) -> str:
    lines = [
        f"| split | file | runtime | {TASKS[metrics.task].unit} | accuracy | macro-F1 (95 %) | mean over patients |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for e in metrics.evaluations:
        figure, (low, high) = headline(e, metrics.task)
        patients = getattr(e, f"patient_{TASKS[metrics.task].headline(e.track)}")
        lines.append(
            f"| {e.split} | {PRECISIONS[e.precision]} | {e.runtime} | {e.n:,} | {e.accuracy:.4f} | "
            f"{figure:.4f} ({low:.3f}-{high:.3f}) | {patients:.4f} |"
        )
    if agreement := metrics.agreement:
        lines.append(
            f"\nThe figures of the file are by {RUNTIMES[agreement.runtime]}, not by TFLite Micro. On "
            f"{agreement.examples:,} calibration examples both give the same class {agreement.same_class:,} times, and "
            f"logits that differ by at most {agreement.largest_difference} integer steps. `heartzoo evaluate` runs "
            "TFLite Micro unless told otherwise; that may take hours, and goes on where it was interrupted."
        )
    if TASKS[metrics.task].headline(metrics.evaluations[0].track) == "macro_f1_nsv":
        lines.append(
            "\nMacro-F1 over N, S and V; true F and Q beats are left out, a scored beat called F or Q is an error."
        )
    return "\n".join(lines)


def _details(metrics: Metrics) -> list[str]:
    """Class table, confusion matrix and table by record of the ``.tflite`` file on each whole test split."""
    found = []
    for e in metrics.evaluations:
        if not e.of_file or any(e.split in parts for parts in PARTS.values()):
            continue
        found += [
            f"### {e.split}, {PRECISIONS[e.precision]}, by class",
            class_table(e, TASKS[metrics.task].unit),
            f"### {e.split}, {PRECISIONS[e.precision]}, by record",
            record_table(e, TASKS[metrics.task].unit),
        ]
        if e.false_alarms_per_hour:
            found += [f"### {e.split}, {PRECISIONS[e.precision]}, false alarms", alarm_table(e)]
        if e.confidence:
            headline = "macro_f1_nsv" if e.macro_f1_nsv is not None else "macro_f1"
            found += [
                f"### {e.split}, {PRECISIONS[e.precision]}, confidence",
                confidence_tables(e.confidence, headline),
            ]
        if any(r.sex or r.age is not None for r in e.by_record.values()):
            found += [
                f"### {e.split}, {PRECISIONS[e.precision]}, by sex and age",
                group_table(e, metrics.task),
            ]
    return found


def _robustness(metrics: Metrics) -> list[str]:
    if not metrics.robustness:
        return []
    first = metrics.robustness[0]
    whole = next(e for e in metrics.evaluations if e.of_file and e.split == first.split)
    return [f"## Robustness ({first.split})", robustness_table(metrics.robustness, whole, metrics.task)]


def _personalisation(metrics: Metrics) -> list[str]:
    results = metrics.personalisation
    if not results:
        return []
    return [f"## Personalisation ({results[0].split})", personalisation_table(results, metrics.task)]


def _end_to_end(metrics: Metrics) -> list[str]:
    found = []
    for result in metrics.end_to_end:
        whole = next(e for e in metrics.evaluations if e.of_file and e.split == result.split)
        found += [f"## End to end ({result.split})", end_to_end_table(result, whole)]
    return found


def _seeds(configuration: dict[str, Any], metrics: Metrics) -> str:
    training = configuration["training"]
    rule = (
        f"chosen by {training['chosen_by']} on validation {'beats' if training['track'] == 'random' else 'patients'}"
        if training["chosen_by"]
        else "the first one: everybody trained, nobody was left to choose on"
    )
    lines = [
        f"Shipped: seed {training['shipped_seed']}, {rule}.",
        "",
        "| figure | split | file | mean | spread | each |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for s in metrics.seeds:
        name = s.metric.replace("|", "\\|")
        each = ", ".join(f"{value:.4f}" for value in s.each.values())
        lines.append(f"| {name} | {s.split} | {PRECISIONS[s.precision]} | {s.mean:.4f} | {s.spread:.4f} | {each} |")
    return "\n".join(lines if metrics.seeds else lines[:1])


def _cost(metrics: Metrics) -> str:
    cost = metrics.cost
    operators = ", ".join(f"{count} x {name}" for name, count in cost.operators.items())
    return (
        f"{cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates an inference, "
        f"{cost.tflite_bytes:,} bytes of `.tflite`, {_bytes(cost.arena_bytes)} of arena (TFLite Micro's allocator on a "
        f"64-bit host; a 32-bit core needs 10-15 % less), {sum(cost.operators.values())} operators: {operators}."
        + (f"\n\n{_preprocessing(cost.preprocessing)}" if cost.preprocessing else "")
    )


def _preprocessing(cost: Preprocessing) -> str:
    return (
        f"Preprocessing on a microcontroller (`heartzoo firmware`), a recording of {cost.recording_hz} Hz: "
        f"{cost.instructions_per_second:,} instructions for a second of ECG, counted on an emulated Cortex-M4F, "
        f"{cost.flash_bytes:,} bytes of flash without the C library, {cost.ram_bytes:,} bytes of RAM and "
        f"{cost.stack_bytes:,} of stack beside the arena."
    )


def _bytes(count: int | None) -> str:
    return "not measured" if count is None else f"{count:,} B"


def _licence(configuration: dict[str, Any]) -> str:
    names = {get_split(split).database for split in configuration["splits"]["train"]}
    databases = [get_database(name) for name in sorted(names)]
    binding = [database.license for database in databases if database.share_alike]
    lines = [f"Code: Apache-2.0. Weights: {' and '.join(binding)}." if binding else "Weights and code: Apache-2.0."]
    for database in databases:
        lines.append(
            f"Trained on information from the {database.title} ({database.name} {database.version}), which is made "
            f"available under {database.license}. {database.citation}"
        )
    return "\n\n".join(lines)


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, models_table(zoo_folder()))
