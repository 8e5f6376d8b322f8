"""Quantization-aware training: int8's rounding inside the network while it trains on. TensorFlow only.

References:
    Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (CVPR).
"""

from __future__ import annotations

from heartzoo import recipes
from heartzoo.compression.distill import distiller, taught_outputs
from heartzoo.compression.fake_quantization import quantized
from heartzoo.compression.step import Step
from heartzoo.config.compression import QuantizeAwareConfig
from heartzoo.training import Stage


def quantize_aware_stage(settings: QuantizeAwareConfig, step: Step) -> Stage:
    """The training of a network that rounds as its int8 file will, with the network before as teacher.

    Raises:
        UserError: the network is recurrent, or Keras runs on another backend than TensorFlow.
    """
    before = step.network()
    beside = taught_outputs(step, [before])
    batches = step.data.batches(step.seed, beside)
    return Stage(
        title=step.title("quantize_aware"),
        plan=step.plan,
        network=lambda: quantized(
            before, step.data.inputs(step.data.calibration()), step.config.export.calibration_method
        ),
        loss=recipes.loss(step.plan.recipe, batches.class_shares),
        batches=batches,
        fitted=lambda network: distiller(network, beside, settings.temperature, settings.alpha),
    )
