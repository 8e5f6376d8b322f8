"""Which channels go, so that a network meets its budgets.

References:
    Li et al. 2017, Pruning Filters for Efficient ConvNets (ICLR): the importance of a channel is the L1 norm of the
    weights that make it, here after batch normalisation, as a share of what is left of its layer.
    Molchanov et al. 2017, Pruning Convolutional Neural Networks for Resource Efficient Inference (arXiv:1611.06440):
    importance is weighed against what a channel costs, here against what its removal takes off the budgets that are not
    met yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from heartzoo.compression.fake_quantization import scale_and_shift
from heartzoo.errors import UserError
from heartzoo.models.channels import Groups, find_groups, narrow

# Estimates are corrected by what was measured on what they led to, so many times.
_ROUNDS = 6


@dataclass(frozen=True)
class Bound:
    """A budget.

    Attributes:
        name: the setting it comes from.
        most: what is allowed.
        measure: what a network has.
        estimates: widths of the groups, ``(..., groups)`` -> ``(..., n)`` estimates, all of which count; right but for
            a constant.
    """

    name: str
    most: float
    measure: Callable[[keras.Model], float]
    estimates: Callable[[np.ndarray], np.ndarray]

    def excess(self, widths: np.ndarray, beside: float) -> np.ndarray:
        """By how much the estimates, with what comes beside them, exceed the budget; shape ``(...)``."""
        over = self.estimates(widths) + beside - self.most
        return np.sum(np.maximum(over, 0), axis=-1)


def choose_channels(model: keras.Model, budgets: Sequence[Bound], smallest: float) -> dict[str, np.ndarray]:
    """Remove unimportant channels where it helps a budget, until all are met.

    Args:
        model: the network.
        budgets: what it must come to.
        smallest: fraction of its channels that every group keeps at least, and at least one.

    Returns:
        Group -> which of its channels stay, boolean.

    Raises:
        UserError: its smallest form does not meet a budget.
    """
    require_reachable(model, budgets, smallest)
    groups = find_groups(model)
    importances = [_group_importance(model, groups, name) for name in groups.sizes]
    sizes = np.array(list(groups.sizes.values()))
    floor = np.array([_floor(size, smallest) for size in sizes])

    def keep(widths: np.ndarray) -> dict[str, np.ndarray]:
        ranks = (np.argsort(np.argsort(-importance, kind="stable")) for importance in importances)
        return {name: rank < width for name, rank, width in zip(groups.sizes, ranks, widths, strict=True)}

    def beside(widths: np.ndarray) -> tuple[list[float], bool]:
        network = narrow(model, keep(widths))
        measured = [bound.measure(network) for bound in budgets]
        estimated = [float(bound.estimates(widths).max()) for bound in budgets]
        met = all(value <= bound.most for value, bound in zip(measured, budgets, strict=True))
        return [value - estimate for value, estimate in zip(measured, estimated, strict=True)], met

    widths = sizes
    corrections, met = beside(widths)
    found = widths if met else floor
    tried = {tuple(widths)}
    for _ in range(_ROUNDS):
        widths = _narrowed(importances, sizes, floor, budgets, corrections)
        if tuple(widths) in tried:
            break
        tried.add(tuple(widths))
        corrections, met = beside(widths)
        if met and widths.sum() > found.sum():
            found = widths
    if found is floor:  # the estimates misled; between where they led and the smallest form lies one that will do
        for _ in range(_ROUNDS):
            between = (found + widths) // 2
            if (between == found).all():
                break
            if beside(between)[1]:
                found = between
            else:
                widths = between
    return keep(found)


def require_reachable(model: keras.Model, budgets: Sequence[Bound], smallest: float) -> None:
    """Refuse budgets that the smallest form of a network, which its weights do not matter for, does not meet.

    Raises:
        UserError: such a budget; it says what can be met.
    """
    sizes = find_groups(model).sizes
    narrowest = narrow(model, {name: np.arange(size) < _floor(size, smallest) for name, size in sizes.items()})
    for bound in budgets:
        if (nearest := bound.measure(narrowest)) > bound.most:
            raise UserError(
                f"prune_channels cannot reach {bound.name} <= {bound.most:,.0f}: at its smallest it has {nearest:,.0f}",
                f"allow {nearest:,.0f}, lower prune_channels.smallest, or begin with a smaller network",
            )


def _floor(size: int, smallest: float) -> int:
    return max(1, math.ceil(smallest * size))


def _narrowed(
    importances: list[np.ndarray],
    sizes: np.ndarray,
    floor: np.ndarray,
    budgets: Sequence[Bound],
    corrections: list[float],
) -> np.ndarray:
    """Take channel after channel, always that of the least share of importance for its share of the excess."""
    widths = sizes.copy()
    ascending = [np.sort(importance) for importance in importances]
    one_less = np.eye(len(sizes), dtype=int)
    while True:
        gains = np.zeros(len(sizes))
        for bound, correction in zip(budgets, corrections, strict=True):
            if excess := bound.excess(widths, correction):
                gains += (excess - bound.excess(widths - one_less, correction)) / excess
        useful = (gains > 0) & (widths > floor)
        if not useful.any():
            return widths
        left = [norms[-width:] for norms, width in zip(ascending, widths, strict=True)]
        shares = np.array([norms[0] / max(norms.sum(), 1e-12) for norms in left])
        widths[np.argmin(np.where(useful, shares / np.maximum(gains, 1e-12), np.inf))] -= 1


def _group_importance(model: keras.Model, groups: Groups, name: str) -> np.ndarray:
    found: np.ndarray = np.mean([_importance(model, maker) for maker in groups.makers[name]], axis=0)
    return found


def _importance(model: keras.Model, maker: str) -> np.ndarray:
    """L1 norm of the weights that make each channel, as its batch normalisation scales them; shape (channels,)."""
    layer = model.get_layer(maker)
    norms: np.ndarray = np.abs(layer.get_weights()[0]).reshape(-1, layer.output.shape[-1]).sum(axis=0)
    for after in model.layers:
        if isinstance(after, layers.BatchNormalization) and after.input is layer.output:
            norms = norms * np.abs(scale_and_shift(after)[0])
    return norms
