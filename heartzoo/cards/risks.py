"""The section of a card that tells where the model fails, and what its figures cannot tell."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from heartzoo.cards.about import pretrained_people
from heartzoo.cards.front_matter import training_databases
from heartzoo.cards.tables import points_gained
from heartzoo.config.file import parse_config
from heartzoo.data.databases import HEARTBEAT_CSV
from heartzoo.metrics import METRIC_NAMES
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.markdown import prose
from heartzoo.tasks import TASKS
from heartzoo.zoo.index import IndexEntry

FAILING_F1 = 0.8
DECISIVE = 0.03  # of macro-F1: a patient without whom it changes by less is not worth a line
HARMED = 0.005  # of macro-F1, likewise
UNSURE_ECE = 0.03  # expected calibration error that is worth a line
BEAT_LIMITS = (
    "The figures are at annotated R peaks; a detector adds its own errors. Rare classes decide macro-F1: a model with "
    "98 % accuracy may find half of the supraventricular beats."
)
RHYTHM_LIMITS = "Frames in which a rhythm begins or ends are not scored; a recording as it comes has such frames too."


def risks(configuration: dict[str, Any], metrics: Metrics, withdrawn_others: Sequence[IndexEntry]) -> str:
    """What the model does badly, as its own figures tell, and what they cannot tell.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
        withdrawn_others: versions of the model that were withdrawn, but for this one.
    """
    first = metrics.first
    tested = [e for e in metrics.evaluations if e.of_file and e.split in configuration["splits"]["test"]]
    failing = [line for e in tested for line in _failing_classes(e)]
    lines = [
        prose(configuration["limits"]),
        *(_decisive_patient(e, metrics.task) for e in tested),
        *_withdrawn(withdrawn_others),
        *(
            f"{e.split} is {e.few_patients}: nothing measured there need hold of others."
            for e in tested
            if e.few_patients
        ),
        *failing,
        _patients(first),
    ]
    lines += _prevalence(metrics)
    lines += [_calibration(e) for e in tested if e.confidence]
    if metrics.robustness:
        lines += [_worst_disturbance(metrics, first), _other_lead(metrics, first)]
    if metrics.personalisation:
        lines.append(_unlabelled(metrics))
    if first.track == "synthetic":
        return "\n".join(f"- {line}" for line in [*lines, "Nothing here tells how it does on people."] if line)
    lines += [
        _people(first),
        _trained_on(configuration),
        RHYTHM_LIMITS if TASKS[metrics.task].of_rhythm else BEAT_LIMITS,
        "The design of heartzoo's networks was informed by published results on DS2.",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _trained_on(configuration: dict[str, Any]) -> str:
    names = {database.name for database in training_databases(configuration)}
    leads = _leads_that_train(configuration)
    holter = f"{leads} of two-lead Holter recordings of a few dozen people, most of them ill"
    splits = configuration["splits"]
    people = len({*splits["training_patients"], *splits["validation_patients"], *pretrained_people(splits)})
    what = holter if names <= {"mitdb", "svdb", HEARTBEAT_CSV} else f"recordings of {people:,} people"
    return f"Trained on {what}; other leads, electrodes, populations and noise may give other results."


def _leads_that_train(configuration: dict[str, Any]) -> str:
    copies = parse_config(configuration["config"], "configuration.json").training.copies
    if any(copy.turned_lead for copy in copies):
        return "both leads and leads between them, each by itself,"
    return "both leads, each by itself," if any(copy.other_lead for copy in copies) else "one lead"


def _failing_classes(e: Evaluation) -> list[str]:
    poor = [(c.f1, name, c) for name, c in e.per_class.items() if c.support and c.f1 < FAILING_F1]
    called = dict(zip(e.per_class, map(sum, zip(*e.confusion_matrix, strict=True)), strict=True))
    return [
        f"{name}: of {c.support:,} on {e.split} it finds {c.se:.1%}; "
        + (f"{c.ppv:.1%} of its {name} calls are right" if called[name] else "it never predicts this class")
        + f" (F1 {c.f1:.2f})."
        for _, name, c in sorted(poor, key=lambda item: item[0])
    ]


def _patients(e: Evaluation) -> str:
    figures = {name: r.macro_f1 for name, r in e.by_record.items()}
    worst = sorted(figures, key=figures.__getitem__)[:3]
    return (
        f"People differ: on {e.split}, macro-F1 over a record's classes ranges from {min(figures.values()):.2f} to "
        f"{max(figures.values()):.2f} (median {statistics.median(figures.values()):.2f}); lowest on {', '.join(worst)}."
    )


def _decisive_patient(e: Evaluation, task: str) -> str:
    """What one patient makes of the headline; nothing where that is little."""
    name = TASKS[task].headline(e.track)
    if e.least_without_one(name) is None:
        return ""
    figure, without = getattr(e, name), e.without_each(name)
    record = max(without, key=lambda other: abs(without[other] - figure))
    if abs(without[record] - figure) < DECISIVE:
        return ""
    others = [value for other, value in without.items() if other != record]
    return (
        f"One patient decides much: without record {record} of {e.split}, {METRIC_NAMES[name]} is "
        f"{without[record]:.3f} instead of {figure:.3f}; without any other single patient it is {min(others):.3f} to "
        f"{max(others):.3f}."
    )


def _withdrawn(others: Sequence[IndexEntry]) -> list[str]:
    """Versions that were withdrawn when their figures on the test split were known: these helped to choose."""
    return [
        f"Version {other.version} scored {METRIC_NAMES[other.headline.metric]} {other.headline.value:.3f} on "
        f"{other.headline.split} and was withdrawn: {prose(other.withdrawn or '')}. Which versions stand was decided "
        f"with such figures known, so that those on {other.headline.split} may flatter."
        for other in others
    ]


def _worst_disturbance(metrics: Metrics, e: Evaluation) -> str:
    name = TASKS[metrics.task].headline(e.track)
    gained = [points_gained(result, e, e, name)[0] for result in metrics.robustness]
    worst = metrics.robustness[gained.index(min(gained))].disturbance
    lost = max(0.0, -min(gained))
    return f"What harms it most of the changes tried: {worst.kind}, {worst.level}: {lost:.1f} points of macro-F1."


def _other_lead(metrics: Metrics, e: Evaluation) -> str:
    """Empty where it was not measured."""
    name = TASKS[metrics.task].headline(e.track)
    for result in metrics.robustness:
        if result.disturbance.kind == "other lead":
            points, _ = points_gained(result, e, e, name)
            return f"On the other lead of {e.split}'s recordings: {points:+.1f} points of macro-F1."
    return ""


def _people(e: Evaluation) -> str:
    people = {r.patient: r for r in e.by_record.values()}.values()
    women, men = (sum(r.sex == sex for r in people) for sex in ("F", "M"))
    ages = [r.age for r in people if r.age is not None]
    if not ages:
        return "Its figures are not told apart by sex or age of the people it was tested on; their ancestry is unknown."
    return (
        f"Tested on {women} women and {men} men of {min(ages)} to {max(ages)} years (where the recordings say it); "
        "single patients decide the figures of such groups, so these do not tell whether it treats them alike. Their "
        "ancestry is unknown."
    )


def _prevalence(metrics: Metrics) -> list[str]:
    """What following a class's prevalence changes, on each split."""
    changes = []
    for plain in metrics.without_prevalence:
        followed = next(e for e in metrics.evaluations if e.of_file and e.split == plain.split)
        name = TASKS[metrics.task].headline(followed.track)
        change = 100 * (getattr(followed, name) - getattr(plain, name))
        changes.append(f"{change:+.1f} points on {plain.split}")
    said = "Following how common a class is in the record so far changes macro-F1 by"
    return [f"{said} {', '.join(changes)}."] if changes else []


def _calibration(e: Evaluation) -> str:
    """Empty where the model is about as often right as it says."""
    if e.confidence is None or e.confidence.ece < UNSURE_ECE:
        return ""
    return f"Its confidence is poorly calibrated on {e.split}: expected calibration error {e.confidence.ece:.3f}."


def _unlabelled(metrics: Metrics) -> str:
    """Empty where adapting to a patient without labels does no harm."""
    by_way = {result.adapted: result for result in metrics.personalisation}
    name = TASKS[metrics.task].headline(by_way["no"].track)
    lost = getattr(by_way["no"], name) - getattr(by_way["without labels"], name)
    if lost < HARMED:
        return ""
    return (
        f"Do not adapt it to a person without labels: on {by_way['no'].split} that loses {100 * lost:.1f} points of "
        "macro-F1."
    )
