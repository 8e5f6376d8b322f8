"""What a network costs as a function of its channels, estimated without building it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from heartzoo.models.channels import Groups, Spec, is_free_norm

# The converter writes them into the tensor that they read, or into the operator before them.
_IN_PLACE = (layers.ReLU, layers.Dropout, layers.Reshape, layers.Flatten, layers.Identity)
_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
_KERNELS = (*_CONVOLUTIONS, layers.Dense)
# A bias and the scales of an output channel's weights and bias.
_BYTES_PER_OUTPUT = 12
# TFLite Micro keeps a multiplier and a shift for each output channel of a convolution.
_KEPT_PER_OUTPUT = 8


@dataclass(frozen=True)
class _Widths:
    """Channels of several axes, linear in those of the groups: ``fixed + free @ widths``."""

    fixed: np.ndarray
    free: np.ndarray

    def __call__(self, widths: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.fixed + widths @ self.free.T
        return found


class ChannelCosts:
    """Estimates for a network and any widths of its groups.

    Widths are arrays of shape ``(..., groups)``, in the order of ``Groups.sizes``.

    Args:
        model: the network.
        groups: what :func:`heartzoo.models.channels.find_groups` says of it.
    """

    def __init__(self, model: keras.Model, groups: Groups) -> None:
        self._groups = list(groups.sizes)
        working = [layer for layer in model.layers if is_free_norm(layer) or isinstance(layer, _KERNELS)]
        by_channel = [not isinstance(layer, layers.Conv2D | layers.Dense) for layer in working]
        one: Spec = ((None, 1),)
        inputs = [one if alone else groups.inputs[w.name] for w, alone in zip(working, by_channel, strict=True)]
        self._inputs = self._widths(inputs)
        self._outputs = self._widths([groups.outputs[layer.name] for layer in working])
        self._kernels = np.array([_kernel(layer) for layer in working])
        self._convolutions = np.array([isinstance(layer, _CONVOLUTIONS) for layer in working])
        self._places = np.array([math.prod(layer.output.shape[1:-1]) for layer in working])
        self._set_tensors(model, groups)

    def macs(self, widths: np.ndarray) -> np.ndarray:
        """Multiply-accumulates, shape ``(..., 1)``; exact."""
        work = self._places * self._kernels * self._inputs(widths) * self._outputs(widths)
        return np.sum(work, axis=-1, keepdims=True)

    def weight_bytes(self, widths: np.ndarray) -> np.ndarray:
        """Bytes of int8 weights and what comes with them, shape ``(..., 1)``; the file has more."""
        outputs = self._outputs(widths)
        return np.sum((self._kernels * self._inputs(widths) + _BYTES_PER_OUTPUT) * outputs, axis=-1, keepdims=True)

    def arena_bytes(self, widths: np.ndarray, activation_bytes: int = 1) -> np.ndarray:
        """Bytes in memory at each layer that channels make: activations, and what kernels keep for each output.

        Args:
            widths: of the groups.
            activation_bytes: of one activation, 1 or 2.

        Returns:
            Shape ``(..., layers)``; the arena holds more.
        """
        live: np.ndarray = (activation_bytes * self._cells * self._tensors(widths)) @ self._alive
        return live + _KEPT_PER_OUTPUT * np.sum(self._convolutions * self._outputs(widths), axis=-1, keepdims=True)

    def _widths(self, specs: list[Spec]) -> _Widths:
        fixed = [sum(size for group, size in spec if group is None) for spec in specs]
        free = [[sum(name == group for name, _ in spec) for group in self._groups] for spec in specs]
        return _Widths(np.array(fixed), np.array(free).reshape(len(specs), len(self._groups)))

    def _set_tensors(self, model: keras.Model, groups: Groups) -> None:
        """Which tensors there are, and which of them are in memory at each layer."""
        index: dict[int, int] = {}
        specs: list[Spec] = []
        cells: list[int] = []
        reads: list[list[int]] = []
        writes: list[int] = []
        for layer in model.layers:
            before = [] if isinstance(layer, layers.InputLayer) else [index[id(x)] for x in _inputs(layer)]
            if before and _in_place(layer):
                index[id(layer.output)] = before[0]
            else:
                index[id(layer.output)] = len(specs)
                specs.append(groups.outputs[layer.name])
                cells.append(math.prod(layer.output.shape[1:-1]))
            reads.append(before)
            writes.append(index[id(layer.output)])
        for tensor in model.outputs:
            reads[-1].append(index[id(tensor)])
        alive = np.zeros((len(specs), len(reads)), bool)
        for tensor in range(len(specs)):
            steps = [step for step, used in enumerate(reads) if tensor in used] + [writes.index(tensor)]
            first = 0 if isinstance(model.layers[writes.index(tensor)], layers.InputLayer) else min(steps)
            alive[tensor, first : max(steps) + 1] = True
        self._tensors, self._cells, self._alive = self._widths(specs), np.array(cells), alive


def _kernel(layer: keras.Layer) -> float:
    """Weights of a layer for each pair of its channels, or for each channel."""
    match layer:
        case layers.Conv2D():
            return math.prod(layer.kernel_size) / layer.groups
        case layers.DepthwiseConv2D():
            return math.prod(layer.kernel_size)
    return 1


def _inputs(layer: keras.Layer) -> list[keras.KerasTensor]:
    tensors: list[keras.KerasTensor] = keras.tree.flatten(layer.input)
    return tensors


def _in_place(layer: keras.Layer) -> bool:
    if isinstance(layer, layers.Activation):
        return layer.activation is keras.activations.relu
    return isinstance(layer, _IN_PLACE) or (isinstance(layer, layers.BatchNormalization) and not is_free_norm(layer))
