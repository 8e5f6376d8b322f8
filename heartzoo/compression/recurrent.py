"""Recurrent networks on their way to TFLite Micro.

TensorFlow's converter crashes on the LSTM of Keras 3, or unrolls it into thousands of operators. It turns the LSTM of
tf-keras (Keras 2), which computes the same from the same weights, into one operator that TFLite Micro has.
"""

from __future__ import annotations

from typing import Any

import keras

from heartzoo.errors import UserError


def is_recurrent(model: keras.Model) -> bool:
    """Whether a network holds an LSTM."""
    return any(isinstance(layer, keras.layers.LSTM) for layer in model.layers)


def twin(model: keras.Model) -> Any:
    """The same network in tf-keras, with a batch of one.

    Args:
        model: a chain of layers from ``signal`` to logits.

    Returns:
        A ``tf_keras.Model``.

    Raises:
        UserError: the network branches, or holds a layer that has no twin here.
    """
    import tf_keras

    signal = tf_keras.Input(model.inputs[0].shape[1:], batch_size=1, name=model.inputs[0].name)
    x, before = signal, model.inputs[0]
    for layer in model.layers[1:]:
        if layer.input is not before:
            raise UserError("a recurrent network that branches cannot be converted", "write it as a chain of layers")
        x, before = _layer(tf_keras.layers, layer)(x), layer.output
    copy = tf_keras.Model({signal.name: signal}, x)
    copy.set_weights(model.get_weights())
    return copy


def _layer(layers: Any, layer: keras.Layer) -> Any:
    match layer:
        case keras.layers.Reshape():
            return layers.Reshape(layer.target_shape)
        case keras.layers.LSTM():
            usual = keras.layers.LSTM(layer.units, return_sequences=layer.return_sequences)
            _refuse_settings(layer, usual, "activation", "recurrent_activation", "use_bias", "go_backwards", "stateful")
            return layers.LSTM(layer.units, return_sequences=layer.return_sequences)
        case keras.layers.Dropout():
            return layers.Dropout(layer.rate)
        case keras.layers.Dense():
            _refuse_settings(layer, keras.layers.Dense(layer.units), "use_bias")
            return layers.Dense(layer.units, keras.activations.serialize(layer.activation))
    raise UserError(
        f"layer {layer.name} ({type(layer).__name__}) cannot be converted in a recurrent network",
        "take Reshape, LSTM, Dropout and Dense",
    )


def _refuse_settings(layer: keras.Layer, usual: keras.Layer, *names: str) -> None:
    given, expected = layer.get_config(), usual.get_config()
    for name in names:
        if given[name] != expected[name]:
            raise UserError(
                f"layer {layer.name}: {name} = {given[name]} cannot be converted in a recurrent network",
                f"take {name} = {expected[name]}",
            )
