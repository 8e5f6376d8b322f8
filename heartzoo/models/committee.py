"""Perceptrons that know a beat by its features, and convolutions that see its samples and speak of one class."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.members import OfClasses, OneMember
from heartzoo.models.mlp import perceptrons
from heartzoo.models.registry import register


@register
def committee(
    input_shape: tuple[int, int, int],
    num_classes: int,
    rr_features: int = 0,
    units: tuple[int, ...] = (32, 32),
    dropout: float = 0.1,
    members: int = 5,
    filters: tuple[int, ...] = (8, 12, 16, 24),
    kernel: int = 5,
    seen_class: int | tuple[int, ...] = 2,
    draws: tuple[int, int] = (1, 2),
) -> keras.Model:
    """A committee of perceptrons over features, and of convolutions over the samples that tell one class from the rest.

    Early beats are known by their intervals, ventricular ones by their shape as well. A network that saw both at once
    would learn its patients' shapes by heart and forget the intervals over them, so each member is trained as if
    alone, and what the convolutions see moves the logit of one class only; or of classes that look alike, which the
    perceptrons then tell apart.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        rr_features: width of the input ``rr``, which the perceptrons see; 0 for perceptrons that see the samples, too.
        units: of each hidden layer of a perceptron.
        dropout: fraction dropped before the last layer.
        members: perceptrons; the mean of what they say is what all of them say.
        filters: channels of each convolution, which halves the length.
        kernel: samples in the convolutions' kernels.
        seen_class: the class that the convolutions tell from the others, counted from 0; or several, whose logits they
            move alike.
        draws: how often each perceptron is trained, and how often the convolutions are: their weights, too.

    Returns:
        A model from ``signal`` (and ``rr``) to logits.

    References:
        Lakshminarayanan, Pritzel and Blundell 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep
        Ensembles (arXiv:1612.01474), for the mean of networks that differ.
    """
    seen_classes = (seen_class,) if isinstance(seen_class, int) else seen_class
    if not seen_classes or not set(seen_classes) <= set(range(num_classes)):
        raise ValueError(f"seen_class is 0 to {num_classes - 1}")
    signal = keras.Input(input_shape, name="signal")
    inputs = {"signal": signal}
    if rr_features:
        values = inputs["rr"] = keras.Input((rr_features,), name="rr")
    else:
        values = layers.Flatten()(signal)
    answers = perceptrons(values, units, dropout, members)
    x = signal
    for number, width in enumerate(filters, start=1):
        name = f"conv{number}"
        x = layers.Conv2D(width, (1, kernel), strides=(1, 2), padding="same", use_bias=False, name=name)(x)
        x = layers.ReLU()(batch_norm(f"{name}_bn")(x))
    x = layers.Flatten()(layers.MaxPooling2D((1, x.shape[2]))(x))
    answers.append(layers.Dropout(dropout)(x))
    drawn = [draws[0]] * members + [draws[1]]
    # The perceptrons' weights add up to 1: what they say of the other classes is as without the convolutions.
    weights = [each / (draws[0] * members) for each in drawn]
    silencing = OneMember([units[-1]] * members + [filters[-1]], drawn, weights, name="one_member")
    x = silencing(layers.Concatenate()(answers))
    seen = OfClasses(units[-1] * members, seen_classes)
    return keras.Model(inputs, layers.Dense(num_classes, kernel_constraint=seen, name="logits")(x))
