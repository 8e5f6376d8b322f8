"""Structured pruning: channels are removed, so that the network itself is smaller, and it trains on."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np

from heartzoo import recipes
from heartzoo.compression.channel_costs import ChannelCosts
from heartzoo.compression.channel_search import Bound, choose_channels, require_reachable
from heartzoo.compression.distill import distiller, taught_outputs
from heartzoo.compression.fake_quantization import quantized
from heartzoo.compression.step import Step
from heartzoo.config import Config
from heartzoo.config.compression import PruneChannelsConfig
from heartzoo.config.export import Activations
from heartzoo.errors import UserError
from heartzoo.files import read_json, write_json
from heartzoo.flatbuffer import unpack
from heartzoo.models.channels import find_groups, macs, narrow
from heartzoo.progress import console
from heartzoo.training import Stage

# They set the ranges of trial conversions.
TRIAL_FRAMES = 8


def prune_channels_stage(settings: PruneChannelsConfig, step: Step) -> Stage:
    """The training of a network without its least important channels, with the whole network as teacher.

    Raises:
        UserError: a budget cannot be met.
    """
    whole = step.network()
    keep = _kept(settings, step, whole)
    beside = taught_outputs(step, [whole])
    batches = step.data.batches(step.seed, beside)
    return Stage(
        title=step.title("prune_channels"),
        plan=step.plan,
        network=lambda: narrow(whole, keep),
        loss=recipes.loss(step.plan.recipe, batches.class_shares),
        batches=batches,
        fitted=lambda network: distiller(network, beside, settings.temperature, settings.alpha),
    )


def _kept(settings: PruneChannelsConfig, step: Step, whole: keras.Model) -> dict[str, np.ndarray]:
    """Which channels stay: found once and kept in the step's folder."""
    path = step.plan.folder / "channels.json"
    if path.is_file():
        found = read_json(path)
        return {name: np.array(mask, bool) for name, mask in found.items()}
    keep = choose_channels(whole, _budgets(settings, step.config, whole), settings.smallest)
    write_json(path, {name: mask.astype(int).tolist() for name, mask in keep.items()})
    removed, all_ = sum(int((~mask).sum()) for mask in keep.values()), sum(mask.size for mask in keep.values())
    console.print(
        f"{step.title('prune_channels')}: {removed} of {all_} channels removed, "
        f"{macs(narrow(whole, keep)):,} of {macs(whole):,} multiply-accumulates left"
    )
    return keep


def check_budgets(settings: PruneChannelsConfig, config: Config, model: keras.Model) -> None:
    """Refuse budgets that the network cannot meet, whatever it learns.

    Raises:
        UserError: such a budget.
    """
    require_reachable(model, _budgets(settings, config, model), settings.smallest)


def _budgets(settings: PruneChannelsConfig, config: Config, whole: keras.Model) -> list[Bound]:
    exact_ranges = config.export.calibration_method == "minmax"
    return bounds(settings, whole, not exact_ranges or ends_aware(config), config.export.activations)


def ends_aware(config: Config) -> bool:
    """Whether a step trains for int8, whose file is some bytes larger or smaller than a converted one."""
    return any(step.quantize_aware for step in config.compression)


def bounds(
    settings: PruneChannelsConfig, whole: keras.Model, aware: bool = False, activations: Activations = "int8"
) -> list[Bound]:
    """The budgets of a configuration, for one network.

    Args:
        settings: the step's settings.
        whole: the network; a fraction of multiply-accumulates is one of its own.
        aware: measure the int8 file as quantization-aware training makes it, which is some bytes larger or smaller.
        activations: of the file.
    """
    costs = ChannelCosts(whole, find_groups(whole))
    found = []
    if settings.macs is not None:
        most = settings.macs * macs(whole) if settings.macs < 1 else settings.macs
        found.append(Bound("macs", most, macs, costs.macs))

    def flash(model: keras.Model) -> float:
        return _flash(_trial(_distinct(model), aware, activations))

    def arena(model: keras.Model) -> float:
        return _arena(_trial(_alive(model), aware, activations))

    if settings.flash_bytes is not None:
        found.append(Bound("flash_bytes", settings.flash_bytes, flash, costs.weight_bytes))
    if settings.arena_bytes is not None:
        wide = 2 if activations == "int16" else 1

        def estimates(widths: np.ndarray) -> np.ndarray:
            return costs.arena_bytes(widths, wide)

        found.append(Bound("arena_bytes", settings.arena_bytes, arena, estimates))
    return found


def _alive(model: keras.Model) -> keras.Model:
    """The network with positive weights: TFLite Micro cannot run one whose channels are dead, as few may all be.

    They are random, since tensors of one range, as all would have otherwise, spare the converter requantizations.
    """
    rng = np.random.default_rng(0)
    sizes = (0.1 if w.ndim == 1 else 1 / math.prod(w.shape[:-1]) for w in model.get_weights())
    return _with_weights(model, lambda w: next(sizes) * rng.uniform(0.5, 1.5, w.shape))


def _distinct(model: keras.Model) -> keras.Model:
    """The network with no two weights alike: equal constants, as the biases before the training, are written once."""
    rng = np.random.default_rng(0)
    return _with_weights(model, lambda w: w + rng.uniform(0, 1e-3, w.shape))


def _with_weights(model: keras.Model, change: Callable[[np.ndarray], np.ndarray]) -> keras.Model:
    twin = keras.models.clone_model(model)
    twin.set_weights([change(weights) for weights in model.get_weights()])
    return twin


def _trial(model: keras.Model, aware: bool, activations: Activations) -> bytes:
    """The file of a network, its ranges set by noise."""
    from heartzoo.compression.quantization import to_tflite

    rng = np.random.default_rng(0)
    frames = {
        tensor.name: rng.normal(size=(TRIAL_FRAMES, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs
    }
    return to_tflite(quantized(model, frames) if aware else model, frames, activations=activations)


def _flash(content: bytes) -> float:
    """The size of the largest file that the network can become with other ranges."""
    quantizations = [tensor.quantization for tensor in unpack(content).subgraphs[0].tensors]
    points = [int(q.zeroPoint[0]) for q in quantizations if q is not None and q.zeroPoint is not None]
    # Equal zero points are written once, in 16 bytes; those of -128 and 0 stay equal, as they follow a ReLU or weights.
    varying = [point for point in points if point not in (-128, 0)]
    return len(content) + 16 * (len(varying) - len(set(varying)))


def _arena(content: bytes) -> float:
    from heartzoo.interpreters import smallest_arena_bytes

    found = smallest_arena_bytes(content)
    if found is None:
        raise UserError("prune_channels.arena_bytes needs TFLite Micro, which is not installed", "bound macs instead")
    return found
