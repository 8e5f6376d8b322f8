"""The folder that ``heartzoo firmware`` writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from heartzoo import metrics_file
from heartzoo.cards import card
from heartzoo.classification.stream import Stream
from heartzoo.errors import UserError
from heartzoo.firmware import measurement, preprocessing_cost, write_firmware
from heartzoo.firmware.measurement import COMPILER, CORES, EMULATOR, can_compile, can_emulate, run_on_board, sizes
from heartzoo.firmware.sources import sources
from heartzoo.zoo import find
from heartzoo.zoo.index import entry_on_disk, write

MODELS = [("arr-5-rr-sm", 360), ("beat-3-res-sm", None), ("beat-2-eff-sm", 250), ("cnn1", 360)]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
MOST_RAM = 4096
HEARTZOO = [sys.executable, "-m", "heartzoo"]
STUB = Path(__file__).parent / "tflite_micro_stub"


def compile_all(folder: Path, build: Path, *command: str) -> None:
    """Compile every C file of a folder."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    files = [str(path) for path in folder.glob("*.c")]
    done = subprocess.run([*command, *WARNINGS, "-c", *files], cwd=build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("model", "hz"), MODELS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_a_warning(folder, compiler, model, hz, tmp_path):
    compile_all(folder(model, hz), tmp_path, compiler, "-std=c99", "-O2")


def test_compiles_for_the_peaks_of_another_detector(folder, tmp_path):
    copy = shutil.copytree(folder("arr-5-rr-sm", 360), tmp_path / "copy")
    compile_all(copy, tmp_path, "gcc", "-std=c99", "-O2", "-DHEARTZOO_DETECTS=0")
    command = ["make", "--silent", "test", "CC=gcc", "CFLAGS=-DHEARTZOO_DETECTS=0"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("library", [[], ["-DHEARTZOO_DETECTS=0"]])
def test_what_knows_another_state_than_the_library_does_not_link(folder, tmp_path, library):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = folder("arr-5-rr-sm", 360)
    program = tmp_path / "main.c"
    program.write_text(
        '#include "heartzoo.h"\nstatic heartzoo_state s;\nint main(void) { heartzoo_start(&s); return 0; }\n'
    )
    compile_all(source, tmp_path, "gcc", "-std=c99", *library)
    links = []
    for caller in ([], ["-DHEARTZOO_DETECTS=0"]):
        command = ["gcc", "-I", str(source), *caller, str(program), *map(str, tmp_path.glob("*.o")), "-lm"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        links.append(done.returncode == 0)
        assert links[-1] or "heartzoo_start" in done.stderr, done.stderr
    assert links == [not library, bool(library)]


@pytest.mark.parametrize(("model", "hz"), MODELS)
@pytest.mark.parametrize("core", CORES)
def test_compiles_for_microcontrollers_without_static_data(folder, core, model, hz):
    if not can_compile():
        pytest.skip("arm-none-eabi-gcc is not installed")
    found = sizes(folder(model, hz), core)
    assert found.ram == 0 and 500 < found.flash < 16_000


@pytest.mark.parametrize(("model", "hz"), MODELS)
@pytest.mark.parametrize("compiler", ["g++", "clang++", "arm-none-eabi-g++"])
def test_the_classifier_compiles_against_tflite_micro_s_signatures(folder, compiler, model, hz, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = folder(model, hz)
    files = [str(source / "heartzoo_classifier.cc"), str(source / "test" / "classifier_test.cc")]
    command = [compiler, "-std=c++17", *WARNINGS, "-I", str(source), "-isystem", str(STUB), "-c", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_classifier_links_with_the_c_sources_and_labels_every_beat(folder, tmp_path):
    source = folder("beat-3-res-sm", None)
    compile_all(source, tmp_path, "gcc", "-std=c99", "-O2")
    program = tmp_path / "classifier"
    files = [source / "heartzoo_classifier.cc", source / "test" / "classifier_test.cc", *tmp_path.glob("*.o")]
    command = ["g++", "-std=c++17", "-I", str(source), "-isystem", str(STUB), *map(str, files), "-lm", "-o", program]
    subprocess.run(command, check=True)
    told = subprocess.run([program], capture_output=True, text=True).stdout
    beats = (source / "test" / "golden.h").read_text().partition("GOLDEN_BEATS ")[2].split()[0]
    assert told.startswith(f"{beats} of {beats} labels")  # which ones, a network that does nothing cannot say


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "0 0 0 0 0 1 0"),  # started twice is started once
        (["-DSTUB_FAILING_INVOKE=3"], "0 0 -1 0 1 1 0"),  # the samples after it are taken, one beat has no label
        (["-DSTUB_ALLOCATES=kTfLiteError"], "-1 -1 -1 -1 {beats} 1 0"),
        (["-DSTUB_INPUT_BYTES=1"], "-1 -1 -1 -1 {beats} 1 0"),  # model.h is another model's
        (["-DRUN_PERSONAL"], "0 0 0 0 0 1 1"),
    ],
)
def test_the_classifier_says_what_failed_and_whose_it_is(flags, told, folder, tmp_path):
    source = folder("arr-5-rr-sm", 360)
    compile_all(source, tmp_path, "gcc", "-std=c99", "-O2")
    program, run = tmp_path / "classifier", Path(__file__).with_name("classifier_run.cc")
    files = map(str, [source / "heartzoo_classifier.cc", run, *tmp_path.glob("*.o")])
    include = ["-I", str(source), "-I", str(source / "test"), "-isystem", str(STUB)]
    subprocess.run(["g++", "-std=c++17", *include, *flags, *files, "-lm", "-o", program], check=True)
    beats = (source / "test" / "golden.h").read_text().partition("GOLDEN_BEATS ")[2].split()[0]
    assert subprocess.run([program], capture_output=True, text=True).stdout == told.format(beats=beats)


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
def test_does_not_compile_where_nan_is_unknown(flag, folder, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = folder("arr-5-rr-sm", 360) / "heartzoo.c"
    done = subprocess.run(["gcc", "-std=c99", flag, "-c", source], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "missing sample is NaN" in done.stderr


def test_the_classifier_runs_on_the_emulated_board(folder, tmp_path):
    if not can_emulate() or shutil.which("make") is None:
        pytest.skip("make, arm-none-eabi-gcc and qemu-system-arm are not all installed")
    where = subprocess.run(["arm-none-eabi-g++", "-print-file-name=libstdc++.a"], capture_output=True, text=True)
    if not Path(where.stdout.strip()).is_absolute():
        pytest.skip("arm-none-eabi-g++ has no C++ library")
    copy = shutil.copytree(folder("arr-5-rr-sm", 360), tmp_path / "copy")
    command = ["make", "--silent", "classifier", f"TFLITE_MICRO_FLAGS=-isystem {STUB}", "TFLITE_MICRO_LIBRARY="]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert re.search(r"^(\d+) of \1 labels", done.stdout) and "FAILED" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["size", "board", "classifier"])
def test_a_missing_cross_compiler_is_named(folder, tmp_path, target):
    command = [shutil.which("make"), target, f"SHELL={shutil.which('sh')}"]
    done = subprocess.run(
        command, cwd=folder("arr-5-rr-sm", 360), env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode and "expected arm-none-eabi-gcc, found none; install" in done.stderr, done.stderr


@pytest.mark.parametrize(("model", "hz"), MODELS)
def test_the_golden_recording_here(folder, model, hz, tmp_path):
    copy = shutil.copytree(folder(model, hz), tmp_path / "copy")
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("make and gcc are not both installed")
    done = subprocess.run(["make", "--silent", "test", "CC=gcc"], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("model", "hz"), MODELS)
@pytest.mark.parametrize(("core", "most"), [("Cortex-M4F", 1_000_000), ("Cortex-M0+", 12_000_000)])
def test_the_golden_recording_on_the_emulated_board(folder, core, most, model, hz):
    if not can_emulate():
        pytest.skip("arm-none-eabi-gcc and qemu-system-arm are not both installed")
    run = run_on_board(folder(model, hz), core)
    assert run.passed, run.output
    assert 10_000 < run.instructions_per_second < most
    # So many pushes, and two answers each of a few beats, make a second's work.
    assert 0 < run.push_instructions < run.next_instructions
    assert run.instructions_per_second < (hz or 360) * run.push_instructions + 4 * run.next_instructions
    readme = (folder(model, hz) / "README.md").read_text()
    assert f"{run.instructions_per_second:,} on a {core}" in readme
    assert f"{run.push_instructions:,} for a call of `heartzoo_push()` and {run.next_instructions:,} for" in readme
    if model != "cnn1":  # whose frame alone has 8 KB
        assert run.state_bytes <= MOST_RAM
    assert str(f"{run.state_bytes:,}") in (folder(model, hz) / "README.md").read_text()


def test_a_wrong_golden_value_is_noticed(folder, tmp_path):
    copy = shutil.copytree(folder("arr-5-rr-sm", 360), tmp_path / "copy")
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("make and gcc are not both installed")
    config = (copy / "heartzoo_config.h").read_text()
    (copy / "heartzoo_config.h").write_text(
        config.replace("HEARTZOO_LATE_OCTAVES (-0.25f)", "HEARTZOO_LATE_OCTAVES (9.0f)")
    )
    done = subprocess.run(["make", "--silent", "test", "CC=gcc"], cwd=copy, capture_output=True, text=True)
    assert done.returncode != 0 and "FAILED" in done.stdout


def test_the_readme_states_what_the_resampler_costs(folder):
    plain, odd = ((folder("arr-5-rr-xs", hz) / "README.md").read_text() for hz in (100, 997))
    source = (folder("arr-5-rr-xs", 997) / "heartzoo_config.h").read_text()
    reach = int(re.search(r"HEARTZOO_REACH (\d+)", source)[1])
    assert f"the resampler's filter for 997 Hz | {4 * (reach + 1):,} |" in odd and "no small ratio" in odd
    assert "resampler's filter" not in plain


def test_the_readme_states_costs_delay_and_use(folder):
    text = (folder("arr-5-rr-sm", 360) / "README.md").read_text()
    for part in (
        "not a medical device",
        "360 Hz",
        f"{(find('arr-5-rr-sm').folder / 'model.tflite').stat().st_size:,}",
        "after the R peak",
        f"at most {Stream('arr-5-rr-sm', 360).longest_delay_s:.1f} s after its R peak",
        "heartzoo_classify(",
        "FULLY_CONNECTED",
    ):
        assert part in text


def test_a_compiler_without_its_library_measures_nothing(tmp_path, monkeypatch):
    for tool in (COMPILER, EMULATOR):
        path = tmp_path / "bin" / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\necho 'fatal error: math.h: No such file or directory' >&2\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    measurement._builds.cache_clear()
    try:
        write_firmware("arr-5-rr-xs", tmp_path / "out")
        with pytest.raises(UserError, match="not all installed"):
            preprocessing_cost("arr-5-rr-xs", 360)
    finally:
        measurement._builds.cache_clear()
    assert "were not measured" in (tmp_path / "out" / "README.md").read_text()


def test_figures_of_code_that_does_not_pass_its_test_are_not_given(tmp_path, monkeypatch):
    failed = measurement.BoardRun(False, "value 3 is 0.25, expected 0.5\nFAILED\n", 1, 2, 3, 4, 5)
    monkeypatch.setattr(measurement, "can_emulate", lambda: True)
    monkeypatch.setattr(measurement, "run_on_board", lambda folder, core: failed)
    for measure in (lambda: preprocessing_cost("arr-5-rr-xs", 360), lambda: write_firmware("arr-5-rr-xs", tmp_path)):
        with pytest.raises(UserError, match="the golden test for a Cortex-M4F failed on the emulated board: FAILED"):
            measure()
    assert not any(tmp_path.iterdir())


def test_what_is_measured_goes_into_metrics():
    if not can_emulate():
        with pytest.raises(UserError, match="not all installed"):
            preprocessing_cost("arr-5-rr-xs", 360)
        pytest.skip("arm-none-eabi-gcc and qemu-system-arm are not both installed")
    cost = preprocessing_cost("arr-5-rr-xs", 360)
    assert cost.recording_hz == 360 and cost.ram_bytes + cost.stack_bytes <= MOST_RAM
    entry = find("arr-5-rr-xs")
    with_cost, of_before, without = (
        entry.metrics.model_copy(update={"cost": entry.metrics.cost.model_copy(update={"preprocessing": each})})
        for each in (cost, cost.model_copy(update={"cortex_m0plus": None}), None)
    )
    assert metrics_file.Metrics.model_validate_json(metrics_file.to_bytes(with_cost)).cost.preprocessing == cost
    small = cost.cortex_m0plus
    assert small.instructions_per_second > 3 * cost.instructions_per_second and small.flash_bytes > cost.flash_bytes
    texts = [card(entry.configuration, metrics, {}) for metrics in (with_cost, of_before, without)]
    for core, said in ((cost, [True, True, False]), (small, [True, False, False])):
        assert [f"{core.instructions_per_second:,} instructions" in text for text in texts] == said


def test_written_again_it_is_the_same_and_other_files_stay(folder, tmp_path):
    first = folder("arr-5-rr-sm", 360)
    out = shutil.copytree(first, tmp_path / "again")
    (out / "mine.c").write_text("/* an engineer's */")
    (out / "heartzoo.c").unlink()
    for path in write_firmware("arr-5-rr-sm", out, 360):
        assert path.read_bytes() == (first / path.relative_to(out)).read_bytes()
    assert (out / "mine.c").exists() and set(sources()) <= {str(path.relative_to(out)) for path in out.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("arr-5-rr", None), "unknown model 'arr-5-rr'"),
        (("arr-5-rr-sm", 50.0), "sampling rate of 50 Hz; expected 100 to 1000"),
        (("arr-5-rr-sm", 1500.0), "sampling rate of 1500 Hz"),
        (("arr-5-rr-sm", 250.5), "a whole number"),
        (("arr-5-rr-sm", float("nan")), "sampling rate of nan Hz"),
        (("cnn-187", None), "cnn-187 scales each frame by the whole 10 s window"),
    ],
)
def test_a_mistake_writes_nothing(arguments, problem, tmp_path):
    name, hz = arguments
    with pytest.raises(UserError, match=problem):
        write_firmware(name, tmp_path / "out", hz)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["letter.txt", "Makefile"])
def test_a_folder_of_something_else_is_left_alone(name, tmp_path):
    (tmp_path / name).write_text("dear")
    with pytest.raises(UserError, match="holds something else"):
        write_firmware("arr-5-rr-xs", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "dear"


def test_an_interrupted_folder_is_written_anew(tmp_path, monkeypatch):
    replace = Path.replace

    def killed(path, target):
        replace(path, target)
        raise KeyboardInterrupt

    (tmp_path / "out" / "test").mkdir(parents=True)
    (tmp_path / "out" / ".part.1.2.heartzoo_config.h").write_text("of a process that was killed before")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        write_firmware("arr-5-rr-xs", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.*") if path.name[0] != "."] == ["heartzoo_config.h"]
    written = write_firmware("arr-5-rr-xs", tmp_path / "out")
    assert all(path.is_file() for path in written)


def test_an_operator_that_tflite_micro_lacks_is_one_line(tmp_path):
    pytest.importorskip("tflite_micro")
    zoo = with_gelu(tmp_path / "zoo")
    command = [*HEARTZOO, "firmware", "arr-5-res-sm", "--out", str(tmp_path / "out"), "--zoo", str(zoo)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "TFLite Micro has no operator GELU" in done.stderr and not (tmp_path / "out").exists()


def with_gelu(zoo: Path) -> Path:
    """A zoo of one network whose additions are GELUs."""
    published = find("arr-5-res-sm@1.0.0")
    folder = shutil.copytree(published.folder, zoo / "arr-5-res-sm" / "1.0.0")
    model = schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes(), 0)
    add = next(code for code in model.operatorCodes if code.builtinCode == schema.BuiltinOperator.ADD)
    add.builtinCode, add.deprecatedBuiltinCode = schema.BuiltinOperator.GELU, 127
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    (folder / "model.tflite").write_bytes(bytes(builder.Output()))
    write(zoo, [entry_on_disk(folder)])
    return zoo


def test_the_command_prints_what_it_wrote(tmp_path):
    command = [*HEARTZOO, "firmware", "arr-5-rr-xs", "--fs", "250", "--out", str(tmp_path / "fw")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "heartzoo_classifier.cc" in done.stdout and (tmp_path / "fw" / "model.h").is_file()
