"""What ``heartzoo evaluate`` measures apart from the figures: shown, logged, and returned for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heartzoo.errors import UserError

if TYPE_CHECKING:
    from heartzoo.data.splits import Split
    from heartzoo.evaluation import Subject
    from heartzoo.metrics_file.results import DisturbedResult, EndToEndResult, Evaluation, PersonalisedResult
    from heartzoo.personalisation import Personalisation
    from heartzoo.zoo import Entry


@dataclass(frozen=True)
class Apart:
    """One model on one split, under other conditions than those of its figures.

    Attributes:
        label: what the model is called in the log.
        subject: the model.
        split: the split.
        present_only: whether records that are not at hand are left out.
        zoo: the folder that holds the log.
    """

    label: str
    subject: Subject
    split: Split
    present_only: bool
    zoo: Path

    def end_to_end(self, annotated: Evaluation) -> list[EndToEndResult]:
        """Detector and model together, beside the result at the annotated beats."""
        from heartzoo.evaluation.end_to_end import evaluate_end_to_end
        from heartzoo.tables.terminal import end_to_end_table, show

        result = evaluate_end_to_end(self.subject, self.split, self.present_only)
        self._log([result])
        show(end_to_end_table(result, annotated))
        return [result]

    def adapted(self, entry: Entry | None) -> list[PersonalisedResult]:
        """The model adapted to each patient by the first five minutes."""
        from rich.table import Table

        from heartzoo.evaluation import evaluate_personalised
        from heartzoo.metrics import METRIC_NAMES
        from heartzoo.tables.terminal import show
        from heartzoo.tasks import TASKS

        personalisation = how_to_adapt(self.label, entry)
        results = evaluate_personalised(self.subject, self.split, personalisation, self.present_only)
        self._log(results)
        headline = TASKS[self.subject.config.task].headline(self.subject.config.track)
        classes = (f"F1 {name}" for name in results[0].per_class)
        table = Table("adapted", METRIC_NAMES[headline], *classes, title="After five minutes")
        for result in results:
            figures = (f"{each.f1:.3f}" for each in result.per_class.values())
            table.add_row(result.adapted, f"{getattr(result, headline):.4f}", *figures)
        show(table)
        return results

    def disturbed(self) -> Iterator[DisturbedResult]:
        """The model on recordings made worse, one way after the other."""
        from heartzoo.evaluation import disturbances, evaluate_disturbed
        from heartzoo.progress import console

        asked_for = disturbances(self.split)
        for number, disturbance in enumerate(asked_for, start=1):
            console.print(f"{number} of {len(asked_for)}: {disturbance.kind}, {disturbance.level}")
            result = evaluate_disturbed(self.subject, self.split, disturbance, self.present_only)
            self._log([result])
            yield result

    def show_disturbed(self, results: Sequence[DisturbedResult], undisturbed: Evaluation) -> None:
        """Print those results, beside that on the recordings as they are."""
        from rich.table import Table

        from heartzoo.cards.tables import robustness_columns, robustness_rows
        from heartzoo.tables.terminal import show

        task = self.subject.config.task
        table = Table(*robustness_columns(results, undisturbed, task), title="Robustness", title_justify="left")
        for row in robustness_rows(results, undisturbed, task):
            table.add_row(*row)
        show(table)

    def _log(self, results: Sequence[EndToEndResult | PersonalisedResult | DisturbedResult]) -> None:
        from heartzoo.zoo.openings import log_openings

        log_openings(self.zoo, self.label, results)


def how_to_adapt(label: str, entry: Entry | None) -> Personalisation:
    """How the model of that label is adapted to a patient.

    Raises:
        UserError: it does not say; a file outside a zoo does not.
    """
    if entry is None:
        raise UserError(
            f"{label} says nothing about how to adapt it", "export it with --set export.personalisation=true"
        )
    return entry.personalisation
