"""The configuration of a model: one strict tree, every default and unit stated once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from heartzoo.config.compression import CompressionStep, check_order
from heartzoo.config.section import Count, Fraction, NonNegative, Positive, Section
from heartzoo.data.rr import FEATURES
from heartzoo.data.splits import get_split, track
from heartzoo.errors import UserError, nearest
from heartzoo.tasks import TASKS, get_task


class DataConfig(Section):
    """Which recordings a model learns from and is tested on."""

    train: list[str] = Field(default=["ds1"], description="training splits; they decide the track")
    test: list[str] = Field(default=["ds2"], description="test splits, opened by export and evaluate only")
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
        track(self.train)
        if len(set(self.train)) < len(self.train):
            raise UserError(f"data.train = {self.train} names a split twice", "name each once")
        for name in self.test:
            if not get_split(name).test:
                raise UserError(f"data.test names the training split {name}", "test on a test split")
        return self


class InputConfig(Section):
    """The preprocessing contract: how a recording becomes the network's input."""

    cut: Literal["centred", "r-peak", "rhythm"] = Field(
        default="centred",
        description="centred: the beat at frame // 2, z-scored; r-peak, after Kachuee 2018: from the R peak on, 1.2 "
        "times the median R-R interval of its 10 s window, scaled to 0-1 by that window, then zeros; "
        "rhythm: frame after frame, z-scored, labelled by rhythm",
    )
    fs: Annotated[float, Field(ge=50.0, le=1000.0)] = Field(default=100.0, description="sampling rate, Hz")
    frame: Annotated[int, Field(ge=16, le=8192)] = Field(default=512, description="frame length, samples")
    highpass_hz: Annotated[float, Field(ge=0.05, le=5.0)] | None = Field(
        default=None, description="causal second-order Butterworth high-pass over the record, Hz; null for none"
    )
    epsilon: Positive = Field(default=0.01, description="mV added to a frame's standard deviation in its z-score")
    rr_features: list[str] = Field(default=[], description="R-R features, in the order of the network's second input")
    drowned_share: Fraction = Field(
        default=0.0,
        description="cut rhythm: fraction of a record's frames that are there once more, as noise, in databases that "
        "mark none themselves",
    )
    drowned_snr_db: tuple[float, float] = Field(
        default=(-12.0, -6.0), description="signal-to-noise ratio of those frames, a range, dB; the noise is nstdb's"
    )

    @model_validator(mode="after")
    def _rhythm_frames_hold_many_beats(self) -> InputConfig:
        if self.cut == "rhythm" and self.rr_features:
            raise UserError("input.rr_features with input.cut rhythm: a frame holds many beats", "leave one out")
        return self

    @model_validator(mode="after")
    def _window_scale_needs_no_highpass(self) -> InputConfig:
        if self.cut == "r-peak" and self.highpass_hz is not None:
            raise UserError("input.highpass_hz with input.cut r-peak, which scales raw windows", "leave one out")
        return self

    @field_validator("rr_features")
    @classmethod
    def _features_exist(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in FEATURES:
                raise UserError(f"unknown R-R feature {name!r} in input.rr_features", nearest(name, FEATURES))
        return names


class ModelConfig(Section):
    """The network: a registered architecture and its sizes."""

    architecture: str = Field(description="name of a registered architecture")
    sizes: dict[str, int | float | str | list[int]] = Field(default={}, description="its sizes; each has a default")
    widths: dict[str, Count] = Field(
        default={}, description="channels of single layers, fewer than the sizes give; prune_channels finds them"
    )


class SamplingConfig(Section):
    """How training batches are drawn."""

    by: Literal["example", "class", "patient", "class-example"] = Field(
        default="class",
        description="example: every beat alike; class: class by shares, then a patient that has it, then a beat; "
        "patient: patient, then class by shares among those it has, then a beat; "
        "class-example: class by shares, then one of its beats (a weighted random sampler)",
    )
    shares: list[Positive] | None = Field(default=None, description="relative class shares; default equal")


class AugmentationConfig(Section):
    """Random changes of training frames, drawn anew for every frame before normalisation; 0 or null leaves one out."""

    amplitude: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(default=0.0, description="scaled by 1 - a ... 1 + a")
    shift_s: Annotated[float, Field(ge=0.0, le=1.0)] = Field(default=0.0, description="moved by at most this, s")
    wander_mv: NonNegative = Field(
        default=0.0, description="baseline wander, a 0.05-0.7 Hz sine of at most this amplitude, mV"
    )
    muscle_mv: NonNegative = Field(default=0.0, description="noise above 10 Hz of at most this root mean square, mV")
    white_mv: NonNegative = Field(default=0.0, description="white noise of at most this root mean square, mV")
    nstdb_snr_db: tuple[float, float] | None = Field(
        default=None, description="real bw and ma noise (first half of nstdb's recordings) at an SNR in this range, dB"
    )
    nstdb_share: Fraction = Field(default=0.5, description="fraction of the frames that get nstdb noise")

    @field_validator("nstdb_snr_db")
    @classmethod
    def _low_to_high(cls, range_db: tuple[float, float] | None) -> tuple[float, float] | None:
        if range_db and range_db[0] > range_db[1]:
            raise UserError(f"augmentation.nstdb_snr_db = {list(range_db)} runs from high to low", "swap its ends")
        return range_db


class ScheduleConfig(Section):
    """Learning rate over training steps."""

    kind: Literal["constant", "cosine", "cosine-restarts", "exponential", "step", "plateau"] = Field(
        default="cosine",
        description="shape; exponential: smoothly by decay_factor in decay_epochs; step: by decay_factor after every "
        "decay_epochs; plateau: by decay_factor after decay_epochs without a better value of early_stopping.metric",
    )
    first_restart_epochs: Count = Field(default=10, description="length of the first cosine period, epochs (restarts)")
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
    decay_epochs: Count = Field(
        default=10, description="epochs from one decay to the next (exponential, step, plateau)"
    )


class EarlyStoppingConfig(Section):
    """When training ends before its last epoch, and which epoch's weights are kept."""

    metric: Literal["val_loss", "val_macro_f1", "val_accuracy", "val_mean_recall"] = Field(
        default="val_loss", description="what is watched"
    )
    min_delta: NonNegative = Field(default=0.0, description="a value counts as better if it is by more than this")
    patience: Count = Field(default=20, description="epochs without improvement before training ends")


class TrainingConfig(Section):
    """The recipe."""

    epochs: Count = Field(default=50, description="most epochs")
    steps_per_epoch: Count = Field(default=50, description="batches in an epoch")
    batch_size: Count = Field(default=256, description="examples in a batch")
    loss: Literal["cross-entropy", "weighted", "focal"] = Field(
        default="cross-entropy",
        description="weighted and focal weigh classes inversely to how often they are drawn",
    )
    focal_gamma: NonNegative = Field(default=2.0, description="focusing exponent of the focal loss")
    optimizer: Literal["adam", "adamw"] = Field(default="adam", description="adamw decays weights, adam does not")
    weight_decay: NonNegative = Field(default=0.0, description="decoupled weight decay (adamw)")
    learning_rate: Positive = Field(default=1e-3, description="first learning rate")
    schedule: ScheduleConfig = ScheduleConfig()
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    sampling: SamplingConfig = SamplingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    folds: Annotated[int, Field(ge=2, le=50)] = Field(
        default=5, description="patient-grouped folds of the training data"
    )
    fold: Annotated[int, Field(ge=0)] | None = Field(
        default=0, description="the fold that validates; null: everybody trains and the last epoch is kept"
    )

    @model_validator(mode="after")
    def _decays_by_adamw(self) -> TrainingConfig:
        if self.weight_decay and self.optimizer != "adamw":
            raise UserError(
                f"training.weight_decay = {self.weight_decay:g} with optimizer {self.optimizer}, which has none",
                "take optimizer: adamw",
            )
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> TrainingConfig:
        if self.fold is not None and self.fold >= self.folds:
            raise UserError(
                f"training.fold = {self.fold}, but there are {self.folds} folds", f"take 0 to {self.folds - 1}"
            )
        return self


class ExportConfig(Section):
    """Quantization and publication."""

    calibration_examples: Annotated[int, Field(ge=8, le=20_000)] = Field(
        default=500, description="training examples, drawn evenly over classes and patients, that set the int8 ranges"
    )
    calibration_seed: Annotated[int, Field(ge=0)] = Field(default=0, description="seed of their draw")
    calibration_method: Literal["minmax", "percentile", "mse"] = Field(
        default="minmax",
        description="how they set a range; minmax: all values; percentile: without 0.01 % beyond either end; "
        "mse: what loses least by rounding and clipping",
    )
    activations: Literal["int8", "int16"] = Field(
        default="int8",
        description="int16: 16x8, activations of 16 bits, for networks that int8 harms; weights stay int8",
    )
    runtime: Literal["tflm", "reference", "xnnpack"] | None = Field(
        default=None,
        description="what runs the int8 file on the test splits; default TFLite Micro. For networks that take it "
        "hours: another one; its agreement with TFLite Micro on the calibration examples is published then",
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
    export: ExportConfig = ExportConfig()
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        default=[0], description="one run each"
    )

    @field_validator("task")
    @classmethod
    def _task_exists(cls, name: str) -> str:
        get_task(name)
        return name

    @model_validator(mode="after")
    def _shifts_centred_frames_only(self) -> Config:
        if self.input.cut != "centred" and self.training.augmentation.shift_s:
            raise UserError(
                f"training.augmentation.shift_s with input.cut {self.input.cut}: its frames cannot move", "set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _cut_fits_task(self) -> Config:
        if get_task(self.task).of_rhythm != (self.input.cut == "rhythm"):
            raise UserError(
                f"task {self.task} with input.cut {self.input.cut}",
                "rhythm tasks take cut: rhythm, beat tasks centred or r-peak",
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
    def _shares_match_classes(self) -> Config:
        shares, classes = self.training.sampling.shares, TASKS[self.task].classes
        if shares is not None and len(shares) != len(classes):
            raise UserError(
                f"training.sampling.shares has {len(shares)} numbers, task {self.task} has {len(classes)} classes",
                "give one share a class",
            )
        return self

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise UserError(f"seeds = {seeds} names a seed twice", "name each once")
        return seeds

    @property
    def track(self) -> str:
        """The track: strict, extended, icentia, random or synthetic."""
        return track(self.data.train)
