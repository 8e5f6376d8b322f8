"""What a model and its making cost, as ``metrics.json`` has it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heartzoo.metrics_file.figures import Name
from heartzoo.schema import Count, Fraction, StrictModel


class CoreCost(StrictModel):
    """What the preprocessing of ``heartzoo firmware`` costs on one core.

    ``instructions_per_second`` are for a second of ECG, counted on an emulated board; ``flash_bytes`` are without the C
    library; ``stack_bytes`` is its deepest stack.
    """

    instructions_per_second: Count
    flash_bytes: Count
    stack_bytes: Count


class Preprocessing(CoreCost):
    """What the preprocessing costs on a Cortex-M4F, for recordings of ``recording_hz``; ``ram_bytes`` is its state.

    Beside it, on a ``cortex_m0plus``, which has no floating-point unit; left out by versions of before.
    """

    recording_hz: Count
    ram_bytes: Count
    cortex_m0plus: CoreCost | None = None


class Cost(StrictModel):
    """What the model costs.

    ``parameters`` counts the registered float architecture before folding, ``macs`` the multiply-accumulates of one
    inference. ``arena_bytes`` is the smallest arena in which the tflite-micro wheel makes the model ready on a 64-bit
    host; of older versions what stays allocated then, which is less for a very small network. It is left out where that
    wheel does not exist (anywhere but Linux x86-64).
    """

    parameters: Count
    nonzero_parameters: Count
    macs: Count
    tflite_bytes: Count
    keras_bytes: Count
    arena_bytes: Count | None = None
    operators: dict[Name, Count]
    preprocessing: Preprocessing | None = None


class AblationRow(StrictModel):
    """The network after one stage of its making: what the stage bought and what it cost.

    ``stage`` is ``train`` or a compression technique. ``metric`` on ``split`` is given for each seed, of the float
    network (not after ``quantize_aware``, which leaves it as it was) and of its int8 (16x8) file. The costs are those
    of the shipped seed's file, ``parameters`` those of its float network; ``gzip_bytes`` is the file compressed.
    """

    stage: Name
    split: Name
    metric: Name
    float32: dict[int, Fraction] | None = None
    int8: Annotated[dict[int, Fraction], Field(min_length=1)]
    parameters: Count
    nonzero_parameters: Count
    macs: Count
    tflite_bytes: Count
    gzip_bytes: Count
    arena_bytes: Count | None = None
    operators: Count
