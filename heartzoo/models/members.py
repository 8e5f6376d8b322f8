"""Members of a committee, networks that answer together: what trains each as if alone, and what is published of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("heartzoo")
class OneMember(layers.Layer):
    """In training all but one member of a committee fall silent, another one for each example.

    So every member learns from its own examples and its own mistakes, as if it were alone, and after training the
    layer behind this one answers by the weighted sum of their answers.

    Args:
        widths: outputs of each member; the input is those of one after the other, shape (batch, sum of widths).
        draws: how often each is chosen, in whole numbers.
        weights: of each member in the sum; equal ones that add up to 1 make it the mean.
    """

    def __init__(self, widths: Sequence[int], draws: Sequence[int], weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.draws, self.weights_of_members = tuple(widths), tuple(draws), tuple(weights)
        # for each draw, what it lets through: its member, and as much more as the sum will take of it
        whole = np.repeat(np.eye(len(self.draws)), self.draws, axis=0) / np.array(self.weights_of_members)
        self._masks = np.repeat(whole, self.widths, axis=1)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, outputs: Any, training: bool | None = None) -> Any:
        """The outputs, in training those of one member divided by its weight, and zeros."""
        if not training:
            return outputs
        chosen = keras.random.randint((ops.shape(outputs)[0],), 0, len(self._masks), seed=self.seed_generator)
        return outputs * ops.take(ops.convert_to_tensor(self._masks, outputs.dtype), chosen, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What a saved network needs to build the layer again."""
        own = {"widths": self.widths, "draws": self.draws, "weights": self.weights_of_members}
        return super().get_config() | own


@keras.saving.register_keras_serializable("heartzoo")
class OfClasses(keras.constraints.Constraint):
    """A constraint of a dense layer's kernel: its last inputs say something of some classes alone, and of these alike.

    Args:
        first: the first of these inputs.
        columns: the classes.
    """

    def __init__(self, first: int, columns: Sequence[int]) -> None:
        self.first, self.columns = first, tuple(columns)

    def __call__(self, kernel: Any) -> Any:
        """The kernel; these inputs' weights are their mean over the classes there, and zero elsewhere."""
        free, chosen = np.ones((kernel.shape[0], 1)), np.zeros((kernel.shape[1], 1))
        free[self.first :] = 0
        chosen[list(self.columns)] = 1
        free, chosen = (ops.convert_to_tensor(each, kernel.dtype) for each in (free, chosen))
        mean = ops.matmul(kernel, chosen) / len(self.columns)
        return free * kernel + (1 - free) * mean * ops.transpose(chosen)

    def get_config(self) -> dict[str, Any]:
        """What a saved network needs to build the constraint again."""
        return {"first": self.first, "columns": self.columns}


CUSTOM_OBJECTS = {"OneMember": OneMember, "OfClasses": OfClasses}


def is_committee(network: keras.Model) -> bool:
    """Whether its members are trained one by one."""
    return any(isinstance(layer, OneMember) for layer in network.layers)


def without_silencing(network: keras.Model) -> keras.Model:
    """The same network of Keras' own layers alone, for a file that anybody's Keras can load.

    Args:
        network: any functional network; one that is no committee is returned as it is.
    """
    if not is_committee(network):
        return network

    def own(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, OneMember):
            return layers.Identity(name=layer.name)
        free = {"kernel_constraint": None} if getattr(layer, "kernel_constraint", None) is not None else {}
        return layer.__class__.from_config(layer.get_config() | free)

    inputs = {tensor.name: tensor for tensor in network.inputs}
    uncompiled = keras.Model(inputs, network.output)  # a clone would want the loss it was compiled with, too
    plain = keras.models.clone_model(uncompiled, clone_function=own)
    plain.set_weights(network.get_weights())
    return plain
