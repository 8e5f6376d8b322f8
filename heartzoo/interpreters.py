"""The interpreters that run a .tflite model: TFLite Micro and LiteRT."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any

import numpy as np

from heartzoo.errors import UserError, nearest
from heartzoo.flatbuffer import inspect
from heartzoo.stderr import captured_stderr

if TYPE_CHECKING:
    from heartzoo.config.export import Runtime

Invoke = Callable[[list[np.ndarray]], np.ndarray]
RUNTIMES: dict[str, str] = {
    "tflm": "TFLite Micro",
    "reference": "LiteRT's reference kernels",
    "xnnpack": "LiteRT's XNNPACK kernels",
}
_ARENA_STEP, _ARENA_SPARE = 64, 1024  # bytes
# Each size is tried in a copy of a process of its own: TFLite Micro may crash where its memory runs out.
_TRY = """
import os, sys
from tflite_micro import runtime
content = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
for line in sys.stdin.buffer:
    copy = os.fork()
    if copy == 0:
        try:
            runtime.Interpreter.from_bytes(content, arena_size=int(line)).invoke()
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitpid(copy, 0)[1], flush=True)
"""
_ARENA = 16 << 20  # bytes, of which the operating system provides only those that a model touches


def default_runtime() -> Runtime:
    """``tflm`` where the tflite-micro wheel is installed (it exists for Linux x86-64 only), else ``reference``."""
    return "tflm" if find_spec("tflite_micro") else "reference"


def invoker(content: bytes, runtime: str) -> Invoke:
    """Load a model into an interpreter.

    Args:
        content: the bytes of the .tflite file, already checked by :func:`heartzoo.flatbuffer.inspect`: TFLite Micro
            itself takes them on trust.
        runtime: a key of ``RUNTIMES``.

    Returns:
        A function from the inputs, in the file's order and shapes, to the first output. Each call starts afresh: no
        state is left from the one before.

    Raises:
        UserError: unknown runtime, one that is not installed, or one that cannot run the model.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"unknown runtime {runtime!r}", nearest(runtime, RUNTIMES))
    if runtime == "tflm":
        return _tflm_invoker(_tflm(content))
    return _litert_invoker(content, reference=runtime == "reference")


def arena_bytes(content: bytes) -> int | None:
    """The memory TFLite Micro needs to run a model, in bytes, or None where the tflite-micro wheel is not installed.

    It is the "Arena allocation total" of the wheel on a 64-bit host; a 32-bit core takes 10 to 15 % less.

    Raises:
        UserError: not a .tflite model, or TFLite Micro cannot run it.
    """
    if default_runtime() != "tflm":
        return None
    inspect(content)  # refuses what would crash TFLite Micro
    interpreter = _tflm(content)
    interpreter.invoke()
    with captured_stderr() as printed:
        interpreter.print_allocations()
        found = re.search(r"Arena allocation total (\d+)", printed())
    if found is None:
        raise RuntimeError("tflite_micro's print_allocations() no longer prints 'Arena allocation total'")
    return int(found.group(1))


def smallest_arena_bytes(content: bytes) -> int | None:
    """The smallest arena, to 64 bytes, in which TFLite Micro makes a model ready, or None where it is not installed.

    That can be more than :func:`arena_bytes`: what it allocates in the end leaves out what it needs on the way.

    Raises:
        UserError: not a .tflite model, or TFLite Micro cannot run it.
    """
    enough = arena_bytes(content)
    if enough is None:
        return None
    with _trials(content) as fits:
        if fits(enough):
            return enough
        if not fits(_ARENA):  # then for another reason, which more memory does not mend
            raise RuntimeError(f"{sys.executable} does not run TFLite Micro in a process of its own, in any arena")
        too_small, enough = enough, enough + _ARENA_SPARE
        while not fits(enough):
            too_small, enough = enough, enough + _ARENA_SPARE
        while enough - too_small > _ARENA_STEP:
            middle = (too_small + enough) // 2
            if fits(middle):
                enough = middle
            else:
                too_small = middle
    return enough


@contextmanager
def _trials(content: bytes) -> Iterator[Callable[[int], bool]]:
    """Tells whether an arena of so many bytes is enough for a model."""
    command = [sys.executable, "-c", _TRY]
    with subprocess.Popen(command, 0, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None and answers is not None

        def fits(arena_size: int) -> bool:
            with suppress(BrokenPipeError):  # whoever is gone answers nothing
                questions.write(b"%d\n" % arena_size)
            return answers.readline() == b"0\n"

        with suppress(BrokenPipeError):
            questions.write(b"%d\n%b" % (len(content), content))
        yield fits


def _tflm_invoker(interpreter: Any) -> Invoke:
    def invoke(inputs: list[np.ndarray]) -> np.ndarray:
        interpreter.reset()  # else an LSTM goes on from the state in which the last example left it
        for index, value in enumerate(inputs):
            interpreter.set_input(value, index)
        interpreter.invoke()
        output: np.ndarray = interpreter.get_output(0)
        return output

    return invoke


def _litert_invoker(content: bytes, reference: bool) -> Invoke:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    with captured_stderr():  # XNNPACK announces itself there
        try:
            interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"LiteRT cannot run this model: {str(error).splitlines()[0]}",
                "convert it with TensorFlow Lite's builtin operators only",
            ) from error
    indices = [detail["index"] for detail in interpreter.get_input_details()]
    output = interpreter.get_output_details()[0]["index"]

    def invoke(inputs: list[np.ndarray]) -> np.ndarray:
        interpreter.reset_all_variables()
        for index, value in zip(indices, inputs, strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        logits: np.ndarray = interpreter.get_tensor(output)
        return logits

    return invoke


def _tflm(content: bytes) -> Any:
    """TFLite Micro's interpreter with the tensors allocated; its complaints on stderr become the error's text."""
    if default_runtime() != "tflm":
        raise UserError(
            "the tflite-micro package is not installed (it exists for Linux x86-64 only)",
            "take the runtime 'reference', whose kernels differ least from it",
        )
    from tflite_micro import runtime as tflm

    with captured_stderr() as printed:
        try:
            return tflm.Interpreter.from_bytes(content, arena_size=_ARENA)
        except (ValueError, RuntimeError) as error:
            missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", printed())
            if missing:
                problem = f"TFLite Micro has no operator {missing[1]}"
            else:
                problem = f"TFLite Micro cannot run this model: {(printed() or str(error)).splitlines()[0]}"
            raise UserError(problem, "build the network from the operators TFLite Micro has") from error
