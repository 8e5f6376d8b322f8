"""How a model does on recordings made worse, in Markdown and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from heartzoo.metrics_file import DisturbedResult, Evaluation
from heartzoo.tasks import TASKS

NOTE = (
    "Each change is made to the whole recording, before anything else. Noise is the second half of nstdb's recordings "
    "(training may use the first), the same for all beats of a record; its ratio to the signal is of powers over the "
    "whole record, high-passed at 0.5 Hz for the measurement. Jitter is evenly distributed up to the value given."
)


def robustness_rows(results: Sequence[DisturbedResult], undisturbed: Evaluation, task: str) -> list[tuple[str, ...]]:
    """For each disturbance: what it is, how strong, the task's headline, its change, the F1 of each class."""
    name = TASKS[task].headline(undisturbed.track)
    before = getattr(undisturbed, name)
    return [
        (
            result.disturbance.kind,
            result.disturbance.level,
            f"{getattr(result, name):.4f}",
            f"{100 * (getattr(result, name) - before):+.1f}",
            *(f"{figures.f1:.3f}" for figures in result.per_class.values()),
        )
        for result in results
    ]


def robustness_columns(undisturbed: Evaluation, task: str) -> list[str]:
    """The headings that belong to :func:`robustness_rows`."""
    headline = TASKS[task].headline(undisturbed.track)
    return ["disturbance", "level", headline, "change, points", *(f"F1 {name}" for name in undisturbed.per_class)]


def robustness_table(results: Sequence[DisturbedResult], undisturbed: Evaluation, task: str) -> str:
    """Markdown.

    Args:
        results: on disturbed recordings.
        undisturbed: of the same file on the same recordings as they are.
        task: the task's name.
    """
    columns = [name.replace("|", "\\|") for name in robustness_columns(undisturbed, task)]
    rows = [columns, ["---"] * len(columns), *robustness_rows(results, undisturbed, task)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{NOTE}"
