"""The tables of a model card, in Markdown: one result each; and a block of YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import yaml

from heartzoo.confidence import BINS
from heartzoo.metrics import (
    FEWEST_PATIENTS,
    FIVE_CLASS_ROWS,
    MACRO_F1S,
    class_f1_ci95,
    class_scores,
    false_alarms_ci95,
    false_alarms_per_hour,
    paired_difference,
    patient_matrices,
    pooled_figures,
)
from heartzoo.metrics_file.confidence import Confidence
from heartzoo.metrics_file.figures import ClassFigures
from heartzoo.metrics_file.results import (
    DisturbedResult,
    EndToEndResult,
    Evaluation,
    PersonalisedResult,
    PooledResult,
    RecordFigures,
)
from heartzoo.tables.markdown import cell
from heartzoo.tasks import TASKS

GROUPS: dict[str, Callable[[RecordFigures], bool]] = {
    "women": lambda r: r.sex == "F",
    "men": lambda r: r.sex == "M",
    "under 50 years": lambda r: r.age is not None and r.age < 50,
    "50 to 69 years": lambda r: r.age is not None and 50 <= r.age < 70,
    "70 years and over": lambda r: r.age is not None and r.age >= 70,
}
ROBUSTNESS_NOTE = (
    "Each change is made to the whole recording, before anything else. Recorded noise is the second half of nstdb's "
    "recordings (training may use the first), the same for all beats of a record; a noise's ratio to the signal is of "
    "powers over the whole record, high-passed at 0.5 Hz for the measurement. Jitter is evenly distributed up to the "
    "value given."
)
DRAW_NOTE = "Noise is drawn once: intervals are of other people, not of other draws."
MOTION_NOTE = (
    "Made electrode motion is drawn anew for each record (heartzoo/data/motion.py); training copies may have had other "
    "draws of the same kind, real motion may harm more."
)
LOST_NOTE = (
    "Signal is lost in runs of 20 ms to 5 s, drawn anew for each record, and beats in them count; training copies may "
    "have had other draws."
)
TURNED_NOTE = (
    "A turned lead lies at an angle to the two of the recording that is drawn for it, as electrodes at another place "
    "would have it; training copies may have had other draws."
)


def bounds(e: Evaluation, low: float, high: float) -> str:
    """An interval; instead of one over too few patients how many they are."""
    return e.few_patients or f"{low:.3f}-{high:.3f}"


def class_table(e: Evaluation, unit: str) -> str:
    """Figures and counts of each class; F1 with its interval over patients. None of a class without a true beat."""
    head = f"| class | Se | +P | F1 (95 %) | {unit} | " + " | ".join(f"called {name}" for name in _escaped(e)) + " |"
    intervals = class_f1_ci95(e.patient_matrices).tolist()
    rows = [
        f"| {name} | "
        + (f"{c.se:.4f} | {c.ppv:.4f} | {c.f1:.4f} ({bounds(e, low, high)})" if c.support else "- | - | -")
        + f" | {c.support:,} | "
        + " | ".join(f"{n:,}" for n in row)
        + " |"
        for name, c, row, (low, high) in zip(
            _escaped(e), e.per_class.values(), e.confusion_matrix, intervals, strict=True
        )
    ]
    notes = [f"\n{absent}."] if (absent := absent_classes(e, unit)) else []
    if e.macro_f1_nsv is not None:
        scored = class_scores(np.array(e.confusion_matrix)[: FIVE_CLASS_ROWS["nsv"]]).f1.tolist()
        each = ", ".join(f"{name} {f1:.4f}" for name, f1 in zip(e.per_class, scored, strict=False))
        notes.append(
            f"\nOf all beats: a true F or Q beat that is called V is a false V here. Macro-F1 N/S/V leaves these beats "
            f"out, and is the mean of F1 {each}."
        )
    return "\n".join([head, "| --- " * (5 + len(rows)) + "|", *rows, *notes])


def absent_classes(e: Evaluation, unit: str) -> str:
    """What macro-F1 makes of classes that have no true beat or frame; nothing where each has one."""
    absent = [name for name, figures in e.per_class.items() if not figures.support]
    if not absent:
        return ""
    one = unit.removesuffix("s")
    verb = f"has no {one} here: it counts" if len(absent) == 1 else f"have no {one} here: each counts"
    return f"{', '.join(absent)} {verb} as 0 in every macro-F1 over it, and is left out of the mean over patients"


def record_table(e: Evaluation, unit: str) -> str:
    """Figures of each record."""
    names = _escaped(e)
    head = (
        f"| record | {unit} | accuracy | macro-F1 of its classes | " + " | ".join(f"F1 {name}" for name in names) + " |"
    )
    rows = [
        f"| {record} | {r.n:,} | {r.accuracy:.4f} | {r.macro_f1:.4f} | "
        + " | ".join(f"{c.f1:.3f}" if c.support else "-" for c in r.per_class.values())
        + " |"
        for record, r in e.by_record.items()
    ]
    return "\n".join([head, "| --- " * (4 + len(names)) + "|", *rows])


def alarm_table(e: Evaluation, unit: str) -> str:
    """On whole recordings, so at natural prevalence: how often each class but the first is called wrongly."""
    rates = e.false_alarms_per_hour or {}
    names = [cell(name) for name in rates]
    head = [f"{what} {name}" for name in names for what in ("false per hour", "+P")]
    lines = [f"| record | hours | {' | '.join(head)} |", "| --- " * (2 + len(head)) + "|"]
    total = sum(r.hours or 0.0 for r in e.by_record.values())
    hours: dict[str, float] = {}
    for r in e.by_record.values():
        hours[r.patient] = hours.get(r.patient, 0.0) + (r.hours or 0.0)
    of_patients = np.array([hours[patient] for patient in sorted(hours)])
    intervals = dict(zip(e.per_class, false_alarms_ci95(e.patient_matrices, of_patients).tolist(), strict=True))
    cells = []
    for name in rates:
        low, high = intervals[name]
        interval = e.few_patients or f"{low:.1f}-{high:.1f}"
        cells += [f"{rates[name]:.1f} ({interval})", _ppv(e.per_class[name], e, name)]
    lines.append(f"| all | {total:.2f} | {' | '.join(cells)} |")
    by_record = {
        record: false_alarms_per_hour(np.array(r.confusion_matrix), [r.hours], list(e.per_class)) or {}
        for record, r in e.by_record.items()
    }
    for what, of_many in (("median of the records", np.median), ("the worst of them", np.max)):
        cells = [
            figure for name in rates for figure in (f"{of_many([own[name] for own in by_record.values()]):.1f}", "")
        ]
        lines.append(f"| {what} | | {' | '.join(cells)} |")
    for record, r in e.by_record.items():
        own = by_record[record]
        cells = [figure for name in rates for figure in (f"{own[name]:.1f}", _ppv(r.per_class[name], r, name))]
        lines.append(f"| {record} | {r.hours:.2f} | {' | '.join(cells)} |")
    return (
        "\n".join(lines) + f"\n\nAmong the {unit} of all the task's classes"
        f"{'; at annotated R peaks' * (unit == 'beats')}. A few records give most of the false alarms; the "
        "interval is a 95 % bootstrap over patients."
    )


def _ppv(figures: ClassFigures, where: Evaluation | RecordFigures, name: str) -> str:
    """Positive predictivity, where the class was called at all."""
    column = list(where.per_class).index(name)
    return f"{figures.ppv:.3f}" if sum(row[column] for row in where.confusion_matrix) else "-"


def confidence_tables(confidence: Confidence, headline: str, classes: Sequence[str]) -> str:
    """Reliability by bin, and what abstaining gains and leaves out."""
    names, whole = [cell(name) for name in classes], confidence.risk_coverage[0].confusion_matrix
    chosen = (
        f"Temperature {confidence.temperature:.3f}, fitted on validation patients"
        if confidence.at_threshold
        else "No patients were left to fit a temperature or a threshold on"
    )
    lines = [
        f"{chosen}. Expected calibration error over {BINS} bins {confidence.ece:.4f} (at temperature 1 "
        f"{confidence.ece_uncalibrated:.4f}{_verdict(confidence)}).",
        "",
        "| confidence | decisions | mean confidence | right |",
        "| --- | --- | --- | --- |",
        *(
            f"| {b.low:.2f}-{b.high:.2f} | {b.n:,} | {b.confidence:.3f} | {b.accuracy:.3f} |"
            for b in confidence.reliability
        ),
        "",
        f"| abstain below | coverage | risk | {headline} | {' | '.join(f'kept of {name}' for name in names)} |",
        "| --- " * (4 + len(names)) + "|",
    ]
    points = [("", point) for point in confidence.risk_coverage]
    if confidence.at_threshold:
        points.append((" (chosen on validation patients)", confidence.at_threshold))
    lines += [
        f"| {p.threshold:.4f}{note} | {p.coverage:.3f} | {1 - p.accuracy:.4f} | {getattr(p, headline):.4f} | "
        f"{' | '.join(_kept(p.confusion_matrix, whole))} |"
        for note, p in points
    ]
    lines += [
        "",
        f"A network is least sure of what is rare: see how much of each class is kept. {headline} is of what is kept "
        "alone, and falls where hardly any of a class is left.",
    ]
    return "\n".join(lines)


def _kept(matrix: list[list[int]], whole: list[list[int]]) -> list[str]:
    """Of each class the share that is not abstained from."""
    return [f"{sum(row) / sum(every):.3f}" if sum(every) else "-" for row, every in zip(matrix, whole, strict=True)]


def _verdict(confidence: Confidence) -> str:
    harmed = confidence.at_threshold and confidence.ece > confidence.ece_uncalibrated
    return ": here the temperature made it worse" if harmed else ""


def group_table(e: Evaluation, task: str) -> str:
    """Figures of groups of people; no headline for a group that lacks one of its classes."""
    headline, names = TASKS[task].headline(e.track), _escaped(e)
    scored = FIVE_CLASS_ROWS["nsv"] if headline == "macro_f1_nsv" else len(names)
    lines = [
        f"| people | patients | {TASKS[task].unit} | {headline} | " + " | ".join(f"F1 {name}" for name in names) + " |",
        "| --- " * (4 + len(names)) + "|",
    ]
    for group, belongs in GROUPS.items():
        records = [r for r in e.by_record.values() if belongs(r)]
        if not records:
            continue
        patients = [r.patient for r in records]
        figures = pooled_figures(np.array([r.confusion_matrix for r in records]), patients, list(e.per_class))
        by_class = [f"{c['f1']:.3f}" if c["support"] else "-" for c in figures["per_class"].values()]
        pooled = "-" if "-" in by_class[:scored] else f"{figures[headline]:.4f}"
        lines.append(f"| {group} | {len(set(patients))} | {figures['n']:,} | {pooled} | " + " | ".join(by_class) + " |")
    return "\n".join(lines) + "\n\nA few patients decide each row."


def personalisation_table(results: Sequence[PersonalisedResult], whole: Evaluation, task: str) -> str:
    """What adapting to the patient gains; ``whole`` is the same file's evaluation on the same split."""
    first = results[0]
    name = TASKS[task].headline(first.track)
    heads = ["adapted", TASKS[task].unit, name, _change_head(results), *(f"F1 {each}" for each in _escaped(first))]
    lines = [
        "| " + " | ".join(heads) + " |",
        "| --- " * len(heads) + "|",
        *(
            f"| {r.adapted} | {r.n:,} | {getattr(r, name):.4f} | "
            f"{_change(r, first, whole, name) if r is not first else '-'} | "
            + " | ".join(f"{figures.f1:.3f}" for figures in r.per_class.values())
            + " |"
            for r in results
        ),
        "",
        "What the first five minutes of a record are worth, scored on the rest of it; a track of its own, not to be "
        "compared with the other figures. The file is the same; its logits are adapted as `configuration.json` says "
        "(`personalisation`), without labels or with an expert's for those minutes. How strongly was chosen on "
        "validation patients: equal figures mean that these were best left as they are, a lower one that what helped "
        "them does harm here.",
    ]
    return "\n".join(lines)


def end_to_end_table(result: EndToEndResult, annotated: Evaluation) -> str:
    """Figures with found beats beside those at annotated R peaks."""
    found = result.detection
    lines = [
        "| | Se | +P | F1 (95 %) | at annotated R peaks: Se | +P | F1 |",
        "| --- " * 7 + "|",
        f"| detection | {found.se:.4f} | {found.ppv:.4f} | | | | |",
    ]
    patients = [annotated.by_record[name].patient if name in annotated.by_record else name for name in result.records]
    matrices = patient_matrices(np.array([r.confusion_matrix for r in result.by_record.values()]), patients)
    intervals = class_f1_ci95(matrices).tolist()[: len(result.per_class)]
    columns = _escaped(annotated), result.per_class.values(), annotated.per_class.values(), intervals
    for name, here, there, (low, high) in zip(*columns, strict=True):
        lines.append(
            f"| {name} | {here.se:.3f} | {here.ppv:.3f} | {here.f1:.3f} ({bounds(annotated, low, high)}) | "
            f"{there.se:.3f} | {there.ppv:.3f} | {there.f1:.3f} |"
        )
    note = (
        "The beats are found by heartzoo's detector instead of given; found is what lies within "
        f"{1000 * result.window_s:g} ms of a reference beat. Of a class, a beat that was not found is missed and an "
        "extra one is falsely called."
    )
    return "\n".join([*lines, "", note])


def robustness_rows(results: Sequence[DisturbedResult], undisturbed: Evaluation, task: str) -> list[tuple[str, ...]]:
    """For each disturbance: what it is, how strong, the task's headline, its change, the F1 of each class."""
    name = TASKS[task].headline(undisturbed.track)
    return [
        (
            result.disturbance.kind,
            result.disturbance.level + _fewer(result, undisturbed),
            f"{getattr(result, name):.4f}",
            _change(result, undisturbed, undisturbed, name),
            *(f"{figures.f1:.3f}" for figures in result.per_class.values()),
        )
        for result in results
    ]


def _change(result: PooledResult, before: Evaluation | PooledResult, whole: Evaluation, name: str) -> str:
    """By how many points a macro-F1 is higher than ``before``, with its interval; ``whole`` says whose each record is.

    There is no interval of files of before, which held no matrices by record.
    """
    points, interval = points_gained(result, before, whole, name)
    return f"{points:+.1f}" + (f" ({interval[0]:+.1f} to {interval[1]:+.1f})" if interval else "")


def points_gained(
    result: PooledResult, before: Evaluation | PooledResult, whole: Evaluation, name: str
) -> tuple[float, tuple[float, float] | None]:
    """By how many points a macro-F1 is higher than before, on the records of the result, and its 95 % interval.

    Args:
        result: what came of a change.
        before: without it, on these records at least.
        whole: the evaluation of the same split, which says whose each record is.
        name: the macro-F1.

    Returns:
        The points; low and high, or None of too few patients, and of files of before, without matrices by record.
    """
    if not result.by_record or not before.by_record:
        return 100 * (getattr(result, name) - getattr(before, name)), None
    people = {record: patient for record, patient in whole.patients.items() if record in result.by_record}
    first, second = (each.by_patient(people) for each in (result, before))
    if len(first) < FEWEST_PATIENTS:
        return 100 * float(MACRO_F1S[name](first.sum(0)) - MACRO_F1S[name](second.sum(0))), None
    points, low, high = (100 * value for value in paired_difference(first, second, MACRO_F1S[name]))
    return points, (low, high)


def _fewer(result: PooledResult, whole: Evaluation) -> str:
    """How many records a change was measured on, where not all allow it: some have one lead."""
    if len(result.records) == len(whole.records):
        return ""
    return f" ({len(result.records)} of {len(whole.records)} records)"


def _change_head(results: Sequence[PooledResult]) -> str:
    return "change, points" + " (95 %)" * any(result.by_record for result in results)


def robustness_columns(results: Sequence[DisturbedResult], undisturbed: Evaluation, task: str) -> list[str]:
    """The headings that belong to :func:`robustness_rows`."""
    headline = TASKS[task].headline(undisturbed.track)
    return ["disturbance", "level", headline, _change_head(results), *(f"F1 {name}" for name in undisturbed.per_class)]


def robustness_table(results: Sequence[DisturbedResult], undisturbed: Evaluation, task: str) -> str:
    """Markdown.

    Args:
        results: on disturbed recordings.
        undisturbed: of the same file on the same recordings as they are.
        task: the task's name.
    """
    columns = [cell(name) for name in robustness_columns(results, undisturbed, task)]
    rows = [columns, ["---"] * len(columns), *robustness_rows(results, undisturbed, task)]
    told = {
        MOTION_NOTE: any(result.disturbance.noise == "motion" for result in results),
        LOST_NOTE: any(result.disturbance.lost_share for result in results),
        TURNED_NOTE: any(result.disturbance.turned_lead for result in results),
        DRAW_NOTE: any(result.by_record for result in results),
    }
    note = " ".join([ROBUSTNESS_NOTE, *(text for text, holds in told.items() if holds)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{note}"


def folded(title: str, text: str) -> str:
    """Markdown that stays folded until somebody opens it: what is long, and for few."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{text}\n\n</details>'


def yaml_block(tree: dict[str, Any]) -> str:
    """Part of a configuration as it would stand in its file."""
    return f"```yaml\n{yaml.safe_dump(tree, sort_keys=False, width=100, allow_unicode=True).strip()}\n```"


def _escaped(e: Evaluation | PersonalisedResult) -> list[str]:
    return [cell(name) for name in e.per_class]
