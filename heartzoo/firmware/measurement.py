"""What the preprocessing costs on a Cortex-M: its size by the cross-compiler, its work by an emulated board.

The board has a Cortex-M4F, which knows all instructions of a Cortex-M0+ as well: code compiled for the latter takes as
many there as on its own core, if not as many cycles.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from heartzoo.errors import UserError

COMPILER, SIZE, EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
CORES = {
    "Cortex-M4F": ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "Cortex-M0+": ("-mcpu=cortex-m0plus", "-mthumb"),
}
OPTIMISED = ("-O2", "-ffunction-sections", "-fdata-sections")
MACHINE = ("-machine", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0")
LONGEST_RUN_S = 120
TOOLCHAIN = f"take other versions of {COMPILER} and {EMULATOR}, or do without them"


@dataclass(frozen=True)
class Sizes:
    """Bytes of the preprocessing's own code: ``flash`` with its constants, ``ram`` of static data (0: it has none)."""

    flash: int
    ram: int


@dataclass(frozen=True)
class BoardRun:
    """The golden recording on the emulated board, compiled for one core.

    Attributes:
        passed: whether every golden value came out.
        output: what the test printed.
        instructions_per_second: per second of ECG, of the preprocessing.
        push_instructions: of the longest call of ``heartzoo_push()``.
        next_instructions: of the longest one of ``heartzoo_next()``.
        state_bytes: of ``heartzoo_state``.
        stack_bytes: the deepest stack.
    """

    passed: bool
    output: str
    instructions_per_second: int
    push_instructions: int
    next_instructions: int
    state_bytes: int
    stack_bytes: int


def can_compile() -> bool:
    """Whether the cross-compiler is installed, with its C library."""
    return _builds("-c")


def can_emulate() -> bool:
    """Whether it links for the emulated board, too, and the emulator is installed."""
    return shutil.which(EMULATOR) is not None and _builds("--specs=rdimon.specs", "-nostartfiles", "-lm")


@cache
def _builds(*flags: str) -> bool:
    """Whether a program of one line builds: distributions keep compiler and C library in packages of their own."""
    if shutil.which(COMPILER) is None:
        return False
    program = "#include <math.h>\n#include <stdio.h>\nint main(void) { return 0; }\n"
    with tempfile.TemporaryDirectory() as build:
        command = [COMPILER, *CORES["Cortex-M4F"], "-x", "c", "-", *flags, "-o", "program"]
        return subprocess.run(command, input=program, cwd=build, capture_output=True, text=True).returncode == 0


def sizes(folder: Path, core: str) -> Sizes:
    """Compile the preprocessing of a firmware folder for a core.

    Args:
        folder: the folder.
        core: a key of ``CORES``.

    Raises:
        UserError: it cannot be compiled.
    """
    with tempfile.TemporaryDirectory() as build:
        sources = [str(path.resolve()) for path in sorted(folder.glob("*.c"))]
        _run([COMPILER, *WARNINGS, *CORES[core], *OPTIMISED, "-c", *sources], Path(build))
        objects = [path.name for path in sorted(Path(build).glob("*.o"))]
        lines = _run([SIZE, *objects], Path(build)).splitlines()[1:]
    text, data, bss = (sum(int(line.split()[column]) for line in lines) for column in range(3))
    return Sizes(flash=text + data, ram=data + bss)


def run_on_board(folder: Path, core: str) -> BoardRun:
    """Run a firmware folder's golden test on the emulated board, where instructions are counted.

    Args:
        folder: the folder.
        core: a key of ``CORES`` to compile for.

    Raises:
        UserError: it cannot be compiled, does not end, or prints no figures.
    """
    with tempfile.TemporaryDirectory() as build:
        program = Path(build) / "golden.elf"
        test = folder / "test"
        sources = [*sorted(folder.glob("*.c")), test / "golden_test.c", test / "board.c"]
        _run(
            [
                *(COMPILER, *WARNINGS, *CORES[core], *OPTIMISED, "-DHEARTZOO_BOARD", "-I", str(folder)),
                *("--specs=rdimon.specs", "-nostartfiles", "-T", str(test / "mps2_an386.ld"), "-Wl,--gc-sections"),
                *(*map(str, sources), "-lm", "-o", str(program)),
            ]
        )
        command = [EMULATOR, *MACHINE, "-semihosting-config", "enable=on,target=native", "-kernel", str(program)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_RUN_S)
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"the golden test took {EMULATOR} more than {LONGEST_RUN_S} s", "try again when the machine is idle"
            ) from error
    found = done.stdout
    return BoardRun(
        passed=done.returncode == 0 and "passed" in found,
        output=found + done.stderr,
        instructions_per_second=_figure("instructions per second of ECG", found),
        push_instructions=_figure("instructions of heartzoo_push at most", found),
        next_instructions=_figure("instructions of heartzoo_next at most", found),
        state_bytes=_figure("state bytes", found),
        stack_bytes=_figure("stack bytes", found),
    )


def _figure(name: str, output: str) -> int:
    found = re.search(rf"^{name} (\d+)$", output, re.MULTILINE)
    if found is None:
        raise UserError(f"the golden test did not print {name!r} on the emulated board: {output[-200:]!r}", TOOLCHAIN)
    return int(found[1])


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        problem = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:])
        raise UserError(f"{command[0]} failed: {problem}", TOOLCHAIN)
    return done.stdout
