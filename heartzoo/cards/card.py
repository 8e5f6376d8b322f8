"""The card of one version: what it is and is for, what it does and does badly, how to use it, how it was made.

It has the sections of model cards (Mitchell et al. 2019, Model Cards for Model Reporting, FAT*); first come those by
which a reader decides whether to take the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heartzoo.cards.about import contract, data_and_splits, history, intended_use, licence, training
from heartzoo.cards.front_matter import front_matter
from heartzoo.cards.risks import risks
from heartzoo.cards.tables import (
    alarm_table,
    bounds,
    class_table,
    confidence_tables,
    end_to_end_table,
    folded,
    group_table,
    personalisation_table,
    record_table,
    robustness_table,
    yaml_block,
)
from heartzoo.cards.usage import usage
from heartzoo.config.file import parse_config
from heartzoo.data.splits import TRACKS, is_part
from heartzoo.interpreters import RUNTIMES
from heartzoo.metrics import METRIC_NAMES
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.costs import Preprocessing
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.ablation import ablation_table
from heartzoo.tables.markdown import cell, prose
from heartzoo.tables.models import PRECISIONS, least_without_one, manner, size
from heartzoo.tasks import TASKS
from heartzoo.zoo.index import IndexEntry, headline

DISCLAIMER = "**Not a medical device.** For research and education; not for diagnosis, monitoring or treatment."


def card(
    configuration: dict[str, Any],
    metrics: Metrics,
    files: Mapping[str, Mapping[str, Any]],
    withdrawn: str | None = None,
    withdrawn_others: Sequence[IndexEntry] = (),
) -> str:
    """The card of one version.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
        files: the version's files but for the card: name -> ``{"bytes": size, "sha256": hash}``.
        withdrawn: why nobody should use it any more, if that is so.
        withdrawn_others: versions of the model that were withdrawn, but for this one.

    Returns:
        Markdown with front matter for model hubs.
    """
    name, version = configuration["name"], configuration["version"]
    steps = configuration["config"].get("compression") or []
    sections = {
        "Overview": _overview(configuration, metrics),
        "Intended use": intended_use(metrics.task, configuration["training"]["track"]),
        "Bias, risks and limitations": risks(configuration, metrics, withdrawn_others),
        "Results": _results(configuration, metrics),
        **_robustness(metrics),
        **_personalisation(metrics),
        **_end_to_end(metrics),
        "Cost": _cost(configuration, metrics),
        "Use it": usage(configuration, metrics, dict(files)),
        "Input contract": contract(configuration),
        "Classes": _classes(configuration),
        "Data and splits": data_and_splits(configuration, metrics),
        "How it was chosen": history(configuration),
        "Training": f"{_seeds(configuration, metrics)}\n\n{training(configuration)}",
        "Compression": _compression(steps, metrics),
        "Repeat it": _repeat(configuration, metrics),
        "Ethics": "**Not a medical device.** Nobody's treatment may depend on it. If you build it into a product, you "
        "are responsible for validating it on the people, leads and devices of that product, and for the regulation "
        "that applies. An ECG can identify a person and tell of illness: process recordings only with that person's "
        "consent, and keep them where they arise.",
        "Files": _files(files),
        "Licence, data and citation": licence(configuration),
    }
    parts = [front_matter(configuration, metrics), f"# {name} {version}"]
    parts += [f"**Withdrawn**: {prose(withdrawn)}"] if withdrawn else []
    parts += [*summary_of(configuration), DISCLAIMER]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def summary_of(configuration: dict[str, Any]) -> list[str]:
    """The model's summary as a sentence; nothing where it has none."""
    summary = prose(configuration["summary"]).strip(". ")
    return [f"{summary[:1].upper()}{summary[1:]}."] if summary else []


def _overview(configuration: dict[str, Any], metrics: Metrics) -> str:
    cost = metrics.cost
    preprocessing = configuration["preprocessing"]
    facts = {
        "task": f"{metrics.task}: {', '.join(metrics.classes)}",
        "input": f"{preprocessing['fs']:g} Hz, one lead; {preprocessing['frame']} values a decision",
        "architecture": configuration["config"]["model"]["architecture"],
        "headline": _headline(metrics.first, metrics.task),
        **_over_seeds(metrics),
        **{
            f"on {e.split}": _headline(e, metrics.task)
            for e in metrics.evaluations
            if e.of_file and e.dataset != metrics.first.dataset
        },
        "flash": f"{cost.tflite_bytes:,} B of `.tflite`",
        "arena": size(cost.arena_bytes),
        "compute": f"{cost.macs:,} multiply-accumulates a decision, {cost.parameters:,} parameters",
        "delay": _delay(configuration),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {cell(text)} |" for name, text in facts.items())])


def _over_seeds(metrics: Metrics) -> dict[str, str]:
    """The headline over all trainings of the recipe; nothing of a single one."""
    first = metrics.first
    name = TASKS[metrics.task].headline(first.track)
    seeds = metrics.over_seeds(first.split, first.precision, name)
    told = f"{seeds.mean:.3f} ± {seeds.spread:.3f} (standard deviation) of {len(seeds.each)} trainings" if seeds else ""
    return {"recipe": f"{told}, on {first.split}"} if told else {}


def _headline(e: Evaluation, task: str) -> str:
    """What quotes a figure: its interval, its split, how it was measured, and what one patient makes of it."""
    figure, (low, high) = headline(e, task)
    said = (
        f"macro-F1{TASKS[task].over(e.track)} {figure:.3f} ({low:.3f}-{high:.3f}) on {e.split}, {e.track} track"
        f"{manner(e)}"
    )
    return f"{said}; {lowest}" if (lowest := least_without_one(e, task)) else said


def _delay(configuration: dict[str, Any]) -> str:
    delay = configuration["delay"]
    if TASKS[configuration["task"]].of_rhythm:
        return f"{delay['seconds']:g} s {delay['rule']}"
    count, rule = delay["following_beats"], delay["rule"].removeprefix("the later of the two; ")
    beats = f", or {count} following beat{'s' * (count != 1)}, whichever is later" if count else ""
    return f"{delay['seconds']:g} s after the R peak{beats} ({rule})"


def _classes(configuration: dict[str, Any]) -> str:
    of_rhythm = TASKS[configuration["task"]].of_rhythm
    rows = "\n".join(
        f"| {cell(name)} | `{' '.join(symbols)}` |" for name, symbols in configuration["class_map"].items()
    )
    mapping = "" if of_rhythm else f" Beat mapping {configuration['config']['data']['mapping']}."
    symbols = "symbols of frames" if of_rhythm else "WFDB symbols"
    head = f"| class | {symbols} |\n| --- | --- |"
    return f"The outputs in this order; what has none of these symbols is not scored.{mapping}\n\n{head}\n{rows}"


def _compression(steps: list[dict[str, Any]], metrics: Metrics) -> str:
    settings = yaml_block({"compression": steps}) if steps else "None before quantization to integers."
    return "\n\n".join([settings, *([ablation_table(metrics)] if metrics.ablation else [])])


def _results(configuration: dict[str, Any], metrics: Metrics) -> str:
    track, unit = configuration["training"]["track"], TASKS[metrics.task].unit
    lines = [
        f"Track: {track} ({TRACKS[track]}). Full coverage, all scored {unit}, the published file. Intervals: 95 % "
        "bootstrap over patients.",
        "",
        *_figures(metrics),
    ]
    if agreement := metrics.agreement:
        lines.append(
            f"\nThe figures of the file are by {RUNTIMES[agreement.runtime]}, not by TFLite Micro. On "
            f"{agreement.examples:,} calibration examples both give the same class {agreement.same_class:,} times, and "
            f"logits that differ by at most {agreement.largest_difference} integer steps. `heartzoo evaluate` runs "
            "TFLite Micro unless told otherwise; that may take hours, and goes on where it was interrupted."
        )
    if metrics.first.macro_f1_nsv is not None:
        lines.append(
            "\nMacro-F1 N/S/V leaves true F and Q beats out, N/S/V/F true Q beats; a scored beat called F or Q is an "
            "error in either."
        )
    if plain := metrics.without_prevalence:
        name = TASKS[metrics.task].headline(plain[0].track)
        figures = ", ".join(f"{getattr(result, name):.4f} on {result.split}" for result in plain)
        lines.append(
            "\nThe file's logits are shifted by how common a class is in the record so far, as the input contract "
            f"says; by its largest output alone {METRIC_NAMES[name]} is {figures}."
        )
    return "\n\n".join(["\n".join(lines), *_details(metrics)])


def _figures(metrics: Metrics) -> list[str]:
    """The table of accuracy and every macro-F1, the headline first."""
    first, task = metrics.first, TASKS[metrics.task]
    names = [name for name in METRIC_NAMES if getattr(first, name) is not None]
    names.sort(key=lambda name: (name != task.headline(first.track), name == "macro_f1"))
    of_all = " of all classes" if len(names) > 1 else ""
    titles = [f"{METRIC_NAMES[name]}{of_all if name == 'macro_f1' else ''} (95 %)" for name in names]
    lines = [
        f"| split | file | runtime | {task.unit} | accuracy | {' | '.join(titles)} | mean over patients |",
        "| --- " * (6 + len(names)) + "|",
    ]
    for e in metrics.evaluations:
        figures = [(getattr(e, name), *getattr(e, f"{name}_ci95")) for name in names]
        cells = " | ".join(f"{value:.4f} ({bounds(e, low, high)})" for value, low, high in figures)
        patients = getattr(e, f"patient_{task.headline(e.track)}")
        lines.append(
            f"| {e.split} | {PRECISIONS[e.precision]} | {e.runtime} | {e.n:,} | {e.accuracy:.4f} | {cells} | "
            f"{patients:.4f} |"
        )
    return lines


def _details(metrics: Metrics) -> list[str]:
    """Tables of the ``.tflite`` file on each whole test split."""
    found = []
    for e in metrics.evaluations:
        if not e.of_file or is_part(e.split):
            continue
        unit = TASKS[metrics.task].unit
        tables = {"by class": class_table(e, unit), "by record": record_table(e, unit)}
        if e.false_alarms_per_hour:
            tables["false alarms"] = alarm_table(e, unit)
        if e.confidence:
            tables["confidence"] = confidence_tables(
                e.confidence, TASKS[metrics.task].headline(e.track), list(e.per_class)
            )
        if any(r.sex or r.age is not None for r in e.by_record.values()):
            tables["by sex and age"] = group_table(e, metrics.task)
        for what, table in tables.items():
            found += [f"### {e.split}, {PRECISIONS[e.precision]}, {what}", table]
    return found


def _robustness(metrics: Metrics) -> dict[str, str]:
    if not metrics.robustness:
        return {}
    first = metrics.robustness[0]
    whole = next(e for e in metrics.evaluations if e.of_file and e.split == first.split)
    return {f"Robustness ({first.split})": robustness_table(metrics.robustness, whole, metrics.task)}


def _personalisation(metrics: Metrics) -> dict[str, str]:
    if not metrics.personalisation:
        return {}
    first = metrics.personalisation[0]
    whole = next(e for e in metrics.evaluations if e.of_file and e.split == first.split)
    return {f"Personalisation ({first.split})": personalisation_table(metrics.personalisation, whole, metrics.task)}


def _end_to_end(metrics: Metrics) -> dict[str, str]:
    wholes = {e.split: e for e in metrics.evaluations if e.of_file}
    return {
        f"End to end ({result.split})": end_to_end_table(result, wholes[result.split]) for result in metrics.end_to_end
    }


def _seeds(configuration: dict[str, Any], metrics: Metrics) -> str:
    stated = configuration["training"]
    rule = (
        f"chosen by {stated['chosen_by']} on validation {'beats' if stated['track'] == 'random' else 'patients'}"
        if stated["chosen_by"]
        else "the first one: everybody trained, nobody was left to choose on"
    )
    lines = [
        f"Shipped: seed {stated['shipped_seed']}, {rule}.",
        "",
        "| figure | split | file | mean | spread | each |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for s in metrics.seeds:
        each = ", ".join(f"{value:.4f}" for value in s.each.values())
        lines.append(
            f"| {cell(s.metric)} | {s.split} | {PRECISIONS[s.precision]} | {s.mean:.4f} | {s.spread:.4f} | {each} |"
        )
    return f"{lines[0]}\n\n{folded('Every seed', chr(10).join(lines[2:]))}" if metrics.seeds else lines[0]


def _cost(configuration: dict[str, Any], metrics: Metrics) -> str:
    cost = metrics.cost
    supported = parse_config(configuration["config"], "configuration.json").input.cut != "r-peak"
    ready = "; `heartzoo firmware` says what making it ready takes" if supported else ""
    operators = ", ".join(f"{count} x {name}" for name, count in cost.operators.items())
    return (
        f"{cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates an inference, "
        f"{cost.tflite_bytes:,} bytes of `.tflite`, {size(cost.arena_bytes)} of arena (TFLite Micro on a 64-bit host; "
        f"a 32-bit core needs 10-15 % less{ready}), "
        f"{sum(cost.operators.values())} operators: {operators}."
        + (f"\n\n{_preprocessing(cost.preprocessing)}" if cost.preprocessing else "")
    )


def _preprocessing(cost: Preprocessing) -> str:
    return (
        f"Preprocessing on a microcontroller (`heartzoo firmware`), a recording of {cost.recording_hz} Hz: "
        f"{cost.instructions_per_second:,} instructions for a second of ECG, counted on an emulated Cortex-M4F, "
        f"{cost.flash_bytes:,} bytes of flash without the C library, {cost.ram_bytes:,} bytes of RAM and "
        f"{cost.stack_bytes:,} of stack beside the arena."
        + (
            f" On a Cortex-M0+, which has no floating-point unit: {small.instructions_per_second:,} instructions, "
            f"{small.flash_bytes:,} bytes of flash, {small.stack_bytes:,} of stack."
            if (small := cost.cortex_m0plus)
            else ""
        )
    )


def _repeat(configuration: dict[str, Any], metrics: Metrics) -> str:
    name, version = configuration["name"], configuration["version"]
    runtime = f" --runtime {metrics.first.runtime}" if metrics.first.runtime != "tflm" else ""
    own = (
        "Both need the recordings of its makers, and the training their file that enters them into heartzoo's tables "
        "(`python mine.py` in place of `heartzoo`). "
        if configuration.get("own_data")
        else ""
    )
    elsewhere = sorted({e.split for e in metrics.evaluations if e.dataset != metrics.first.dataset})
    evaluate = f"heartzoo evaluate {name}@{version}{runtime}"
    commands = [evaluate, *(f"{evaluate} --split {split} --as-published" for split in elsewhere)]
    apart = {
        "--robustness": metrics.robustness,
        "--personalised": metrics.personalisation,
        "--end-to-end": metrics.end_to_end,
    }
    if options := [option for option, results in apart.items() if results]:
        commands.append(f"{evaluate} {' '.join(options)}")
    figures = "\n".join(commands)
    return (
        f"{own}The figures:\n\n```\n{figures}\n```\n\nThe training, from the configuration above (of models that "
        f"heartzoo publishes: `configs/{name}.yaml` of a checkout):\n\n```\n"
        f"heartzoo train {name}.yaml --out runs/{name}\nheartzoo export runs/{name} --zoo my-zoo\n```"
    )


def _files(files: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [f"| {name} | {facts['bytes']:,} | `{facts['sha256']}` |" for name, facts in sorted(files.items())]
    return "\n".join(["| file | bytes | SHA-256 |", "| --- | --- | --- |", *rows])
