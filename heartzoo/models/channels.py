"""Which layers of a network share channels, and the same network with fewer of them.

Channels that are added to one another, as in a residual block, can only go together: they make one group, named after
the layer that makes the first of what is added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers

from heartzoo.errors import UserError, nearest

# Channel by channel: what comes out of one channel depends on that channel only.
_CHANNELWISE = (
    layers.DepthwiseConv2D,
    layers.BatchNormalization,
    layers.ReLU,
    layers.Activation,
    layers.Dropout,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.Rescaling,
    layers.Identity,
)
_MERGING = (layers.Add, layers.Multiply)
# Channels of one axis, in order: (group, channels); no group where they must stay.
Spec = tuple[tuple[str | None, int], ...]
Keep = Mapping[str, np.ndarray]


@dataclass
class Groups:
    """The groups of a network's channels.

    Attributes:
        sizes: channels of each group that may lose some, by the group's name.
        makers: of each such group, the layers that make its channels.
        inputs: of each layer, the channels of its (first) input.
        outputs: of each layer, the channels of its output.
    """

    sizes: dict[str, int]
    makers: dict[str, list[str]]
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]


@dataclass
class _Union:
    """Groups that turn out to be one, or to be fixed."""

    parents: dict[str, str] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def root(self, name: str) -> str:
        while self.parents[name] != name:
            name = self.parents[name]
        return name

    def join(self, a: Spec, b: Spec) -> None:
        if [size for _, size in a] != [size for _, size in b]:
            return self.fix(a + b)
        for (one, _), (other, _) in zip(a, b, strict=True):
            if one is None or other is None:
                self.fix(((one, 0), (other, 0)))
            else:
                self.parents[self.root(other)] = self.root(one)
        return None

    def fix(self, spec: Spec) -> None:
        self.fixed |= {name for name, _ in spec if name is not None}


def find_groups(model: keras.Model) -> Groups:
    """Find the groups of a functional network.

    The outputs' channels and those of layers that mix channels in other ways than convolutions and dense layers stay.
    """
    union = _Union()
    known: dict[int, Spec] = {}
    inputs: dict[str, Spec] = {}
    outputs: dict[str, Spec] = {}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            spec: Spec = ((None, layer.output.shape[-1]),)
        else:
            tensors = layer.input if isinstance(layer.input, list) else [layer.input]
            specs = [known[id(tensor)] for tensor in keras.tree.flatten(tensors)]
            inputs[layer.name] = specs[0]
            spec = _after(layer, specs, union)
        known[id(layer.output)] = outputs[layer.name] = spec
    for tensor in model.outputs:
        union.fix(known[id(tensor)])
    fixed = {union.root(name) for name in union.fixed}

    def resolved(specs: dict[str, Spec]) -> dict[str, Spec]:
        roots = {name: union.root(name) for name in union.parents}
        return {
            layer: tuple((None if g is None or roots[g] in fixed else roots[g], size) for g, size in spec)
            for layer, spec in specs.items()
        }

    makers: dict[str, list[str]] = {}
    for name in union.parents:
        makers.setdefault(union.root(name), []).append(name)
    free = {root: names for root, names in makers.items() if root not in fixed}
    sizes = {root: dict(outputs[root])[root] for root in free}
    return Groups(sizes, free, resolved(inputs), resolved(outputs))


def _after(layer: keras.Layer, specs: list[Spec], union: _Union) -> Spec:
    """Channels of a layer's output."""
    if (isinstance(layer, layers.Conv2D) and layer.groups == 1) or isinstance(layer, layers.Dense):
        union.parents[layer.name] = layer.name
        return ((layer.name, layer.output.shape[-1]),)
    if isinstance(layer, _CHANNELWISE):
        return specs[0]
    if isinstance(layer, _MERGING):
        for other in specs[1:]:
            union.join(specs[0], other)
        return specs[0]
    if isinstance(layer, layers.Concatenate):
        return tuple(segment for spec in specs for segment in spec)
    if isinstance(layer, layers.Flatten):
        return specs[0] * math.prod(layer.input.shape[1:-1])
    for spec in specs:
        union.fix(spec)
    return ((None, layer.output.shape[-1]),)


def narrow(model: keras.Model, keep: Keep) -> keras.Model:
    """The network without some of its channels, the weights of the others as they were.

    Args:
        model: a functional network.
        keep: group -> which of its channels stay, boolean, shape (channels,).

    Raises:
        UserError: there is no such group.
    """
    groups = find_groups(model)
    for name in keep:
        if name not in groups.sizes:
            raise UserError(f"model.widths.{name} names no layer that can be narrower", nearest(name, groups.sizes))
    kept = {name: np.flatnonzero(mask) for name, mask in keep.items()}

    def clone(layer: keras.Layer) -> keras.Layer:
        settings = layer.get_config()
        key = "filters" if isinstance(layer, layers.Conv2D) else "units"
        if key in settings:
            settings[key] = len(_indices(groups.outputs[layer.name], kept))
        return layer.from_config(settings)

    narrower = keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        if weights := layer.get_weights():
            rows = _indices(groups.inputs[layer.name], kept)
            columns = _indices(groups.outputs[layer.name], kept)
            narrower.get_layer(layer.name).set_weights([_cut(layer, w, rows, columns) for w in weights])
    return narrower


def with_widths(model: keras.Model, widths: Mapping[str, int]) -> keras.Model:
    """A network whose groups have given numbers of channels; which ones of them is of no matter before training.

    Raises:
        UserError: there is no such group, or it has fewer channels.
    """
    if not widths:
        return model
    sizes = find_groups(model).sizes
    for name, width in widths.items():
        if width > sizes.get(name, width):
            raise UserError(f"model.widths.{name} = {width}, but that layer has {sizes[name]}", "mend model.widths")
    return narrow(model, {name: np.arange(sizes.get(name, width)) < width for name, width in widths.items()})


def widths_of(narrower: keras.Model, whole: keras.Model) -> dict[str, int]:
    """Channels of the groups of a network that it has fewer of than another one, for :func:`with_widths`."""
    sizes = find_groups(whole).sizes
    found = {name: narrower.get_layer(name).output.shape[-1] for name in sizes}
    return {name: width for name, width in found.items() if width < sizes[name]}


def _indices(spec: Spec, kept: Mapping[str, np.ndarray]) -> np.ndarray:
    """Positions on an axis that stay."""
    found, start = [np.empty(0, int)], 0
    for group, size in spec:
        stay = np.arange(size) if group is None or group not in kept else kept[group]
        found.append(start + stay)
        start += size
    return np.concatenate(found)


def _cut(layer: keras.Layer, weight: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if not isinstance(layer, (layers.Conv2D, layers.Dense, *_CHANNELWISE)):
        return weight  # its channels are fixed
    if weight.ndim == 1:
        return weight[columns]
    if isinstance(layer, layers.DepthwiseConv2D):
        return weight[:, :, rows]
    return weight[..., rows, :][..., columns]


def macs(model: keras.Model) -> int:
    """Multiply-accumulates of an inference of its int8 file: those of convolutions and dense layers.

    A batch norm that no convolution takes in becomes a depthwise convolution there.
    """
    return sum(_macs(layer) for layer in model.layers)


def _macs(layer: keras.Layer) -> int:
    if is_free_norm(layer):
        return math.prod(layer.output.shape[1:])
    if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        return 0
    return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)


def is_free_norm(layer: keras.Layer) -> bool:
    """Whether a layer is a batch norm over an image that does not follow a convolution, or follows its activation."""
    if not isinstance(layer, layers.BatchNormalization) or len(layer.input.shape) != 4:
        return False
    before = layer.input._keras_history.operation
    convolution = isinstance(before, layers.Conv2D | layers.DepthwiseConv2D)
    return not (convolution and before.activation is keras.activations.linear)
