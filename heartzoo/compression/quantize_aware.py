"""Quantization-aware training: int8's rounding inside the network while it trains on. TensorFlow only.

References:
    Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (CVPR).
"""

from __future__ import annotations

import keras

from heartzoo import recipes
from heartzoo.compression.distill import distiller, taught_outputs
from heartzoo.compression.prune_weights import KeepZeros
from heartzoo.compression.rounding import quantized, refuse_recurrent
from heartzoo.compression.step import Step
from heartzoo.config.compression import QuantizeAwareConfig
from heartzoo.errors import UserError
from heartzoo.training import Stage


def quantize_aware_stage(settings: QuantizeAwareConfig, step: Step) -> Stage:
    """The training of a network that rounds as its int8 file will, with the network before as teacher.

    Raises:
        UserError: the network is recurrent, or Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"quantize_aware needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}",
            "run it without KERAS_BACKEND",
        )
    before = step.network()
    refuse_recurrent(before)
    pruned = any(done.prune_weights for done in step.config.compression)
    beside = taught_outputs(step, [before])
    batches = step.data.batches(step.seed, beside)
    return Stage(
        title=step.title("quantize_aware"),
        folder=step.folder,
        recipe=step.recipe,
        network=lambda: quantized(before, step.data.inputs(step.data.calibration())),
        loss=recipes.loss(step.recipe, batches.class_shares),
        batches=batches,
        fitted=lambda network: distiller(network, beside, settings.temperature, settings.alpha),
        callbacks=lambda network: [KeepZeros(network)] if pruned else [],
    )
