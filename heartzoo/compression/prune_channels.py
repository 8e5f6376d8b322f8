"""Structured pruning: channels are removed, so that the network itself is smaller, and it trains on.

References:
    Li et al. 2017, Pruning Filters for Efficient ConvNets (ICLR): the importance of a channel is the L1 norm of the
    weights that make it, here after batch normalisation, relative to its layer's mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from heartzoo import recipes
from heartzoo.compression.calibration import Activations
from heartzoo.compression.distill import distiller, taught_outputs
from heartzoo.compression.fake_quantization import quantized
from heartzoo.compression.step import Step
from heartzoo.config.compression import PruneChannelsConfig
from heartzoo.errors import UserError
from heartzoo.files import write_json
from heartzoo.flatbuffer import unpack
from heartzoo.models.channels import Groups, find_groups, macs, narrow
from heartzoo.progress import console
from heartzoo.training import Stage

# They set the ranges of trial conversions.
TRIAL_FRAMES = 8


@dataclass(frozen=True)
class Bound:
    """A budget: what it bounds, the most that is allowed, and how it is measured."""

    name: str
    most: float
    measure: Callable[[keras.Model], float]


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
        found = json.loads(path.read_text())
        return {name: np.array(mask, bool) for name, mask in found.items()}
    later = any(later.quantize_aware for later in step.config.compression)
    aware = later or step.config.export.calibration_method != "minmax"
    budgets = bounds(settings, whole, aware, step.config.export.activations)
    keep = choose_channels(whole, budgets, settings.smallest)
    write_json(path, {name: mask.astype(int).tolist() for name, mask in keep.items()})
    removed, all_ = sum(int((~mask).sum()) for mask in keep.values()), sum(mask.size for mask in keep.values())
    console.print(
        f"{step.title('prune_channels')}: {removed} of {all_} channels removed, "
        f"{macs(narrow(whole, keep)):,} of {macs(whole):,} multiply-accumulates left"
    )
    return keep


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
    found = []
    if settings.macs is not None:
        most = settings.macs * macs(whole) if settings.macs < 1 else settings.macs
        found.append(Bound("macs", most, macs))

    def trial(model: keras.Model) -> bytes:
        return _trial(model, aware, activations)

    if settings.flash_bytes is not None:
        found.append(Bound("flash_bytes", settings.flash_bytes, lambda model: _flash(trial(model))))
    if settings.arena_bytes is not None:
        found.append(Bound("arena_bytes", settings.arena_bytes, lambda model: _arena(trial(model))))
    return found


def check_macs(settings: PruneChannelsConfig, model: keras.Model) -> None:
    """Refuse a budget of multiply-accumulates that the network cannot meet, whatever it learns.

    Raises:
        UserError: such a budget.
    """
    only = settings.model_copy(update={"flash_bytes": None, "arena_bytes": None})
    choose_channels(model, bounds(only, model), settings.smallest)


def _trial(model: keras.Model, aware: bool, activations: Activations) -> bytes:
    """The file of a network, its ranges set by noise."""
    from heartzoo.quantization import to_tflite

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
    from heartzoo.runtime import arena_bytes

    found = arena_bytes(content)
    if found is None:
        raise UserError("prune_channels.arena_bytes needs TFLite Micro, which is not installed", "bound macs instead")
    return found


def choose_channels(model: keras.Model, budgets: list[Bound], smallest: float) -> dict[str, np.ndarray]:
    """Remove the least important channels, as few as the budgets allow.

    Args:
        model: the network.
        budgets: what it must come to.
        smallest: fraction of its channels that every group keeps at least, and at least one.

    Returns:
        Group -> which of its channels stay, boolean.

    Raises:
        UserError: its smallest form does not meet a budget.
    """
    groups = find_groups(model)
    order = _order(model, groups, smallest)

    def without(count: int) -> dict[str, np.ndarray]:
        keep = {name: np.ones(size, bool) for name, size in groups.sizes.items()}
        for name, channel in order[:count]:
            keep[name][channel] = False
        return keep

    def excess(count: int) -> Bound | None:
        narrower = narrow(model, without(count))
        return next((bound for bound in budgets if bound.measure(narrower) > bound.most), None)

    low, high = 0, len(order)
    if bound := excess(high):
        nearest = bound.measure(narrow(model, without(high)))
        raise UserError(
            f"prune_channels cannot reach {bound.name} <= {bound.most:,.0f}: at its smallest it has {nearest:,.0f}",
            f"allow {nearest:,.0f}, lower prune_channels.smallest, or begin with a smaller network",
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if excess(middle) else (low, middle)
    return without(high)


def _order(model: keras.Model, groups: Groups, smallest: float) -> list[tuple[str, int]]:
    """(group, channel) of every channel that may go, the least important first."""
    ranked = []
    for name, size in groups.sizes.items():
        importance = np.mean([_importance(model, maker) for maker in groups.makers[name]], axis=0)
        importance = importance / max(importance.mean(), 1e-12)
        stay = max(1, int(np.ceil(smallest * size)))
        ranked += [(importance[channel], name, int(channel)) for channel in np.argsort(importance)[: size - stay]]
    return [(name, channel) for _, name, channel in sorted(ranked)]


def _importance(model: keras.Model, maker: str) -> np.ndarray:
    """L1 norm of the weights that make each channel, as its batch normalisation scales them; shape (channels,)."""
    layer = model.get_layer(maker)
    norms: np.ndarray = np.abs(layer.get_weights()[0]).reshape(-1, layer.output.shape[-1]).sum(axis=0)
    for after in model.layers:
        if isinstance(after, layers.BatchNormalization) and after.input is layer.output:
            norms = norms * np.abs(after.gamma) / np.sqrt(np.asarray(after.moving_variance) + after.epsilon)
    return norms
