"""The configuration of a model: one strict tree, every default and unit stated once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from heartzoo.config.compression import CompressionStep, check_order
from heartzoo.config.export import ExportConfig
from heartzoo.config.section import (
    Decibels,
    Fraction,
    Positive,
    PositiveCount,
    Section,
    Seeds,
    low_to_high,
    refuse_idle,
    refuse_repeated,
)
from heartzoo.config.training import TrainingConfig
from heartzoo.data.rr import FEATURES
from heartzoo.data.splits import PARTS, get_split, track
from heartzoo.data.template import TEMPLATE_FEATURES, RegularRule, window_samples
from heartzoo.errors import UserError, look_up
from heartzoo.tasks import TASKS, get_task

SHORTEST_FRAME = 16


class DataConfig(Section):
    """Which recordings a model learns from and is tested on."""

    train: Annotated[list[str], Field(min_length=1)] = Field(
        default=["ds1"], description="training splits; they decide the track"
    )
    test: Annotated[list[str], Field(min_length=1)] = Field(
        default=["ds2"], description="test splits, opened by export and evaluate only"
    )
    leads: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="leads by preference; default the database's"
    )
    missing_lead: Literal["error", "skip"] = Field(default="error", description="what a record without the lead does")
    mapping: Literal["A", "B"] = Field(default="A", description="beat mapping: A de Chazal 2004, B WFDB bxb")

    @field_validator("train", "test")
    @classmethod
    def _splits_exist(cls, names: list[str]) -> list[str]:
        for name in names:
            get_split(name)
        return names

    @model_validator(mode="after")
    def _trains_on_training_splits(self) -> DataConfig:
        for name in self.train:
            if get_split(name).test:
                raise UserError(f"data.train names the test split {name}", "train on a training split")
        if len(set(self.train)) < len(self.train):
            raise UserError(f"data.train = {self.train} names a split twice", "name each once")
        for name in self.test:
            if not get_split(name).test:
                raise UserError(f"data.test names the training split {name}", "test on a test split")
        if len(set(self.test)) < len(self.test):
            raise UserError(f"data.test = {self.test} names a split twice", "name each once")
        for name in self.test:
            if parts := sorted({*self.test} & {*PARTS.get(name, ())}):
                raise UserError(
                    f"data.test names {parts[0]}, which is part of {name}", "leave it out: a split's parts come along"
                )
        return self


class InputConfig(Section):
    """The preprocessing contract: how a recording becomes the network's input."""

    cut: Literal["centred", "difference", "features", "r-peak", "rhythm"] = Field(
        default="centred",
        description="centred: the beat at frame // 2, z-scored; difference: from 0.40 s before the beat to 0.56 s "
        "after it, moved to where it fits the template of the patient's regular beats, less that template, in sizes "
        "of the template's QRS, limited to -1 ... 1; features: no signal, but rr_features and template_features in the "
        "network's only input; r-peak, after Kachuee 2018: from the R peak on, 1.2 "
        "times the median R-R interval of its 10 s window, scaled to 0-1 by that window, then zeros; "
        "rhythm: frame after frame, z-scored, labelled by rhythm",
    )
    fs: Annotated[float, Field(ge=50.0, le=1000.0)] = Field(default=100.0, description="sampling rate, Hz")
    frame: Annotated[int, Field(ge=1, le=8192)] = Field(default=512, description="frame length, samples")
    highpass_hz: Annotated[float, Field(ge=0.05, le=5.0)] | None = Field(
        default=None, description="causal second-order Butterworth high-pass over the record, Hz; null for none"
    )
    lowpass_hz: Annotated[float, Field(ge=5.0, le=400.0)] | None = Field(
        default=None, description="low-pass of the same kind after it, Hz, below fs / 2; null for none"
    )
    epsilon: Positive = Field(default=0.01, description="mV added to a frame's standard deviation in its z-score")
    rr_features: list[str] = Field(
        default=[], description="R-R features, in the order of the network's input rr (cut features: of its only input)"
    )
    template_features: list[str] = Field(
        default=[],
        description="the beat's shape beside that of the patient's regular beats; they follow the R-R features there",
    )
    regular_beats: RegularRule = Field(
        default="median",
        description="which beats teach the template: median, those whose interval is near the median of the last 64; "
        "late, those whose interval is not much shorter than the slowest tenth of the last 128",
    )
    drowned_share: Fraction = Field(
        default=0.0,
        description="cut rhythm: fraction of a record's frames that are there once more, as noise, in databases that "
        "mark none themselves",
    )
    drowned_snr_db: tuple[Decibels, Decibels] = Field(
        default=(-12.0, -6.0), description="signal-to-noise ratio of those frames, a range, dB; the noise is nstdb's"
    )

    @field_validator("drowned_snr_db")
    @classmethod
    def _low_to_high(cls, range_db: tuple[float, float]) -> tuple[float, float]:
        return low_to_high("input.drowned_snr_db", range_db)

    @model_validator(mode="after")
    def _nothing_idle(self) -> InputConfig:
        refuse_idle(self, "input", "cut", {"epsilon": ("centred", "rhythm")})
        refuse_idle(self, "input", "cut", dict.fromkeys(("drowned_share", "drowned_snr_db"), ("rhythm",)))
        return self

    @model_validator(mode="after")
    def _rhythm_frames_hold_many_beats(self) -> InputConfig:
        if self.cut == "rhythm" and self.rr_features:
            raise UserError("input.rr_features with input.cut rhythm: a frame holds many beats", "leave one out")
        return self

    @model_validator(mode="after")
    def _templates_are_in_millivolts(self) -> InputConfig:
        if self.cut not in ("centred", "difference", "features") and self.template_features:
            raise UserError(
                f"input.template_features with input.cut {self.cut}",
                "they go with cut: centred, difference or features",
            )
        return self

    @model_validator(mode="after")
    def _regular_beats_make_a_template(self) -> InputConfig:
        if self.regular_beats != "median" and self.cut != "difference" and not self.template_features:
            raise UserError(
                f"input.regular_beats = {self.regular_beats} without a template to teach",
                "leave it out, or take cut: difference or template_features",
            )
        return self

    @model_validator(mode="after")
    def _differences_are_as_long_as_templates(self) -> InputConfig:
        if self.cut == "difference" and self.frame != (length := window_samples(self.fs)):
            raise UserError(
                f"input.frame = {self.frame} with input.cut difference, whose window holds {length} samples at "
                f"{self.fs:g} Hz",
                f"set input.frame to {length}",
            )
        return self

    @model_validator(mode="after")
    def _frame_of_features_holds_them(self) -> InputConfig:
        if self.cut == "features" and self.frame != len(self.features):
            raise UserError(
                f"input.frame = {self.frame} with input.cut features and {len(self.features)} features",
                f"set input.frame to {len(self.features)}" if self.features else "name some",
            )
        return self

    @model_validator(mode="after")
    def _frame_of_signal_is_long_enough(self) -> InputConfig:
        if self.cut != "features" and self.frame < SHORTEST_FRAME:
            raise UserError(
                f"input.frame = {self.frame}: expected {SHORTEST_FRAME} samples or more", "take a longer one"
            )
        return self

    @model_validator(mode="after")
    def _window_scale_needs_no_filter(self) -> InputConfig:
        for name in ("highpass_hz", "lowpass_hz"):
            if self.cut == "r-peak" and getattr(self, name) is not None:
                raise UserError(f"input.{name} with input.cut r-peak, which scales raw windows", "leave one out")
        return self

    @model_validator(mode="after")
    def _lowpass_is_below_half_the_rate(self) -> InputConfig:
        if self.lowpass_hz is not None and self.lowpass_hz >= self.fs / 2:
            raise UserError(
                f"input.lowpass_hz = {self.lowpass_hz:g} at {self.fs:g} Hz", f"take less than {self.fs / 2:g}"
            )
        return self

    @field_validator("rr_features")
    @classmethod
    def _features_exist(cls, names: list[str]) -> list[str]:
        for name in names:
            look_up(FEATURES, name, "R-R feature")
        return refuse_repeated("input.rr_features", names)

    @field_validator("template_features")
    @classmethod
    def _template_features_exist(cls, names: list[str]) -> list[str]:
        for name in names:
            look_up(TEMPLATE_FEATURES, name, "template feature")
        return refuse_repeated("input.template_features", names)

    @property
    def features(self) -> list[str]:
        """What is computed of each beat, in order: R-R features, then template features."""
        return self.rr_features + self.template_features

    @property
    def takes_template(self) -> bool:
        """Whether beats are compared with the template of the patient's own regular beats."""
        return bool(self.template_features) or self.cut == "difference"

    @property
    def following_beats(self) -> int:
        """How many beats after a beat must be known before its features are."""
        return max((FEATURES[name].delay_beats for name in self.rr_features), default=0)

    @property
    def beat_features(self) -> list[str]:
        """What the network's input ``rr`` holds, in order; empty for a network without one."""
        return [] if self.cut == "features" else self.features


class ModelConfig(Section):
    """The network: a registered architecture and its sizes."""

    architecture: str = Field(description="name of a registered architecture")
    sizes: dict[str, int | float | str | list[int]] = Field(default={}, description="its sizes; each has a default")
    widths: dict[str, PositiveCount] = Field(
        default={}, description="channels of single layers, fewer than the sizes give; prune_channels finds them"
    )


class PrevalenceConfig(Section):
    """How a class's logit follows a prevalence in a recording: see :mod:`heartzoo.prevalence`."""

    of: str | None = Field(
        default=None,
        description="the class whose prevalence is followed, by default the class itself. Fused beats come where "
        "ventricular ones do, so that F may follow V",
    )
    usual: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.02, description="that prevalence before anything is known of a recording"
    )
    assumed: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.05, description="the prevalence for which the network's logits are right as they are"
    )


class Config(Section):
    """One model: everything its training and export depend on."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] = Field(description="name in the zoo")
    summary: str = Field(default="", description="one sentence for the table of models")
    limits: str = Field(default="", description="weaknesses seen, for the model's card")
    origin: str = Field(default="", description="what the network and recipe re-implement, for the model's card")
    task: str = Field(description="beat-2, beat-3, arrhythmia-5 or rhythm-3")
    data: DataConfig = DataConfig()
    input: InputConfig = InputConfig()
    model: ModelConfig
    training: TrainingConfig = TrainingConfig()
    compression: list[CompressionStep] = Field(default=[], description="steps after the training, in order")
    prevalence: dict[str, PrevalenceConfig] = Field(
        default={},
        description="classes whose logit gains log(prevalence / assumed), the prevalence being a running mean of "
        "what the network said of a recording's beats before",
    )
    export: ExportConfig = ExportConfig()
    seeds: Seeds = Field(default=[0], description="one run each")

    @field_validator("task")
    @classmethod
    def _task_exists(cls, name: str) -> str:
        get_task(name)
        return name

    @model_validator(mode="after")
    def _training_splits_make_a_track(self) -> Config:
        _ = self.track  # raises where they make none
        return self

    @model_validator(mode="after")
    def _moves_centred_frames_only(self) -> Config:
        augmentation = self.training.augmentation
        for name, moves in (("shift_s", augmentation.shift_s), ("stretch", augmentation.stretch)):
            if self.input.cut != "centred" and moves:
                raise UserError(
                    f"training.augmentation.{name} with input.cut {self.input.cut}: its frames cannot move",
                    "set it to 0",
                )
        return self

    @model_validator(mode="after")
    def _features_are_not_inverted(self) -> Config:
        if self.input.cut == "features" and self.training.augmentation.inverted_share:
            raise UserError(
                "training.augmentation.inverted_share with input.cut features, which would turn every feature's sign",
                "set it to 0, and for an inverted lead take the copy {gain: -1}",
            )
        return self

    @model_validator(mode="after")
    def _noise_finds_features(self) -> Config:
        if self.training.augmentation.features and not self.input.beat_features:
            raise UserError(
                "training.augmentation.features, but the configuration has no features beside a frame",
                "set it to 0; with input.cut features take white_mv",
            )
        return self

    @model_validator(mode="after")
    def _cut_fits_task(self) -> Config:
        if get_task(self.task).of_rhythm != (self.input.cut == "rhythm"):
            raise UserError(
                f"task {self.task} with input.cut {self.input.cut}",
                "rhythm tasks take cut: rhythm, beat tasks another",
            )
        return self

    @field_validator("compression")
    @classmethod
    def _steps_keep_what_was_done(cls, steps: list[CompressionStep]) -> list[CompressionStep]:
        check_order(steps)
        return steps

    @model_validator(mode="after")
    def _int16_is_not_rounded_to_8_bits(self) -> Config:
        if self.export.activations == "int16":
            if any(step.quantize_aware for step in self.compression):
                raise UserError(
                    "export.activations = int16 after quantize_aware, which rounds to 8 bits", "leave one out"
                )
            if self.export.calibration_method != "minmax":
                raise UserError(
                    f"export.activations = int16 with calibration_method = {self.export.calibration_method}, which is "
                    "for 8 bits",
                    "leave one out",
                )
        return self

    @model_validator(mode="after")
    def _numbers_match_classes(self) -> Config:
        training, classes = self.training, TASKS[self.task].classes
        given = {"sampling.shares": training.sampling.shares, "logit_offsets": training.logit_offsets}
        for key, numbers in given.items():
            if numbers is not None and len(numbers) != len(classes):
                raise UserError(
                    f"training.{key} has {len(numbers)} numbers, task {self.task} has {len(classes)} classes",
                    "give one number a class",
                )
        return self

    @model_validator(mode="after")
    def _prevalence_is_of_recordings(self) -> Config:
        for name, rule in self.prevalence.items():
            for known in (name, rule.of or name):
                look_up(dict.fromkeys(TASKS[self.task].classes), known, "class")
        if self.prevalence and (self.input.cut in ("r-peak", "rhythm") or self.track == "random"):
            raise UserError(
                "prevalence is followed over a recording's beats, one after the other; "
                f"input.cut is {self.input.cut}, the track {self.track}",
                "leave it out",
            )
        return self

    @model_validator(mode="after")
    def _irregular_is_known(self) -> Config:
        if self.training.sampling.irregular != 1 and "recurrence" not in self.input.rr_features:
            raise UserError(
                "training.sampling.irregular needs the R-R feature recurrence, which tells an irregular rhythm",
                "add it to input.rr_features",
            )
        return self

    @model_validator(mode="after")
    def _personalisation_is_chosen_on_patients(self) -> Config:
        if self.export.personalisation and (self.training.fold is None or self.track == "random"):
            raise UserError(
                "export.personalisation needs validation patients, on whom to choose how to adapt",
                "set training.fold and train on a split of patients",
            )
        return self

    @model_validator(mode="after")
    def _a_database_that_validates_leaves_another(self) -> Config:
        databases = sorted({get_split(name).database for name in self.data.train})
        if isinstance(self.training.fold, str) and (len(databases) == 1 or self.training.fold not in databases):
            raise UserError(
                f"training.fold = {self.training.fold}, but the training patients are of {' and '.join(databases)}",
                "take the number of a fold" if len(databases) == 1 else f"take one of {', '.join(databases)}",
            )
        return self

    @model_validator(mode="after")
    def _copies_are_of_other_people(self) -> Config:
        if self.training.copies and self.track == "random":
            raise UserError(
                "training.copies on the random split would hold copies of the beats that validate",
                "leave them out, or train on a split of patients",
            )
        return self

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise UserError(f"seeds = {seeds} names a seed twice", "name each once")
        return seeds

    @property
    def learnt_from(self) -> list[str]:
        """Every split whose people the weights have seen: ``data.train``, then what the pretrained network had."""
        pretrained = self.training.pretrained
        return list(dict.fromkeys([*self.data.train, *(pretrained.train if pretrained else [])]))

    @property
    def track(self) -> str:
        """The track, a key of :data:`heartzoo.data.splits.TRACKS`: strict, extended, ..., or a user's own."""
        return track(self.learnt_from)
