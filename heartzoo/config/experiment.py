"""An experiment: variants of a configuration, and the patient-grouped folds and seeds that they are compared on."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from heartzoo.config import Config
from heartzoo.config.disturbance import Disturbance
from heartzoo.config.file import load_config, parse, read_tree
from heartzoo.config.section import Section, Seeds
from heartzoo.errors import UserError, nearest

_STEM = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PLAIN = re.compile(r"[\w./][\w./ +@~-]*")  # what stands in YAML for itself, wherever a change puts it
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$")]


class Variant(Section):
    """One way to train."""

    name: Name = Field(description="letters, digits and _; $name in later changes is the folder of its run")
    what: str = Field(description="what it is, for the table")
    config: str | None = Field(default=None, description="another configuration than the experiment's")
    after: Name | None = Field(default=None, description="an earlier variant whose training its compression follows")
    changes: list[str] = Field(default=[], description="key=value, as for --set")


class ExperimentConfig(Section):
    """Variants by folds by seeds."""

    question: str = Field(description="what is to be found out")
    found: str = Field(default="", description="how the table is to be read, said once it is there")
    config: str = Field(description="what the variants change, relative to this file")
    changes: list[str] = Field(default=[], description="key=value in every variant, as for --set")
    seeds: Seeds = Field(description="seeds of each training")
    folds: Annotated[list[int | str], Field(min_length=1)] = Field(
        description="which of training.folds validate in turn, or which training databases"
    )
    reference: Name = Field(description="the variant that the others are compared with")
    disturbances: list[Disturbance] = Field(
        default=[],
        description="changes of the validation patients' recordings, which are scored too; noise is of nstdb's first "
        "half, as that of training.copies, so give it another draw, and a rhythm too; in another rhythm it is told how "
        "many of the first class are found",
    )
    variants: Annotated[list[Variant], Field(min_length=1)] = Field(description="what is compared")

    @field_validator("disturbances")
    @classmethod
    def _without_fusion(cls, found: list[Disturbance]) -> list[Disturbance]:
        if any(disturbance.fusion for disturbance in found):
            raise UserError(
                "disturbances: fusion changes what the beats are, and leaves people out",
                "take noise, gain, jitter_ms, lost_share, from_fs, rhythm, other_lead or turned_lead",
            )
        return found

    @field_validator("folds")
    @classmethod
    def _folds_are_of_other_people(cls, folds: list[int | str]) -> list[int | str]:
        if len(set(folds)) < len(folds) or len({type(fold) for fold in folds}) > 1:
            raise UserError(
                f"folds = {folds} would count people twice", "name each once, and numbers or databases, not both"
            )
        return folds

    @model_validator(mode="after")
    def _names_lead_back(self) -> ExperimentConfig:
        before: list[str] = []
        for variant in self.variants:
            if variant.name in before:
                raise UserError(f"two variants are called {variant.name}", "give each a name of its own")
            if variant.after is not None and variant.after not in before:
                raise UserError(
                    f"variant {variant.name}: after = {variant.after} is no earlier variant",
                    nearest(variant.after, before) if before else "leave it out",
                )
            before.append(variant.name)
        if self.reference not in before:
            raise UserError(f"reference = {self.reference} is no variant", nearest(self.reference, before))
        return self


def load_experiment(path: Path) -> ExperimentConfig:
    """Read an experiment's YAML file.

    Raises:
        UserError: the file is absent or no YAML mapping; a key is unknown or a value wrong; its name, which its trials
            bear, makes no name of a model.
    """
    if path.is_file() and not _STEM.fullmatch(path.stem):
        raise UserError(
            f"expected an experiment's file named by small letters, digits, - and _, found {path.name}", "rename it"
        )
    return parse(ExperimentConfig, read_tree(path), str(path))


def trial_folder(runs: Path, experiment: str, variant: str, fold: int | str) -> Path:
    """Where the run of a variant and fold lies."""
    return runs / experiment / variant / f"fold-{fold}"


def trial_config(path: Path, experiment: ExperimentConfig, variant: Variant, fold: int | str, runs: Path) -> Config:
    """The configuration of a variant and fold.

    Args:
        path: the experiment's file.
        experiment: what it says.
        variant: one of its variants.
        fold: which fold validates.
        runs: folder of the experiments' runs.

    Raises:
        UserError: as :func:`heartzoo.config.file.load_config`; a change names a variant that does not come before.
    """
    before = experiment.variants[: experiment.variants.index(variant)]
    folders = {other.name: str(trial_folder(runs, path.stem, other.name, fold)) for other in before}
    if not _PLAIN.fullmatch(str(runs)) and any("$" in change for change in (*experiment.changes, *variant.changes)):
        raise UserError(
            f"{path} names runs in a change: expected their folder of letters, digits, blanks and ._-/, found {runs}",
            "name another with --runs",
        )
    try:
        changes = [Template(change).substitute(folders) for change in (*experiment.changes, *variant.changes)]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path}: variant {variant.name}: a change names {error} after $, which is no earlier variant",
            f"earlier variants are {', '.join(folders) or 'none'}",
        ) from error
    name = f"{path.stem}-{variant.name}".replace("_", "-")
    own = [f"name={name}", f"seeds={experiment.seeds}", f"training.fold={fold}"]
    return load_config(path.parent / (variant.config or experiment.config), [*changes, *own])
