"""Facts read from the bytes of a .tflite file, and stripping it: the schema alone, no interpreter, no TensorFlow."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from heartzoo.errors import UserError

Precision = Literal["int8", "int16x8"]
_IDENTIFIER = b"TFL3"
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_DTYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
# By so many bits are values shifted before they are added; their sum's scale must not be smaller than that.
_SUM_SHIFTS = {"int8": 20, "int16": 15}
_ITEM_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4, "int64": 8}


@dataclass(frozen=True)
class TensorFacts:
    """An input or output: value = (stored - zero_point) * scale; scale 1, zero point 0 where nothing is quantized."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class ModelFacts:
    """What a .tflite file says of itself.

    Attributes:
        inputs: in the file's order, which need not be the Keras model's.
        outputs: in the file's order.
        operators: TensorFlow Lite's builtin operator names and how often each occurs.
        macs: multiply-accumulates per inference, see :func:`inspect`.
        weights: number of constant values (weights, biases, operators' shape and axis arguments).
        weight_bytes: their bytes.
        tflite_bytes: size of the file in bytes.
    """

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: dict[str, int]
    macs: int
    weights: int
    weight_bytes: int
    tflite_bytes: int

    @property
    def signal_index(self) -> int:
        """Which input is the signal: the only one of rank 4."""
        ranks = [len(tensor.shape) for tensor in self.inputs]
        if ranks.count(4) != 1 or ranks.count(2) != len(ranks) - 1 or len(ranks) > 2:
            found = ", ".join(str(tensor.shape) for tensor in self.inputs) or "none"
            raise UserError(
                f"expected the inputs signal (1, 1, samples, 1) and perhaps rr (1, features), found {found}",
                "give a .tflite exported by heartzoo",
            )
        return ranks.index(4)

    @property
    def signal(self) -> TensorFacts:
        """The input of rank 4, ``(1, 1, samples, 1)``."""
        return self.inputs[self.signal_index]

    @property
    def rr(self) -> TensorFacts | None:
        """The input of rank 2, ``(1, features)``, or None in a network that sees the signal only."""
        return self.inputs[1 - self.signal_index] if len(self.inputs) == 2 else None

    @property
    def keeps_state(self) -> bool:
        """Whether the interpreter goes on from the state in which the last example left it, unless it is reset."""
        return any(name.endswith("_LSTM") for name in self.operators)

    @property
    def logits(self) -> TensorFacts:
        """The output, ``(1, classes)``."""
        if len(self.outputs) != 1 or len(self.outputs[0].shape) != 2:
            found = ", ".join(str(tensor.shape) for tensor in self.outputs) or "none"
            raise UserError(f"expected one output (1, classes), found {found}", "give a .tflite exported by heartzoo")
        return self.outputs[0]


@contextmanager
def telling_damage() -> Iterator[None]:
    """What the flatbuffers reader does on offsets that lead out of the file or to something else, as a mistake."""
    try:
        yield
    except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError("the .tflite model is truncated or damaged", "export or download it again") from error


@telling_damage()
def inspect(content: bytes) -> ModelFacts:
    """Read a model's facts from the bytes of its .tflite file.

    ``macs`` counts, with ``|output|`` the number of output values: ``|output| * kernel height * kernel width *
    input channels`` for CONV_2D, ``|output| * kernel height * kernel width`` for DEPTHWISE_CONV_2D, and
    ``|output| * inputs`` for FULLY_CONNECTED, steps * sizes of the gates' weight matrices for
    UNIDIRECTIONAL_SEQUENCE_LSTM; other operators count nothing.

    Raises:
        UserError: the bytes are not a .tflite file, it is truncated or damaged, or an interpreter would crash on it.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    names = [operator_name(model.operatorCodes[operator.opcodeIndex]) for operator in graph.operators]
    operators = list(zip(names, graph.operators, strict=True))
    for name, operator in operators:
        _check_sum(name, operator, graph.tensors)
    constants = [t for t in graph.tensors if model.buffers[t.buffer].data is not None]
    return ModelFacts(
        inputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.outputs),
        operators=dict(Counter(names)),
        macs=sum(operator_macs(name, operator, graph.tensors) for name, operator in operators),
        weights=sum(prod(tensor_shape(tensor)) for tensor in constants),
        weight_bytes=sum(model.buffers[tensor.buffer].data.nbytes for tensor in constants),
        tflite_bytes=len(content),
    )


def require_integer(facts: ModelFacts) -> Precision:
    """Check that inputs and outputs are all int8, or all int16.

    Returns:
        ``"int8"``, or ``"int16x8"``: activations of 16 bits, weights of 8.

    Raises:
        UserError: they are not.
    """
    expected = "int16" if facts.inputs and facts.inputs[0].dtype == "int16" else "int8"
    for role, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        for tensor in tensors:
            if tensor.dtype != expected:
                raise UserError(
                    f"expected an {expected} {role}, found {tensor.dtype} of shape {tensor.shape}",
                    "convert with integer inputs and outputs (heartzoo export does)",
                )
    return "int16x8" if expected == "int16" else "int8"


def require_shapes(facts: ModelFacts, samples: int, rr_features: int, classes: int) -> None:
    """Check the inputs and the output against what a configuration and its task ask for.

    Args:
        facts: the file's.
        samples: length of the signal frame.
        rr_features: width of the R-R input; 0 for none.
        classes: number of logits.

    Raises:
        UserError: a shape differs.
    """
    wanted = {"signal": (1, 1, samples, 1), "rr": (1, rr_features) if rr_features else None, "logits": (1, classes)}
    for role, shape in wanted.items():
        tensor: TensorFacts | None = getattr(facts, role)
        found = tensor.shape if tensor else None
        if found != shape:
            raise UserError(
                f"expected {role} {shape or 'absent'}, found {found or 'none'} in the .tflite",
                "give the model that belongs to this configuration and task",
            )


def strip(content: bytes) -> bytes:
    """Write a .tflite file again without what no runtime needs: outputs stay the same bit for bit.

    Names, description, metadata, signatures and calibration ranges go; tensors without data share the empty buffer,
    and equal vectors (the zero points of channels, above all) are written once.

    Raises:
        UserError: as :func:`inspect`.
    """
    model = unpack(content)
    model.description = model.metadata = model.metadataBuffer = model.signatureDefs = None
    buffers = [schema.BufferT()]  # the schema keeps number 0 empty
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None
            if tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = None
            buffer, tensor.buffer = model.buffers[tensor.buffer], 0
            if buffer.data is not None:
                tensor.buffer = len(buffers)
                buffers.append(buffer)
    model.buffers = buffers
    builder = _Builder(len(content))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes equal vectors once, and aligns buffers to 16 bytes as the schema asks (the Python builder does not)."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 (its base class names it)
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(16, x.nbytes)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def unpack(content: bytes) -> Any:
    """The file as the schema's ``ModelT``, its references checked.

    Raises:
        UserError: as :func:`inspect`.
    """
    if content[4:8] != _IDENTIFIER:
        raise UserError(
            f"expected a .tflite model, found {len(content):,} bytes without its identifier TFL3",
            "check the path, or export or download the model again",
        )
    with telling_damage():
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        _check_references(model)
    return model


def _check_references(model: Any) -> None:
    """Check indices and constants' sizes, which TFLite Micro takes on trust: a wrong one would crash the process."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data, item_bytes = model.buffers[tensor.buffer].data, _ITEM_BYTES.get(_DTYPES[tensor.type])
            if data is not None and item_bytes and data.nbytes != item_bytes * prod(tensor_shape(tensor)):
                raise ValueError(f"{data.nbytes} bytes for a constant of shape {tensor_shape(tensor)}")
        indices = [*graph.inputs, *graph.outputs]
        for operator in graph.operators:
            operator_name(model.operatorCodes[operator.opcodeIndex])
            indices += [i for vector in (operator.inputs, operator.outputs) for i in vector if i != -1]
        if not all(0 <= index < len(graph.tensors) for index in indices):
            raise IndexError("a tensor that is not there")


def _check_sum(name: str, operator: Any, tensors: Any) -> None:
    """Refuse a sum that is next to nothing beside what is added: interpreters stop the process there."""
    if name not in ("ADD", "SUB"):
        return
    involved = [tensors[i] for i in (*operator.inputs, *operator.outputs)]
    shift = _SUM_SHIFTS.get(tensor_dtype(involved[-1]))
    scales = [tensor.quantization.scale for tensor in involved if tensor.quantization is not None]
    if shift is None or len(scales) < 3 or any(scale is None or not len(scale) for scale in scales):
        return
    *added, result = (float(scale[0]) for scale in scales)
    if 2 * max(added) >= 2**shift * result:
        raise UserError(
            f"the .tflite model cannot be run: the scale of a sum is {result:.1g} and that of what it adds "
            f"{max(added):.1g}: all its channels are dead",
            "train the network anew, with a lower learning rate or with more channels left",
        )


def operator_name(code: Any) -> str:
    """TensorFlow Lite's name of an operator code."""
    # Codes up to 127 stand in the older, one-byte field.
    name: str = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return name


def tensor_shape(tensor: Any) -> tuple[int, ...]:
    """Shape of a tensor of the schema."""
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def tensor_dtype(tensor: Any) -> str:
    """NumPy's name of a tensor's type."""
    return _DTYPES[tensor.type]


def tensor_bytes(tensor: Any) -> int:
    """Bytes of a tensor's values."""
    return prod(tensor_shape(tensor)) * _ITEM_BYTES.get(tensor_dtype(tensor), 1)


def _tensor_facts(tensor: Any) -> TensorFacts:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None
    return TensorFacts(
        shape=tensor_shape(tensor),
        dtype=_DTYPES[tensor.type],
        scale=float(quantization.scale[0]) if quantized else 1.0,
        zero_point=int(quantization.zeroPoint[0]) if quantized and quantization.zeroPoint is not None else 0,
    )


def operator_macs(name: str, operator: Any, tensors: list[Any]) -> int:
    """Multiply-accumulates of one operator, as :func:`inspect` counts them."""
    if name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        steps = tensor_shape(tensors[operator.inputs[0]])[1]
        # inputs 1 to 8: from the input and from the state to each of four gates
        return steps * sum(prod(tensor_shape(tensors[index])) for index in operator.inputs[1:9])
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    weights = tensor_shape(tensors[operator.inputs[1]])  # (out, kh, kw, in), (1, kh, kw, out), (out, in)
    per_output = weights[1:3] if name == "DEPTHWISE_CONV_2D" else weights[1:]
    return prod(tensor_shape(tensors[operator.outputs[0]])) * prod(per_output)
