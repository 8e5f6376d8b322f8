"""A multilayer perceptron, or several that answer together: for inputs that are features already."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from heartzoo.models.registry import register


@keras.saving.register_keras_serializable("heartzoo")
class OneMember(layers.Layer):
    """In training all but one member of a committee fall silent, another one for each example.

    So every member learns from its own examples and its own mistakes, as if it were alone, and after training the
    layer behind this one answers by the mean of their answers.

    Args:
        members: how many there are. The input is their outputs one after the other, shape (batch, members * units).
    """

    def __init__(self, members: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = members
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, outputs: Any, training: bool | None = None) -> Any:
        """The outputs, in training those of one member times the number of members, and zeros."""
        if not training:
            return outputs
        chosen = keras.random.randint((ops.shape(outputs)[0],), 0, self.members, seed=self.seed_generator)
        mask = self.members * ops.one_hot(chosen, self.members, dtype=outputs.dtype)
        return outputs * ops.repeat(mask, outputs.shape[-1] // self.members, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What a saved network needs to build the layer again."""
        return super().get_config() | {"members": self.members}


def without_silencing(network: keras.Model) -> keras.Model:
    """The same network of Keras' own layers alone, for a file that anybody's Keras can load.

    Args:
        network: any functional network; one without :class:`OneMember` is returned as it is.
    """
    if not any(isinstance(layer, OneMember) for layer in network.layers):
        return network

    def own(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, OneMember):
            return layers.Identity(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    inputs = {tensor.name: tensor for tensor in network.inputs}
    uncompiled = keras.Model(inputs, network.output)  # a clone would want the loss it was compiled with, too
    plain = keras.models.clone_model(uncompiled, clone_function=own)
    plain.set_weights(network.get_weights())
    return plain


@register
def mlp(
    input_shape: tuple[int, int, int],
    num_classes: int,
    units: tuple[int, ...] = (32, 32),
    dropout: float = 0.3,
    members: int = 1,
) -> keras.Model:
    """Dense layers with ReLU over all values of the input.

    Args:
        input_shape: ``(1, values, 1)``.
        num_classes: number of logits.
        units: of each hidden layer of a member.
        dropout: fraction dropped before the last layer.
        members: perceptrons side by side, each trained as if alone; their logits' mean is the answer.

    Returns:
        A model from ``signal`` to logits.

    References:
        Lakshminarayanan, Pritzel and Blundell 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep
        Ensembles (arXiv:1612.01474), for the mean of networks that differ in their first weights.
    """
    signal = keras.Input(input_shape, name="signal")
    values = layers.Flatten()(signal)
    answers = []
    for member in range(1, members + 1):
        x = values
        for number, width in enumerate(units, start=1):
            name = f"hidden{number}" if members == 1 else f"member{member}_hidden{number}"
            x = layers.Dense(width, activation="relu", name=name)(x)
        answers.append(layers.Dropout(dropout)(x))
    x = answers[0] if members == 1 else OneMember(members, name="one_member")(layers.Concatenate()(answers))
    return keras.Model({"signal": signal}, layers.Dense(num_classes, name="logits")(x))
