"""The front matter of a model card: what model hubs read, in Hugging Face's schema, with the evaluation's results."""

from __future__ import annotations

from typing import Any

from heartzoo.cheader import LICENCE
from heartzoo.configuration_file import learnt_from
from heartzoo.data.databases import DATABASES, Database, get_database
from heartzoo.data.splits import get_split, is_part
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tasks import TASKS
from heartzoo.zoo.index import headline

TAGS = ("ecg", "electrocardiogram", "arrhythmia", "tinyml", "tflite-micro", "int8", "microcontroller")
HUB_LICENCES = {"Apache-2.0": "apache-2.0", "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0"}
HUB_TASK = "time-series-classification"


def front_matter(configuration: dict[str, Any], metrics: Metrics) -> str:
    """The YAML block between ``---`` lines.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
    """
    from huggingface_hub import ModelCardData

    licence = weights_licence(configuration)
    known = HUB_LICENCES.get(licence)
    data = ModelCardData(
        license=known or "other",
        license_name=None if known else licence,
        library_name="heartzoo",
        language="en",
        tags=[*TAGS, metrics.task, *(database.name for database in training_databases(configuration))],
        model_name=f"{configuration['name']} {configuration['version']}",
        eval_results=[
            result for e in metrics.evaluations if not is_part(e.split) for result in _results(e, metrics.task)
        ],
    )
    return f"---\n{data.to_yaml()}\n---"


def training_databases(configuration: dict[str, Any]) -> list[Database]:
    """The databases that the weights were trained on, those that a pretrained network had too, sorted by name."""
    return [DATABASES[name] for name in sorted({get_split(s).database for s in learnt_from(configuration)})]


def weights_licence(configuration: dict[str, Any]) -> str:
    """The licence of the weights: that of share-alike data, else heartzoo's."""
    binding = [database.license for database in training_databases(configuration) if database.share_alike]
    return " and ".join(binding) or LICENCE


def _results(e: Evaluation, task: str) -> list[Any]:
    from huggingface_hub import EvalResult

    figure, (low, high) = headline(e, task)
    interval = e.few_patients or f"95 % {low:.3f} to {high:.3f}"
    over = TASKS[task].over(e.track) or " over all classes"
    database = get_database(e.dataset)
    figures = {
        f"macro-F1{over}, {e.precision} by {e.runtime}, full coverage ({interval})": (
            "f1",
            figure,
        ),
        f"accuracy, {e.precision} by {e.runtime}": ("accuracy", e.accuracy),
    }
    return [
        EvalResult(
            task_type=HUB_TASK,
            task_name=f"{task}, {e.track} track",
            dataset_type=e.dataset,
            dataset_name=f"{database.title} {database.version}",
            dataset_split=e.split,
            metric_type=kind,
            metric_name=name,
            metric_value=round(value, 4),
        )
        for name, (kind, value) in figures.items()
    ]
