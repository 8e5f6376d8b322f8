"""The registry of architectures: one dict, one decorator.

An architecture is a function ``(input_shape, num_classes, **sizes) -> keras.Model``. Its sizes are
keyword arguments with defaults, so that a configuration file can set them and a typo is an error.
"""

from __future__ import annotations

import inspect
from bisect import bisect_left
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from heartzoo.errors import UserError, look_up, nearest

if TYPE_CHECKING:
    import keras

Architecture = Callable[..., "keras.Model"]
ARCHITECTURES: dict[str, Architecture] = {}
LONGEST_FRAME = 8192
LARGEST_SIZE = 4096  # beyond it no network is for a microcontroller, and few for this machine's memory


def register(function: Architecture) -> Architecture:
    """Add an architecture under its function's name."""
    ARCHITECTURES[function.__name__] = function
    return function


def list_architectures(pattern: str = "*") -> list[str]:
    """Names of the registered architectures that match a shell pattern, sorted."""
    return sorted(name for name in ARCHITECTURES if fnmatch(name, pattern))


def size_names(architecture: str) -> list[str]:
    """The keyword arguments (sizes) an architecture takes.

    Raises:
        UserError: no such architecture.
    """
    parameters = inspect.signature(_lookup(architecture)).parameters
    return [name for name in parameters if name not in ("input_shape", "num_classes", "rr_features")]


def build(
    architecture: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    rr_features: int = 0,
    **sizes: Any,
) -> keras.Model:
    """Build an untrained network.

    Args:
        architecture: a name from :func:`list_architectures`.
        input_shape: ``(1, samples, 1)``; the network's input ``signal``.
        num_classes: number of logits.
        rr_features: width of the second input ``rr``, for R-R and template features; 0 for a network that sees the
            signal only.
        **sizes: the architecture's own sizes.

    Returns:
        A ``keras.Model`` from ``signal`` (and ``rr``) to ``num_classes`` logits.

    Raises:
        UserError: unknown architecture or size, sizes that make no network or a huge one, an R-R input for one that
            has none, or a convolution or dense layer without a name of its own.
    """
    function = _lookup(architecture)
    check_sizes(architecture, sizes)
    if rr_features:
        if "rr_features" not in inspect.signature(function).parameters:
            raise UserError(
                f"architecture {architecture} has no R-R input, but the configuration names {rr_features} features",
                "remove input.rr_features and input.template_features, or take one that has it (resnet)",
            )
        sizes["rr_features"] = rr_features
    try:
        model = function(input_shape, num_classes, **sizes)
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:
        shortest = _shortest_frame(function, input_shape[1], num_classes, sizes)
        if shortest is not None:
            raise UserError(
                f"{architecture} cannot take frames of {input_shape[1]} samples with these sizes, "
                f"but {shortest} samples or more",
                "set input.frame, or mend model.sizes",
            ) from error
        given = ", ".join(f"{name} = {value}" for name, value in sizes.items())
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{architecture} cannot be built with {given or 'its defaults'} ({reason})", "mend model.sizes"
        ) from error
    if model.output_shape != (None, num_classes):
        raise UserError(f"{architecture} with these sizes gives outputs of {model.output_shape}", "mend model.sizes")
    _refuse_unnamed(model, architecture)
    return model


def check_sizes(architecture: str, sizes: Mapping[str, Any]) -> None:
    """Refuse sizes that an architecture does not take, of the wrong kind, or out of any network's range.

    Raises:
        UserError: there is one, or no such architecture.
    """
    parameters = inspect.signature(_lookup(architecture)).parameters
    valid = size_names(architecture)
    for key, value in sizes.items():
        if key not in valid:
            raise UserError(f"model.sizes.{key} is not a size of {architecture}", nearest(key, valid))
        if isinstance(value, str) and isinstance(parameters[key].default, int | float):
            raise UserError(f"model.sizes.{key} = {value!r}: expected a number", "write it like 0.1")
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not 0 <= number <= LARGEST_SIZE:
                raise UserError(f"model.sizes.{key} = {value}: expected 0 to {LARGEST_SIZE:,}", "mend model.sizes")


def _refuse_unnamed(model: keras.Model, architecture: str) -> None:
    """Refuse a layer that Keras has numbered: in another process it has another name, and files know it by its name."""
    for layer in model.layers:
        kind = type(layer).__name__.lower()
        if kind in ("conv2d", "depthwiseconv2d", "dense") and layer.name.replace("_", "").rstrip("0123456789") == kind:
            raise UserError(
                f"architecture {architecture}: layer {layer.name} has no name of its own",
                'give each convolution and dense layer one, such as name="conv1"',
            )


def _shortest_frame(function: Architecture, too_short: int, num_classes: int, sizes: dict[str, Any]) -> int | None:
    """The smallest number of samples with which a network can be built; None where it is not for want of samples."""

    def builds(samples: int) -> bool:
        try:
            function((1, samples, 1), num_classes, **sizes)
        except (ValueError, TypeError, IndexError, ArithmeticError):
            return False
        return True

    if not builds(LONGEST_FRAME):
        return None
    candidates = range(too_short + 1, LONGEST_FRAME + 1)
    return candidates[bisect_left(candidates, True, key=builds)]


def _lookup(architecture: str) -> Architecture:
    return look_up(ARCHITECTURES, architecture, "architecture")
