"""``configuration.json``: everything another implementation needs to repeat preprocessing, labels and figures."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo._version import __version__
from heartzoo.config import Config, InputConfig
from heartzoo.data.databases import DATABASES
from heartzoo.data.download import split_records
from heartzoo.data.rr import FEATURES, LONGEST_S, SHORTEST_S, SINGLE_BEAT_S
from heartzoo.data.signal import BEAT_LENGTH, RESAMPLING_REACH, WINDOW_S
from heartzoo.data.splits import get_split
from heartzoo.data.template import (
    AFTER_S,
    BEFORE_S,
    EPSILON_MV,
    FIRST_BEATS,
    LATE_OCTAVES,
    MEMORY_BEATS,
    REGULAR_OCTAVES,
    SHIFT_S,
    TEMPLATE_FEATURES,
    USUAL_BEATS,
    USUAL_SPREAD,
    USUAL_STEP,
    WAVES_S,
    wave,
)
from heartzoo.data.training_set import TrainingSet
from heartzoo.flatbuffer import ModelFacts, TensorFacts
from heartzoo.metrics import RESAMPLES
from heartzoo.tasks import BEAT_SYMBOLS, TASKS

ROOT = Path(__file__).parent.parent
SCHEMA_VERSION = 1
LIBRARIES = ("numpy", "scipy", "wfdb", "h5py", "scikit-learn", "keras", "tensorflow", "ai-edge-litert", "tflite-micro")
NOTICE = "For research and education; not a medical device."


def configuration(
    config: Config,
    model_version: str,
    data: TrainingSet,
    facts: ModelFacts,
    seeds: dict[str, Any],
    tuned: dict[str, Any],
    widths: dict[str, int],
) -> dict[str, Any]:
    """The content of ``configuration.json``.

    Args:
        config: the resolved configuration.
        model_version: semantic version of the zoo entry.
        data: the training set.
        facts: of the int8 file.
        seeds: the shipped seed and the validation figure of each.
        tuned: what was chosen for the shipped file on validation patients: ``confidence`` (temperature, threshold) and
            ``personalisation``.
        widths: channels of layers that have fewer than the architecture's sizes give.
    """
    task = TASKS[config.task]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": config.name,
        "version": model_version,
        "summary": config.summary,
        "origin": config.origin,
        "limits": config.limits,
        "notice": NOTICE,
        "task": task.name,
        "classes": list(task.classes),
        "class_map": dict(zip(task.classes, task.symbols(config.data.mapping), strict=True)),
        "preprocessing": preprocessing(config, facts),
        "tensors": _tensors(facts, config.input),
        **tuned,
        "delay": delay(config.input),
        "evaluation": _evaluation_rules(),
        "architecture": {"name": config.model.architecture, "sizes": config.model.sizes, "widths": widths},
        "training": {"track": config.track, **seeds},
        "splits": _splits(config, data),
        "calibration": _positions(data, data.calibration()),
        "data_sha256": {
            store.provenance["database"]: {r["name"]: r["sha256"] for r in store.provenance["records"]}
            for store in data.stores
        },
        "libraries": {"heartzoo": __version__, **_library_versions()},
        "git_revision": git_revision(),
        "config": config.model_dump(mode="json"),
    }


def preprocessing(config: Config, facts: ModelFacts) -> dict[str, Any]:
    """The contract in numbers and sentences, from the recording to the quantized input and back to a class."""
    contract = config.input
    databases = {name: database for name, database in DATABASES.items() if database.annotated}
    return {
        "fs": contract.fs,
        "frame": contract.frame,
        "cut": contract.cut,
        "beat_index": {
            "centred": contract.frame // 2,
            "difference": round(BEFORE_S * contract.fs),
            "features": None,
            "r-peak": 0,
            "rhythm": None,
        }[contract.cut],
        "epsilon_mv": contract.epsilon if contract.cut in ("centred", "rhythm") else None,
        "highpass_hz": contract.highpass_hz,
        "lowpass_hz": contract.lowpass_hz,
        "leads": {name: config.data.leads or list(database.leads) for name, database in databases.items()},
        "recording_fs": {name: database.fs for name, database in databases.items()},
        "beat_symbols": BEAT_SYMBOLS,
        "rr_features": [
            {"name": name, "formula": FEATURES[name].formula, "delay_beats": FEATURES[name].delay_beats}
            for name in contract.rr_features
        ],
        "template_features": [
            {"name": name, "formula": TEMPLATE_FEATURES[name].formula} for name in contract.template_features
        ],
        "steps": _steps(contract, facts),
    }


def _steps(contract: InputConfig, facts: ModelFacts) -> list[str]:
    steps = [
        "Signal: the first lead of preprocessing.leads that the record has, in mV over the whole record (wfdb's "
        "physical units; 200 units per mV where the header gives no gain).",
        f"Resample to {contract.fs:g} Hz: scipy.signal.resample_poly(x, up, down, padtype='edge') with up/down the "
        "reduced ratio of the sampling rates (default window, Kaiser 5.0), in float64.",
    ]
    for kind, cutoff in (("high", contract.highpass_hz), ("low", contract.lowpass_hz)):
        if cutoff is not None:
            steps.append(
                f"{kind.capitalize()}-pass at {contract.fs:g} Hz, causal: sos = scipy.signal.butter(2, {cutoff:g}, "
                f"'{kind}pass', fs={contract.fs:g}, output='sos'); "
                "y = sosfilt(sos, x, zi=sosfilt_zi(sos) * x[0]), in float64."
            )
    if contract.cut == "rhythm":
        return steps + _rhythm(contract) + _inference(facts)
    steps += [
        "Beats: every annotation whose symbol is one of preprocessing.beat_symbols, at its sample s of the recording; "
        f"its position after resampling is c = floor(s * {contract.fs:g} / recording_fs + 0.5).",
        *{"centred": _centred, "difference": _difference, "features": _features, "r-peak": _from_r_peak}[contract.cut](
            contract
        ),
    ]
    if contract.features or contract.cut == "difference":
        steps.append(
            f"R-R intervals over all beats of preprocessing.beat_symbols, scored or not: pre[k] = t[k] - t[k-1] and "
            f"post[k] = t[k+1] - t[k] in seconds from the annotated samples, each limited to {SHORTEST_S:g} ... "
            f"{LONGEST_S:g} s; the first beat's pre is its post, the last beat's post is its pre, a lone beat has "
            f"{SINGLE_BEAT_S:g} s for both. H(m) = the last m values of pre up to and including pre[k], without the "
            "first beat's (fewer at the start; the first beat uses the second's H and mean). Every feature is limited "
            "to -1 ... 1 and given in float32, in the order listed."
        )
    if _takes_template(contract):
        steps.append(_template(contract))
    if contract.template_features:
        steps.append(
            "Template features: each of template_features, with b = window - mean(window) and T less its mean, limited "
            "to -1 ... 1, float32, in the order listed; they follow the R-R features in the "
            f"{'frame' if contract.cut == 'features' else 'second input'}."
        )
    if any(name.endswith("usual") for name in contract.template_features):
        steps.append(
            f"What is usual or unusual: for each such feature f (limited), m starts as the first beat's f and v as "
            f"{USUAL_SPREAD:g}^2. Of each beat in turn the feature is taken; then, if the beat is regular, with "
            f"a = 1 / min(n, {USUAL_BEATS}) and d = f - m limited to -{USUAL_STEP:g} ... {USUAL_STEP:g}: m = m + a d "
            "and, if n > 1, v = (1 - a)(v + a d^2)."
        )
    scored = "Scored are the beats whose symbol class_map lists; the others still count in the R-R intervals."
    return [*steps, *_inference(facts), scored]


def _inference(facts: ModelFacts) -> list[str]:
    reset = (
        "Reset the interpreter before each frame (MicroInterpreter::Reset() of TFLite Micro, reset_all_variables() of "
        "LiteRT): the network keeps a state, which must not come from the frame before."
    )
    return [
        "Quantize each input: clip(round_half_even(value / scale) + zero_point, low, high) in float32, with dtype, "
        "scale and zero_point of tensors.inputs, in the order listed there; low and high are -128 and 127 for int8, "
        "-32768 and 32767 for int16.",
        *([reset] if facts.keeps_state else []),
        "Class: the largest output; of equal ones the first. Logit = (output - zero_point) * scale; "
        "softmax(logits / confidence.temperature) gives probabilities, that of the class is the confidence. Who can "
        "abstain does so below confidence.threshold, where there is one; figures are without abstention unless said.",
    ]


def _rhythm(contract: InputConfig) -> list[str]:
    steps = [
        f"Frames: x[k * {contract.frame} : (k + 1) * {contract.frame}] for k = 0, 1, ... in float32; the incomplete "
        "one at the end is dropped. As samples of the recording a frame lasts from "
        f"floor(k * {contract.frame} * recording_fs / {contract.fs:g}) to "
        f"floor(((k + 1) * {contract.frame} - 1) * recording_fs / {contract.fs:g}).",
        "Symbol of a frame: n where the rhythm annotation '(N' holds from its first to its last sample without a "
        "rhythm mark in between, f for '(AFIB' or '(AFL'; ~ where no rhythm is annotated and its beats are all Q; "
        "? otherwise. A rhythm lasts to the sample of its ')', or to the next mark. Scored are the frames whose symbol "
        "class_map lists.",
    ]
    if contract.drowned_share:
        low, high = contract.drowned_snr_db
        steps.append(
            "Noise, in databases that mark none (all but Icentia11k): "
            f"round({contract.drowned_share:g} n) of a record's n frames are there once more with the symbol ~: "
            "rng = numpy.random.default_rng(zlib.crc32(record name)); chosen = sort(rng.choice(n, count, "
            "replace=False)); of nstdb's bw and ma (their second halves, resampled) each gets a stretch: source "
            "rng.integers(0, 2, count), start rng.integers(0, samples - frame + 1, count), less its mean, at "
            f"rng.uniform({low:g}, {high:g}, (count, 1)) dB of 20 log10(std(frame) / std(stretch)). They follow the "
            "record's other frames."
        )
    steps.append(_z_score(contract))
    return steps


def _centred(contract: InputConfig) -> list[str]:
    return [
        f"Frame: x[c - {contract.frame // 2} : c + {contract.frame - contract.frame // 2}] in float32; indices outside "
        "the record take the first or last sample.",
        _z_score(contract),
    ]


def _difference(contract: InputConfig) -> list[str]:
    qrs = wave("QRS", contract.fs)
    return [
        "Frame: of the beat's shifted window and the template T that the next sentences describe, each less its own "
        f"mean, (window - T) / (max T - min T + {EPSILON_MV:g} mV) with max and min over QRS [{qrs.start}:{qrs.stop}] "
        "of the window, computed in float64, stored in float32.",
        "Normalise: limit to -1 ... 1.",
    ]


def _features(contract: InputConfig) -> list[str]:
    what = "R-R features, then the template features" if contract.template_features else "R-R features"
    return [
        f"Frame: the beat's {len(contract.features)} features as they are, the {what}; no signal, no normalisation."
    ]


def _takes_template(contract: InputConfig) -> bool:
    return bool(contract.template_features) or contract.cut == "difference"


def _template(contract: InputConfig) -> str:
    before, after, shift = (round(seconds * contract.fs) for seconds in (BEFORE_S, AFTER_S, SHIFT_S))
    waves = {name: wave(name, contract.fs) for name in WAVES_S}
    parts = ", ".join(f"{name} [{part.start}:{part.stop}]" for name, part in waves.items())
    rule = {
        "median": f"|log2(pre / median of H(64))| < {REGULAR_OCTAVES:g}",
        "late": f"log2(pre / 90 % quantile of H(128), linear interpolation) > {LATE_OCTAVES:g}",
    }[contract.regular_beats]
    return (
        f"Template, from x in float32, computed in float64: the window of a beat with shift s is "
        f"x[c + s - {before} : c + s + {after}] (indices outside the record take the first or last sample); of a "
        f"window, {parts}. The template T starts as the first beat's window with s = 0. For each beat k = 0, 1, ... in "
        f"turn, scored or not: take that s of -{shift} ... {shift} whose window correlates best with T over QRS, "
        f"sum((w - mean)(T - mean)) / sqrt(sum((w - mean)^2) * sum((T - mean)^2) + {EPSILON_MV:g}^4) with sums and "
        "means over QRS (of equal ones the lowest s); that window and T as it now is make the beat's input. Then, "
        f"if the beat is regular, T = T + (window - T) / min(n, {MEMORY_BEATS}), n being the number of regular beats "
        f"up to and including it. Regular is a beat with {rule}, or one of the record's first {FIRST_BEATS}; pre and H "
        "as in the R-R features."
    )


def _z_score(contract: InputConfig) -> str:
    return (
        f"Normalise: (frame - mean) / (standard deviation + {contract.epsilon:g} mV), mean and population standard "
        "deviation of the frame in float64, result in float32."
    )


def _from_r_peak(contract: InputConfig) -> list[str]:
    width = round(WINDOW_S * contract.fs)
    return [
        f"Windows: the resampled signal x falls into windows of {width} samples (the last may be shorter); a beat "
        "belongs to window w = floor(c / width), at most the last. T = the median distance of neighbouring beats that "
        "both belong to w; of all neighbouring beats of the record where w has no two.",
        f"Frame: sample i of {contract.frame} is (x[c + i] - low) / (high - low), limited to 0 ... 1, with low and "
        f"high the smallest and largest value of window w; 0 from i = floor({BEAT_LENGTH:g} T) on, beyond the record, "
        "and where the window is flat; float32. No further normalisation.",
    ]


def _evaluation_rules() -> list[str]:
    return [
        "Rows of a confusion matrix are the truth; Se = TP/(TP+FN), +P = TP/(TP+FP), F1 = 2 TP/(2 TP+FP+FN), 0/0 is 0.",
        "macro_f1 is the mean F1 over all classes of the task, pooled over beats. macro_f1_nsv (macro_f1_nsvf) of "
        "arrhythmia-5 leaves out the beats that are truly F or Q (Q); a scored beat called F or Q counts as missed.",
        "patient_macro_f1 is the mean over patients of the macro-F1 over the classes that the patient has.",
        f"Intervals: {RESAMPLES} resamples of patients with replacement, 2.5 and 97.5 percentiles, "
        "numpy.random.default_rng(bootstrap_seed).",
        "Personalisation, a track of its own (where there is one): beats from the 300th second of a record on. With z "
        "the logits: without labels z + strength * (usual - median of the record's z before); with labels z W + b, "
        "where W and b minimise the summed cross-entropy of the beats before plus stiffness * (|W - 1|^2 + |b|^2).",
    ]


def delay(contract: InputConfig) -> dict[str, Any]:
    """How long after the R peak a decision can be made."""
    beats = max((FEATURES[name].delay_beats for name in contract.rr_features), default=0)
    if contract.cut == "r-peak":
        rule = "a frame is scaled by the whole 10 s window of its R peak, so it is the window's end that counts"
        seconds = WINDOW_S + contract.frame / contract.fs + RESAMPLING_REACH / contract.fs
        return {"seconds": seconds, "following_beats": beats, "rule": rule}
    if contract.cut == "rhythm":
        seconds = (contract.frame + RESAMPLING_REACH) / contract.fs
        return {"seconds": seconds, "following_beats": 0, "rule": "from the start of a frame"}
    # resample_poly's filter reaches ten samples of the slower rate to either side: the target's, where it downsamples.
    after, what = contract.frame - contract.frame // 2, "half a frame"
    window = round(AFTER_S * contract.fs) + round(SHIFT_S * contract.fs)
    if contract.cut == "features" and not contract.template_features:
        return {"seconds": 0.0, "following_beats": beats, "rule": "intervals alone count"}
    if contract.cut in ("difference", "features") or (contract.template_features and window > after):
        after, what = window, "the template's window"
    rule = f"the later of the two; seconds hold {what} and the reach of the resampling filter"
    return {"seconds": (after + RESAMPLING_REACH) / contract.fs, "following_beats": beats, "rule": rule}


def _tensors(facts: ModelFacts, contract: InputConfig) -> dict[str, Any]:
    roles = ["rr" if len(tensor.shape) == 2 else "signal" for tensor in facts.inputs]
    return {
        "inputs": [{"role": role, **_tensor(tensor)} for role, tensor in zip(roles, facts.inputs, strict=True)],
        "outputs": [{"role": "logits", **_tensor(facts.logits)}],
    }


def _tensor(tensor: TensorFacts) -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _splits(config: Config, data: TrainingSet) -> dict[str, Any]:
    return {
        "train": {name: list(split_records(get_split(name))) for name in config.data.train},
        "test": {name: list(split_records(get_split(name))) for name in config.data.test},
        "training_patients": np.unique(data.patients[~data.validation]).tolist(),
        "validation_patients": np.unique(data.patients[data.validation]).tolist(),
    }


def _positions(data: TrainingSet, part: np.ndarray) -> dict[str, dict[str, list[int]]]:
    """Beats marked in ``part`` by database, record and sample position."""
    found: dict[str, dict[str, list[int]]] = {}
    for store, rows in zip(data.stores, data.rows_of(part), strict=True):
        records = found.setdefault(store.provenance["database"], {})
        for name, sample in zip(store.records[rows].tolist(), store.samples[rows].tolist(), strict=True):
            records.setdefault(name, []).append(sample)
    return found


def _library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The revision of heartzoo's checkout, with ``-dirty`` where files differ from it; None outside one."""
    if not (ROOT / "pyproject.toml").is_file():
        return None
    try:
        revision = _git("rev-parse", "HEAD")
        # Publishing itself changes the zoo: that does not make the code another one.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!zoo")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{revision}-dirty" if changed else revision


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
