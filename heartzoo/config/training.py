"""The training's part of a configuration."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from heartzoo.config.disturbance import Disturbance
from heartzoo.config.section import (
    Decibels,
    Fraction,
    Millivolts,
    NonNegative,
    Positive,
    PositiveCount,
    Section,
    low_to_high,
    refuse_idle,
    refuse_repeated,
)
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError


class SamplingConfig(Section):
    """How training batches are drawn."""

    by: Literal["example", "class", "patient", "class-example"] = Field(
        default="class",
        description="example: every beat alike; class: class by shares, then a patient that has it, then a beat; "
        "patient: patient, then class by shares among those it has, then a beat; "
        "class-example: class by shares, then one of its beats (a weighted random sampler)",
    )
    evenness: Fraction = Field(
        default=1.0,
        description="by class: patients are drawn by how many beats of the class they have, to the power 1 - evenness; "
        "1 draws every patient alike, 0 every beat",
    )
    shares: list[Positive] | None = Field(default=None, description="relative class shares; default equal")
    irregular: Positive = Field(
        default=1.0,
        description="beats of the first class in an irregular rhythm (R-R feature recurrence below 0.15, as in atrial "
        "fibrillation) are drawn this many times as often as they would be, beside the class's others",
    )

    @model_validator(mode="after")
    def _nothing_idle(self) -> SamplingConfig:
        refuse_idle(self, "training.sampling", "by", {"evenness": ("class",)})
        refuse_idle(self, "training.sampling", "by", {"shares": ("class", "patient", "class-example")})
        return self


class AugmentationConfig(Section):
    """Random changes of training frames, drawn anew for every frame before normalisation; 0 or null leaves one out.

    Of frames that are differences, a size of the template's QRS stands for a mV; of features, 1.
    """

    amplitude: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(default=0.0, description="scaled by 1 - a ... 1 + a")
    inverted_share: Fraction = Field(default=0.0, description="fraction of the frames that are turned upside down")
    shift_s: Annotated[float, Field(ge=0.0, le=1.0)] = Field(default=0.0, description="moved by at most this, s")
    stretch: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0, description="a centred beat stretched or squeezed in time around its R peak, by 1 + a at most"
    )
    wander_mv: Millivolts = Field(
        default=0.0, description="baseline wander, a 0.05-0.7 Hz sine of at most this amplitude, mV"
    )
    muscle_mv: NonNegative = Field(default=0.0, description="noise above 10 Hz of at most this root mean square, mV")
    white_mv: Millivolts = Field(default=0.0, description="white noise of at most this root mean square, mV")
    features: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0,
        description="white noise of at most this root mean square on R-R and template features beside a frame (where "
        "features are the frame: white_mv)",
    )
    nstdb_snr_db: tuple[Decibels, Decibels] | None = Field(
        default=None, description="real bw and ma noise (first half of nstdb's recordings) at an SNR in this range, dB"
    )
    nstdb_share: Fraction = Field(default=0.5, description="fraction of the frames that get nstdb noise")

    @model_validator(mode="after")
    def _shares_have_noise(self) -> AugmentationConfig:
        if self.nstdb_snr_db is None and self.nstdb_share != 0.5:
            raise UserError(
                f"training.augmentation.nstdb_share = {self.nstdb_share:g} without nstdb noise", "set nstdb_snr_db, too"
            )
        return self

    @field_validator("nstdb_snr_db")
    @classmethod
    def _low_to_high(cls, range_db: tuple[float, float] | None) -> tuple[float, float] | None:
        return range_db and low_to_high("augmentation.nstdb_snr_db", range_db)


class ScheduleConfig(Section):
    """Learning rate over training steps."""

    kind: Literal["constant", "cosine", "cosine-restarts", "exponential", "step", "plateau"] = Field(
        default="cosine",
        description="shape; exponential: smoothly by decay_factor in decay_epochs; step: by decay_factor after every "
        "decay_epochs; plateau: by decay_factor after decay_epochs without a better value of early_stopping.metric",
    )
    first_restart_epochs: PositiveCount = Field(
        default=10, description="length of the first cosine period, epochs (restarts)"
    )
    period_factor: Annotated[float, Field(ge=1.0)] = Field(default=2.0, description="growth of the period (restarts)")
    peak_factor: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="growth of the peak (restarts)"
    )
    final_fraction: Fraction = Field(
        default=0.0, description="lowest learning rate as a fraction of the first (cosine, cosine-restarts)"
    )
    decay_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.1, description="what the learning rate is multiplied by (exponential, step, plateau)"
    )
    decay_epochs: PositiveCount = Field(
        default=10, description="epochs from one decay to the next (exponential, step, plateau)"
    )

    @model_validator(mode="after")
    def _nothing_idle(self) -> ScheduleConfig:
        restarts, decays = ("cosine-restarts",), ("exponential", "step", "plateau")
        of_restarts = dict.fromkeys(("first_restart_epochs", "period_factor", "peak_factor"), restarts)
        of_decays = dict.fromkeys(("decay_factor", "decay_epochs"), decays)
        for needed in (of_restarts, of_decays, {"final_fraction": ("cosine", *restarts)}):
            refuse_idle(self, "training.schedule", "kind", needed)
        return self


class EarlyStoppingConfig(Section):
    """When training ends before its last epoch, and which epoch's weights are kept."""

    metric: Literal["val_loss", "val_macro_f1", "val_accuracy", "val_mean_recall"] = Field(
        default="val_loss", description="what is watched; the seed that is best by it is published"
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="best: the first epoch that is best by the metric; last: the last one, where the learning rate has "
        "fallen, and every epoch is trained: what few validation patients prefer may be chance",
    )
    min_delta: NonNegative = Field(default=0.0, description="a value counts as better if it is by more than this")
    patience: PositiveCount = Field(default=20, description="epochs without improvement before training ends")

    @model_validator(mode="after")
    def _nothing_idle(self) -> EarlyStoppingConfig:
        refuse_idle(self, "training.early_stopping", "keep", dict.fromkeys(("min_delta", "patience"), ("best",)))
        return self


class PretrainedConfig(Section):
    """The published network whose weights a training begins with: fine-tuning."""

    model: str = Field(description="NAME@VERSION of a model of the zoo with the same task, input and network")
    train: Annotated[list[str], Field(min_length=1)] = Field(
        description="the training splits that it has learnt from: nobody of them may validate or test"
    )

    @field_validator("model")
    @classmethod
    def _version_is_said(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9-]+@\d+\.\d+\.\d+", name):
            raise UserError(
                f"training.pretrained.model = {name} names no version",
                "write NAME@VERSION: the newest one may be another tomorrow",
            )
        return name

    @field_validator("train")
    @classmethod
    def _splits_exist(cls, names: list[str]) -> list[str]:
        for name in names:
            get_split(name)
        return names


class TrainingConfig(Section):
    """The recipe."""

    pretrained: PretrainedConfig | None = Field(
        default=None, description="the network that the first epoch begins with; null for one with random weights"
    )
    epochs: PositiveCount = Field(default=50, description="most epochs")
    steps_per_epoch: PositiveCount = Field(default=50, description="batches in an epoch")
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(default=256, description="examples in a batch")
    loss: Literal["cross-entropy", "weighted", "focal", "generalised"] = Field(
        default="cross-entropy",
        description="weighted and focal weigh classes inversely to how often they are drawn; generalised, after Zhang "
        "and Sabuncu 2018, (1 - p^generalised_q) / generalised_q of the true class's probability p: examples that look "
        "wrongly labelled pull less",
    )
    focal_gamma: NonNegative = Field(default=2.0, description="focusing exponent of the focal loss")
    generalised_q: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.3, description="of the generalised loss; near 0 it is cross-entropy, at 1 the mean absolute error"
    )
    logit_offsets: list[float] | None = Field(
        default=None,
        description="how much larger than the loss alone would make them the logits of each class become (logit "
        "adjustment, Menon et al. 2021): above 0 a class is called more often; default none",
    )
    optimizer: Literal["adam", "adamw"] = Field(default="adam", description="adamw decays weights, adam does not")
    weight_decay: NonNegative = Field(default=0.0, description="decoupled weight decay (adamw)")
    learning_rate: Positive = Field(default=1e-3, description="first learning rate")
    schedule: ScheduleConfig = ScheduleConfig()
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    sampling: SamplingConfig = SamplingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    copies: list[Disturbance] = Field(
        default=[],
        description="changed copies of the training recordings, beside them; noise is of nstdb's first half",
    )
    folds: Annotated[int, Field(ge=2, le=50)] = Field(
        default=5, description="patient-grouped folds of the training data"
    )
    fold: Annotated[StrictInt, Field(ge=0)] | str | None = Field(
        default=0,
        description="the fold that validates; or the name of a training database, all of whose patients do; null: "
        "everybody trains and the last epoch is kept",
    )

    @field_validator("copies")
    @classmethod
    def _each_copy_once(cls, copies: list[Disturbance]) -> list[Disturbance]:
        return refuse_repeated("training.copies", copies)

    @model_validator(mode="after")
    def _nothing_idle(self) -> TrainingConfig:
        refuse_idle(self, "training", "optimizer", {"weight_decay": ["adamw"]})
        refuse_idle(self, "training", "loss", {"focal_gamma": ["focal"], "generalised_q": ["generalised"]})
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> TrainingConfig:
        if isinstance(self.fold, int) and self.fold >= self.folds:
            raise UserError(
                f"training.fold = {self.fold}, but there are {self.folds} folds", f"take 0 to {self.folds - 1}"
            )
        return self
