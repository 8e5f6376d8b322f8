"""The compression steps of a configuration. What a step does not say, its training takes from ``training``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from heartzoo.config.section import (
    Bytes,
    Fraction,
    NonNegative,
    Operations,
    Positive,
    PositiveCount,
    Section,
    refuse_repeated,
)
from heartzoo.errors import UserError

SELF = "self"


class FinetuneConfig(Section):
    """A step's own training, with a learning rate that falls to zero as a cosine."""

    epochs: PositiveCount = Field(default=10, description="epochs; the others of training count for training only")
    learning_rate: Positive = Field(default=3e-4, description="first learning rate")


class FeaturePair(Section):
    """Two layers whose outputs are to be alike."""

    teacher: str = Field(description="name of a teacher's layer")
    student: str = Field(description="name of a student's layer with an output of the same shape")
    weight: NonNegative = Field(default=1.0, description="weight of their mean squared difference")


class DistillConfig(FinetuneConfig):
    """Learn from teachers' outputs (Hinton, Vinyals and Dean 2015, arXiv:1503.02531)."""

    teachers: Annotated[list[str], Field(min_length=1)] = Field(
        description="models of the zoo, runs (all their seeds), seeds of runs, or self: the run's own network before "
        "this step. Several teach by their mean probabilities"
    )
    temperature: Positive = Field(default=3.0, description="what logits are divided by")
    alpha: Fraction = Field(default=0.1, description="weight of the true labels; 1 - alpha is the teachers'")
    features: list[FeaturePair] = Field(default=[], description="pairs of layers; for one teacher")
    fresh: bool = Field(default=True, description="start from new weights, not from those of the step before")

    @field_validator("teachers")
    @classmethod
    def _each_teaches_once(cls, names: list[str]) -> list[str]:
        return refuse_repeated("distill.teachers", names)

    @model_validator(mode="after")
    def _one_teacher_shows_its_features(self) -> DistillConfig:
        if self.features and len(self.teachers) > 1:
            raise UserError(
                f"distill.features with {len(self.teachers)} teachers: which of them is to be followed is not clear",
                "name one teacher",
            )
        return self


class PruneWeightsConfig(FinetuneConfig):
    """Set the smallest weights to zero during training (Zhu and Gupta 2017, arXiv:1710.01878)."""

    sparsity: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(description="fraction of zeros at the end")
    schedule: Literal["polynomial", "constant"] = Field(
        default="polynomial", description="polynomial: from no zeros on, by a cubic; constant: all at once"
    )
    scope: Literal["layer", "global"] = Field(
        default="layer", description="layer: the same fraction in each; global: the smallest of all, by layer scale"
    )
    ramp: Fraction = Field(default=0.5, description="fraction of the steps after which no weight is added")
    every_steps: PositiveCount = Field(default=20, description="steps from one choice of weights to the next")

    def choices(self, steps_per_epoch: int) -> tuple[int, int]:
        """The step of the last choice of weights, that of the full sparsity, and the steps from one to the next."""
        end = max(1, round(self.ramp * self.epochs * steps_per_epoch))
        every = min(self.every_steps, end)
        return end - end % every, every


class PruneChannelsConfig(FinetuneConfig):
    """Remove whole channels, so that the network itself is smaller; then train on."""

    macs: Operations | None = Field(
        default=None, description="most multiply-accumulates, e.g. 300k; below 1 as a fraction of the network's"
    )
    flash_bytes: Bytes | None = Field(default=None, description="most bytes of the int8 file, e.g. 16 KB")
    arena_bytes: Bytes | None = Field(
        default=None, description="most bytes of arena that TFLite Micro is made ready in, 64-bit host"
    )
    smallest: Fraction = Field(default=0.1, description="fraction of its channels that every layer keeps at least")
    temperature: Positive = Field(
        default=3.0, description="what logits are divided by; the teacher is the network before"
    )
    alpha: Fraction = Field(default=0.3, description="weight of the true labels; 1 - alpha is the teacher's")

    @model_validator(mode="after")
    def _has_a_budget(self) -> PruneChannelsConfig:
        if self.macs is None and self.flash_bytes is None and self.arena_bytes is None:
            raise UserError("prune_channels names no budget", "give macs, flash_bytes or arena_bytes")
        return self


class QuantizeAwareConfig(FinetuneConfig):
    """Train on with int8's rounding in the network (Jacob et al. 2018, CVPR), taught by the network before."""

    epochs: PositiveCount = Field(default=5, description="epochs")
    learning_rate: Positive = Field(default=1e-4, description="first learning rate")
    temperature: Positive = Field(default=1.0, description="what logits are divided by")
    alpha: Fraction = Field(default=0.3, description="weight of the true labels; 1 - alpha is the teacher's")


class CompressionStep(Section):
    """One step: exactly one of its keys."""

    distill: DistillConfig | None = None
    prune_weights: PruneWeightsConfig | None = None
    prune_channels: PruneChannelsConfig | None = None
    quantize_aware: QuantizeAwareConfig | None = None

    @model_validator(mode="after")
    def _is_one_step(self) -> CompressionStep:
        if len(self._said) != 1:
            raise UserError(
                f"a compression step names {' and '.join(self._said) or 'nothing'}, expected one technique",
                "write each as a list item of its own",
            )
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    @property
    def _said(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def technique(self) -> str:
        """The name of its one key."""
        return self._said[0]

    @property
    def settings(self) -> DistillConfig | PruneWeightsConfig | PruneChannelsConfig | QuantizeAwareConfig:
        """The value of its one key."""
        found: DistillConfig | PruneWeightsConfig | PruneChannelsConfig | QuantizeAwareConfig
        found = getattr(self, self.technique)
        return found


def check_order(steps: Sequence[CompressionStep]) -> None:
    """Refuse steps that undo others.

    Raises:
        UserError: a step after ``quantize_aware``, channels removed after weights, or a fresh start after any step.
    """
    names = [step.technique for step in steps]
    for before, step in zip(names, steps[1:], strict=False):
        if before == "quantize_aware":
            raise UserError(f"compression: {step.technique} after quantize_aware", "put quantize_aware last")
        if step.distill and step.distill.fresh:
            raise UserError(
                f"compression: distill starts from new weights after {before}, which would be lost",
                "put it first, or set distill.fresh: false",
            )
    if names.count("prune_weights") > 1:
        raise UserError("compression: a second prune_weights would begin without zeros", "give the first its sparsity")
    if "prune_weights" in names and "prune_channels" in names[names.index("prune_weights") :]:
        raise UserError(
            "compression: prune_channels after prune_weights would fill its zeros again", "put prune_channels first"
        )
