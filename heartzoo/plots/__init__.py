"""Pictures of an evaluation, drawn without a display and without matplotlib's global state.

What ``metrics.json`` alone gives is drawn by :func:`pictures`; beats of the evaluated recordings by
:func:`heartzoo.plots.strips.beat_strips`. :func:`heartzoo.plots.style.save` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from heartzoo.data.splits import is_part
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.results import DisturbedResult, Evaluation
from heartzoo.plots.figures import class_bars, confusion_matrix, reliability, risk_coverage, robustness_curves
from heartzoo.plots.style import FORMATS, save

__all__ = ["FORMATS", "evaluation_pictures", "pictures", "save"]


def pictures(metrics: Metrics) -> dict[str, Figure]:
    """Everything that can be drawn of a published model without any recording.

    Args:
        metrics: the content of its ``metrics.json``.

    Returns:
        Figures by name, ``<split>-<picture>`` such as ``ds2-confusion``: those of :func:`evaluation_pictures` for the
        ``.tflite`` file on each whole test split.
    """
    label = f"{metrics.model}@{metrics.version}"
    return {
        f"{evaluation.split}-{name}": figure
        for evaluation in metrics.evaluations
        if evaluation.of_file and not is_part(evaluation.split)
        for name, figure in evaluation_pictures(label, metrics.task, evaluation, metrics.robustness).items()
    }


def evaluation_pictures(
    model: str, task: str, evaluation: Evaluation, robustness: Sequence[DisturbedResult] = ()
) -> dict[str, Figure]:
    """Everything that can be drawn of one evaluation without its recordings.

    Args:
        model: the model's name with its version; for the titles.
        task: its task.
        evaluation: the result.
        robustness: results on disturbed recordings; those of another file, split or runtime are left aside.

    Returns:
        Figures by name: ``confusion`` and ``classes``; ``risk-coverage`` and ``reliability`` where the result says how
        sure the model was; ``robustness`` where there are results with noise or jitter.
    """
    drawn = {
        "confusion": confusion_matrix(model, evaluation),
        "classes": class_bars(model, evaluation, task),
    }
    if evaluation.confidence:
        drawn["reliability"] = reliability(model, evaluation, evaluation.confidence, task)
        if evaluation.confidence.risk_coverage:
            drawn["risk-coverage"] = risk_coverage(model, evaluation, evaluation.confidence, task)
    same = [result for result in robustness if _condition(result) == _condition(evaluation)]
    curves = [result for result in same if result.disturbance.noise or result.disturbance.jitter_ms]
    if curves:
        drawn["robustness"] = robustness_curves(model, evaluation, curves, task)
    return drawn


def _condition(result: Evaluation | DisturbedResult) -> tuple[object, ...]:
    return result.file_sha256, result.split, result.runtime, result.records
