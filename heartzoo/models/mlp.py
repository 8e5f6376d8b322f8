"""A multilayer perceptron, or several that answer together: for inputs that are features already."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.members import OneMember
from heartzoo.models.registry import register


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
    answers = perceptrons(layers.Flatten()(signal), units, dropout, members)
    x = answers[0]
    if members > 1:
        silencing = OneMember([units[-1]] * members, [1] * members, [1 / members] * members, name="one_member")
        x = silencing(layers.Concatenate()(answers))
    return keras.Model({"signal": signal}, layers.Dense(num_classes, name="logits")(x))


def perceptrons(
    values: keras.KerasTensor, units: tuple[int, ...], dropout: float, members: int
) -> list[keras.KerasTensor]:
    """Perceptrons side by side over the same values, shape (batch, values), each without its last layer."""
    answers = []
    for member in range(1, members + 1):
        x = values
        for number, width in enumerate(units, start=1):
            name = f"hidden{number}" if members == 1 else f"member{member}_hidden{number}"
            x = layers.Dense(width, activation="relu", name=name)(x)
        answers.append(layers.Dropout(dropout)(x))
    return answers
