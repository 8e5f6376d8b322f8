"""The export's part of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heartzoo.config.section import Section

CalibrationMethod = Literal["minmax", "percentile", "mse"]
Activations = Literal["int8", "int16"]
Runtime = Literal["tflm", "reference", "xnnpack"]


# Recordings that are read as they come, by the classifier and by firmware.
LOWEST_HZ, HIGHEST_HZ = 100.0, 1000.0


class ExportConfig(Section):
    """Quantization and publication."""

    calibration_examples: Annotated[int, Field(ge=8, le=20_000)] = Field(
        default=500, description="training examples, drawn evenly over classes and patients, that set the int8 ranges"
    )
    calibration_seed: Annotated[int, Field(ge=0)] = Field(default=0, description="seed of their draw")
    calibration_method: CalibrationMethod = Field(
        default="minmax",
        description="how they set a range; minmax: all values; percentile: without 0.01 % beyond either end; "
        "mse: what loses least by rounding and clipping",
    )
    activations: Activations = Field(
        default="int8",
        description="int16: 16x8, activations of 16 bits, for networks that int8 harms; weights stay int8",
    )
    present_only: bool = Field(
        default=False,
        description="score the records at hand where others of a test split are not; every result lists its records",
    )
    least_coverage: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.9, description="share of the validation examples that the confidence threshold must keep"
    )
    robustness: bool = Field(
        default=False,
        description="publish how the int8 file does on the first test split with noise, another gain or sampling rate, "
        "an inverted lead and R peaks that are off",
    )
    personalisation: bool = Field(
        default=False,
        description="publish, as a track of its own, what the first five minutes of a record are worth, without labels "
        "and with them; how to adapt is chosen on validation patients",
    )
    end_to_end: bool = Field(
        default=False,
        description="publish also how the int8 file does on the test splits with the beats found by the detector "
        "instead of given",
    )
    firmware_hz: Annotated[float, Field(ge=LOWEST_HZ, le=HIGHEST_HZ)] | None = Field(
        default=None,
        description="publish also what the preprocessing of heartzoo firmware costs for recordings at this rate, Hz, "
        "on an emulated Cortex-M4F: needs the cross-compiler and the emulator",
    )
    runtime: Runtime | None = Field(
        default=None,
        description="what runs the int8 file on the test splits; default TFLite Micro. For networks that take it "
        "hours: another one; its agreement with TFLite Micro on the calibration examples is published then",
    )
