"""The C header compiles without a warning and holds what it was given."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heartzoo.cheader import GoldenVectors, c_header
from heartzoo.errors import UserError
from heartzoo.flatbuffer import ModelFacts, TensorFacts

SAMPLES, FEATURES = 40, 4
CLASSES = ("NSR", "PAC|PVC", 'a "quoted" one')
CONTENT = np.random.default_rng(0).bytes(3001)
NAME = "beat-3-test"
COMPILERS = {"gcc": ["-std=c99", "-x", "c"], "g++": ["-std=c++11", "-x", "c++"]}
PROGRAM = """\
#include <stdio.h>
#include "model.h"
static unsigned long crc(const void *start, unsigned long size) {
  unsigned long value = 0xffffffffUL;
  for (unsigned long i = 0; i < size; i++) {
    value ^= ((const unsigned char *)start)[i];
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0xedb88320UL : 0);
  }
  return value ^ 0xffffffffUL;
}
#define CRC(array) crc(array, sizeof(array))
int main(void) {
  printf("%lu %lu %d %d %s\\n", CRC(heartzoo_beat_3_test_model), (unsigned long)sizeof heartzoo_beat_3_test_model,
         HEARTZOO_BEAT_3_TEST_ARENA_BYTES, (int)((uintptr_t)heartzoo_beat_3_test_model % 16),
         heartzoo_beat_3_test_classes[2]);
  printf("%.9g %d %d\\n", HEARTZOO_BEAT_3_TEST_RR_SCALE, HEARTZOO_BEAT_3_TEST_RR_ZERO_POINT,
         HEARTZOO_BEAT_3_TEST_SIGNAL_INDEX);
  for (int i = 0; i < HEARTZOO_BEAT_3_TEST_GOLDEN_COUNT; i++) {
    const heartzoo_beat_3_test_golden_t *g = &heartzoo_beat_3_test_golden[i];
    printf("%lu %lu %lu\\n", CRC(g->raw_frame), CRC(g->signal_int8), CRC(g->logits_int8));
#ifdef HEARTZOO_BEAT_3_TEST_RR_FEATURES
    printf("%lu %lu\\n", CRC(g->rr), CRC(g->rr_int8));
#endif
  }
  return 0;
}
"""


def facts() -> ModelFacts:
    def tensor(scale: float, zero_point: int, *shape: int) -> TensorFacts:
        return TensorFacts((1, *shape), "int8", float(np.float32(scale)), zero_point)

    return ModelFacts(
        inputs=(tensor(0.0123456789, -5, FEATURES), tensor(0.5, 0, 1, SAMPLES, 1)),
        outputs=(tensor(1.0, 127, len(CLASSES)),),
        operators={"CONV_2D": 3, "FULLY_CONNECTED": 1, "MAX_POOL_2D": 2, "DEPTHWISE_CONV_2D": 1, "PADV2": 1, "MEAN": 1},
        macs=1,
        weights=1,
        weight_bytes=1,
        tflite_bytes=len(CONTENT),
    )


@pytest.fixture
def golden() -> GoldenVectors:
    rng = np.random.default_rng(1)

    def int8(width: int) -> np.ndarray:
        return rng.integers(-128, 128, (10, width), np.int8)

    frames = rng.standard_normal((10, SAMPLES)).astype(np.float32)
    frames[0, :4] = [0, -1, 1e-30, 3e20]
    rr = rng.standard_normal((10, FEATURES)).astype(np.float32)
    return GoldenVectors(frames, rr, int8(SAMPLES), int8(FEATURES), int8(len(CLASSES)))


def run(compiler: str, header: str, folder: Path, program: str = PROGRAM) -> str:
    """Compile the program beside the header, warnings being errors; return what it prints."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (folder / "model.h").write_text(header, encoding="ascii")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [compiler, *COMPILERS[compiler], *warnings, "-I", str(folder), "-o", str(folder / "program"), "-"]
    compiled = subprocess.run(command, input=program, text=True, capture_output=True)
    assert compiled.returncode == 0, compiled.stderr
    return subprocess.run([folder / "program"], text=True, capture_output=True, check=True).stdout


def crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_compiled_header_gives_back_every_byte(compiler, dtype, golden, tmp_path):
    golden = replace(
        golden, **{name: getattr(golden, name).astype(dtype) for name in vars(golden) if name.endswith("_quantized")}
    )
    tensors = facts()
    outputs = tuple(replace(tensor, dtype=dtype) for tensor in tensors.outputs)
    inputs = tuple(replace(tensor, dtype=dtype) for tensor in tensors.inputs)
    header = c_header(NAME, "1.0.0", CONTENT, CLASSES, replace(tensors, inputs=inputs, outputs=outputs), 12345, golden)
    lines = run(compiler, header, tmp_path, PROGRAM.replace("int8", dtype)).splitlines()
    assert lines[0] == f"{zlib.crc32(CONTENT)} {len(CONTENT)} 12345 0 {CLASSES[2]}"
    scale, zero_point, signal_index = lines[1].split()
    assert np.float32(scale) == np.float32(facts().rr.scale) and (zero_point, signal_index) == ("-5", "1")
    for i in range(10):
        waveform = (golden.raw_frames[i], golden.signal_quantized[i], golden.logits_quantized[i])
        assert lines[2 + 2 * i] == " ".join(str(crc(part)) for part in waveform)
        assert lines[3 + 2 * i] == f"{crc(golden.rr[i])} {crc(golden.rr_quantized[i])}"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_header_may_be_included_unused_and_twice(compiler, golden, tmp_path):
    signal_only = replace(facts(), inputs=facts().inputs[1:])
    header = c_header(NAME, "1.0.0", CONTENT, CLASSES, signal_only, None, replace(golden, rr=None, rr_quantized=None))
    assert "ARENA_BYTES" not in header and "RR_" not in header
    program = '#include "model.h"\n#include "model.h"\nint main(void) { return 0; }\n'
    assert run(compiler, header, tmp_path, program) == ""


def test_operators_are_named_as_tflite_micro_names_them(golden):
    header = c_header(NAME, "1.0.0", CONTENT, CLASSES, facts(), 1, golden)
    calls = [line.split("Add")[1].split("(")[0] for line in header.splitlines() if "resolver.Add" in line]
    assert calls == ["Conv2D", "DepthwiseConv2D", "FullyConnected", "MaxPool2D", "Mean", "PadV2"]
    assert "#define HEARTZOO_BEAT_3_TEST_OPERATORS 6" in header
    assert "NOT A MEDICAL DEVICE" in header and "Apache-2.0" in header and "Reset()" not in header


def test_the_header_of_an_lstm_says_to_start_afresh(golden):
    lstm = replace(facts(), operators={"UNIDIRECTIONAL_SEQUENCE_LSTM": 2})
    header = c_header(NAME, "1.0.0", CONTENT, CLASSES, lstm, 1, golden)
    assert "AddUnidirectionalSequenceLSTM(); " in header and "interpreter.Reset() before each frame" in header


def test_a_large_model_is_refused_unless_asked_for(golden):
    large = bytes(256 * 1024 + 1)
    with pytest.raises(UserError, match=r"at most 262,144 bytes.*found 262,145.*--large-header"):
        c_header(NAME, "1.0.0", large, CLASSES, facts(), 1, golden)
    header = c_header(NAME, "1.0.0", large, CLASSES, facts(), 1, golden, max_model_bytes=len(large))
    assert "MODEL_BYTES 262145" in header


def test_weights_under_terms_of_their_own_are_told(golden, tmp_path):
    ours = c_header(NAME, "1.0.0", CONTENT, CLASSES, facts(), 1, golden)
    assert "SPDX-License-Identifier: Apache-2.0\n" in ours
    theirs = c_header(NAME, "1.0.0", CONTENT, CLASSES, facts(), 1, golden, weights_licence="Müller's */\nterms")
    assert "SPDX-License-Identifier: Apache-2.0 AND LicenseRef-weights\n" in theirs
    assert " * LicenseRef-weights, of the model's bytes: M?ller's * / terms\n" in theirs
    assert run("gcc", theirs, tmp_path) == run("gcc", ours, tmp_path)
