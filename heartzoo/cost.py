"""What each operator of a .tflite costs, read from the file: no hardware, no interpreter, no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from heartzoo.flatbuffer import (
    operator_macs,
    operator_name,
    telling_damage,
    tensor_bytes,
    tensor_dtype,
    tensor_shape,
    unpack,
)

# Instructions of a Cortex-M4 with CMSIS-NN per multiply-accumulate, counted on an emulated one for convolutions over
# (1, samples) with few channels; that of FULLY_CONNECTED is taken to be that of CONV_2D. Operators that are not here
# and 16x8 are not estimated, so the sum is a lower bound.
INSTRUCTIONS_PER_MAC = {"CONV_2D": 4.0, "DEPTHWISE_CONV_2D": 9.0, "FULLY_CONNECTED": 4.0}


@dataclass(frozen=True)
class OperatorCost:
    """One operator.

    Attributes:
        name: TensorFlow Lite's name.
        output: shape of its first output.
        macs: multiply-accumulates.
        weight_bytes: bytes of its constants; one that several operators read counts for each.
        live_bytes: bytes of the activations in memory while it runs: its own, and those that later operators read.
        instructions: estimate, see ``INSTRUCTIONS_PER_MAC``; None where there is none.
    """

    name: str
    output: tuple[int, ...]
    macs: int
    weight_bytes: int
    live_bytes: int
    instructions: int | None


@telling_damage()
def operator_costs(content: bytes) -> list[OperatorCost]:
    """The cost of each operator, in the order they run.

    Args:
        content: the bytes of a .tflite file.

    Raises:
        UserError: the bytes are not a .tflite file, or it is truncated or damaged.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    constant = {i for i, tensor in enumerate(graph.tensors) if model.buffers[tensor.buffer].data is not None}
    reads = [{int(i) for i in operator.inputs if i != -1} for operator in graph.operators]
    writes = [{int(i) for i in operator.outputs} for operator in graph.operators]
    last_read = {tensor: step for step, tensors in enumerate(reads) for tensor in tensors}
    last_read |= {int(tensor): len(reads) for tensor in graph.outputs}
    alive = {int(tensor) for tensor in graph.inputs}
    found = []
    for step, operator in enumerate(graph.operators):
        alive |= writes[step]
        name = operator_name(model.operatorCodes[operator.opcodeIndex])
        estimated = name in INSTRUCTIONS_PER_MAC and tensor_dtype(graph.tensors[operator.outputs[0]]) == "int8"
        macs = operator_macs(name, operator, graph.tensors)
        found.append(
            OperatorCost(
                name=name,
                output=tensor_shape(graph.tensors[operator.outputs[0]]),
                macs=macs,
                weight_bytes=sum(
                    model.buffers[graph.tensors[i].buffer].data.nbytes for i in reads[step] if i in constant
                ),
                live_bytes=sum(tensor_bytes(graph.tensors[i]) for i in alive - constant),
                instructions=round(macs * INSTRUCTIONS_PER_MAC[name]) if estimated else None,
            )
        )
        alive = {tensor for tensor in alive if last_read.get(tensor, -1) > step}
    return found
