"""``configuration.json``: everything another implementation needs to repeat preprocessing, labels and figures."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo._version import __version__
from heartzoo.config import Config, InputConfig
from heartzoo.contract.example import example
from heartzoo.contract.steps import steps
from heartzoo.contract.stream_example import stream_example
from heartzoo.data.databases import DATABASES, get_database
from heartzoo.data.download import ensure, present, split_records
from heartzoo.data.own import own_data
from heartzoo.data.rr import FEATURES, LONGEST_S
from heartzoo.data.same_recordings import file_hashes
from heartzoo.data.signal import RESAMPLING_REACH, WINDOW_S
from heartzoo.data.splits import get_split
from heartzoo.data.template import (
    AFTER_S,
    BEFORE_S,
    SHIFT_S,
    TEMPLATE_FEATURES,
)
from heartzoo.data.training_set import TrainingSet
from heartzoo.data.wfdb_files import read_header
from heartzoo.errors import UserError
from heartzoo.flatbuffer import ModelFacts, TensorFacts, inspect
from heartzoo.metrics import RESAMPLES
from heartzoo.tasks import BEAT_SYMBOLS, TASKS

ROOT = Path(__file__).parents[2]
SCHEMA_VERSION = 1
LIBRARIES = ("numpy", "scipy", "wfdb", "h5py", "scikit-learn", "keras", "tensorflow", "ai-edge-litert", "tflite-micro")
NOTICE = "For research and education; not a medical device."


def configuration(
    config: Config,
    model_version: str,
    data: TrainingSet,
    content: bytes,
    seeds: dict[str, Any],
    tuned: dict[str, Any],
    widths: dict[str, int],
    pretrained: dict[str, list[str]],
) -> dict[str, Any]:
    """The content of ``configuration.json``.

    Args:
        config: the resolved configuration.
        model_version: semantic version of the zoo entry.
        data: the training set.
        content: the bytes of the .tflite file.
        seeds: the shipped seed and the validation figure of each.
        tuned: what was chosen for the shipped file on validation patients: ``confidence`` (temperature, threshold) and
            ``personalisation``.
        widths: channels of layers that have fewer than the architecture's sizes give.
        pretrained: the records that a pretrained network had learnt from, by split; empty without one.
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
        **_contract(config, content),
        **tuned,
        "architecture": {"name": config.model.architecture, "sizes": config.model.sizes, "widths": widths},
        "training": {"track": config.track, **seeds},
        "splits": _splits(config, data, pretrained),
        **({"own_data": own} if (own := own_data(config.learnt_from, config.data.test)) else {}),
        "calibration": _positions(data, data.calibration()),
        "data_sha256": _data_sha256(_trained_on(config, data) | _own_tests(config)),
        "libraries": {"heartzoo": __version__, **_library_versions()},
        "git_revision": git_revision(),
        "config": config.model_dump(mode="json"),
    }


def _contract(config: Config, content: bytes) -> dict[str, Any]:
    """What another implementation of preprocessing, decision and figures goes by, and examples to check it.

    Args:
        config: the resolved configuration.
        content: the bytes of the .tflite file.
    """
    facts, shown = inspect(content), example(config, content)
    return {
        "preprocessing": preprocessing(config, facts),
        "tensors": _tensors(facts),
        "example": shown,
        "stream_example": stream_example(config, content, shown),
        "delay": delay(config.input),
        "evaluation": _evaluation_rules(config),
    }


def retold(published: dict[str, Any], config: Config, content: bytes) -> dict[str, Any]:
    """A published configuration with its contract in today's words, and the hashes of all its training records.

    Args:
        published: the content of ``configuration.json``.
        config: the resolved configuration.
        content: the bytes of the .tflite file.
    """
    told = _contract(config, content)
    found: dict[str, Any] = {}
    for name, value in published.items():
        if name == "preprocessing":
            found |= told
        elif name not in told:
            found[name] = value
    splits = published["splits"]
    leads = _training_leads(config, splits["train"])
    return found | {"splits": splits | {"training_leads": leads}, "data_sha256": _still(published, splits["train"])}


def _still(published: dict[str, Any], trained: Mapping[str, Sequence[str]]) -> dict[str, dict[str, dict[str, str]]]:
    """The hashes that were published, and those of the training records that it lacks.

    Raises:
        UserError: a training record has other files now.
    """
    found = _data_sha256(trained)
    for database, records in published["data_sha256"].items():
        for record, files in records.items():
            if found.setdefault(database, {}).setdefault(record, files) != files:
                raise UserError(
                    f"record {record} of {database} has other files than those that trained", "restore them"
                )
    return found


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
        "steps": steps(config, facts),
    }


def _evaluation_rules(config: Config) -> list[str]:
    nsv = (
        " macro_f1_nsv (macro_f1_nsvf) leaves out the beats that are truly F or Q (Q); a scored beat called F or Q "
        "counts as missed."
    )
    followed = "shifted logits" if config.prevalence else "logits"
    personalised = (
        "Personalisation, a track of its own, by personalisation: figures are of the beats from the 300th second of a "
        f"record on, adapted by those before. With z the {followed}, a row: without labels z + strength * (usual "
        "- median of the record's z before); with labels z W + b, where W and b minimise the summed cross-entropy of "
        "the labelled beats before plus stiffness * (sum of squares of W less the identity + sum of squares of b). "
        "Both stand in for the logits in preprocessing.steps: the largest is the class, and they are divided by the "
        "temperature."
    )
    return [
        "Rows of a confusion matrix are the truth; Se = TP/(TP+FN), +P = TP/(TP+FP), F1 = 2 TP/(2 TP+FP+FN), 0/0 is 0.",
        "macro_f1 is the mean F1 over all classes of the task, pooled over beats."
        f"{nsv if config.task == 'arrhythmia-5' else ''}",
        "patient_macro_f1 is the mean over patients of the macro-F1 over the classes that the patient has.",
        f"Intervals: {RESAMPLES} resamples of patients with replacement, 2.5 and 97.5 percentiles, "
        "numpy.random.default_rng(bootstrap_seed).",
        *([personalised] if config.export.personalisation else []),
    ]


def delay(contract: InputConfig) -> dict[str, Any]:
    """How long after the R peak a decision can be made."""
    beats = contract.following_beats
    slower = f"; in a recording of less than {contract.fs:g} Hz the filter reaches {RESAMPLING_REACH} of its samples"
    if contract.cut == "r-peak":
        rule = (
            "a frame is scaled by the whole 10 s window of its R peak, so it is the window's end that counts, and what "
            "a frame and the resampling filter reach from there"
        )
        if beats:
            rule += f", or the beat after the window's last, for which that one waits up to {LONGEST_S:g} s"
        rule += slower
        seconds = WINDOW_S + contract.frame / contract.fs + RESAMPLING_REACH / contract.fs
        return {"seconds": seconds, "following_beats": beats, "rule": rule}
    if contract.cut == "rhythm":
        seconds = (contract.frame + RESAMPLING_REACH) / contract.fs
        return {"seconds": seconds, "following_beats": 0, "rule": f"from the start of a frame{slower}"}
    # resample_poly's filter reaches ten samples of the slower rate to either side: the target's, where it downsamples.
    after, what = contract.frame - contract.frame // 2, "half a frame"
    window = round(AFTER_S * contract.fs) + round(SHIFT_S * contract.fs)
    if contract.cut == "features" and not contract.template_features:
        return {"seconds": 0.0, "following_beats": beats, "rule": "intervals alone count"}
    if contract.cut in ("difference", "features") or (contract.template_features and window > after):
        after, what = window, "the template's window"
    rule = f"the later of the two; seconds hold {what} and the reach of the resampling filter"
    if beats:
        rule += f"; a beat that none follows waits for {LONGEST_S:g} s"
    rule += slower
    return {"seconds": (after + RESAMPLING_REACH) / contract.fs, "following_beats": beats, "rule": rule}


def _tensors(facts: ModelFacts) -> dict[str, Any]:
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


def _splits(config: Config, data: TrainingSet, pretrained: dict[str, list[str]]) -> dict[str, Any]:
    trained = _trained_on(config, data)
    return {
        "train": trained,
        "test": {name: list(split_records(get_split(name))) for name in config.data.test},
        **({"pretrained": pretrained} if pretrained else {}),
        **({"left_out": left_out} if (left_out := _left_out(config, data)) else {}),
        "training_leads": _training_leads(config, trained),
        "training_patients": np.unique(data.patients[~data.validation]).tolist(),
        "validation_patients": np.unique(data.patients[data.validation]).tolist(),
    }


def _training_leads(config: Config, trained: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many of the training records, given by split, were read by which lead; the other lead of copies apart."""
    found: Counter[str] = Counter()
    for split, records in trained.items():
        database = get_database(get_split(split).database)
        if "hea" in database.extensions:
            leads, source = config.data.leads or database.leads, ensure(database, records)
            for name in records:
                there = read_header(source / name).sig_name
                found.update([lead for lead in leads if lead in there][:1])
    return dict(found.most_common())


def _trained_on(config: Config, data: TrainingSet) -> dict[str, list[str]]:
    """The records of each training split that were read: one without the lead may have been skipped."""
    stores = zip(config.data.train, data.stores, strict=False)  # copies follow
    return {name: [record["name"] for record in store.provenance["records"]] for name, store in stores}


def _left_out(config: Config, data: TrainingSet) -> dict[str, dict[str, str]]:
    """The training records that were not read, and why, by split; nothing where each was."""
    stores = zip(config.data.train, data.stores, strict=False)
    return {name: store.provenance["skipped"] for name, store in stores if store.provenance["skipped"]}


def _positions(data: TrainingSet, part: np.ndarray) -> dict[str, dict[str, list[int]]]:
    """Beats marked in ``part`` by database, record and sample position."""
    found: dict[str, dict[str, list[int]]] = {}
    for store, rows in zip(data.stores, data.rows_of(part), strict=True):
        records = found.setdefault(store.provenance["database"], {})
        for name, sample in zip(store.records[rows].tolist(), store.samples[rows].tolist(), strict=True):
            records.setdefault(name, []).append(sample)
    return found


def _own_tests(config: Config) -> dict[str, list[str]]:
    """The records of test splits of a user's own, whose files nobody else vouches for."""
    found = {}
    for split in map(get_split, config.data.test):
        if (database := get_database(split.database)).source == "user":
            here = {*present(database)}
            found[split.name] = [record for record in split_records(split) if record in here]
    return found


def _data_sha256(trained: Mapping[str, Sequence[str]]) -> dict[str, dict[str, dict[str, str]]]:
    """Hash of each file of some records, given by split, by database, record and ending."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for split, records in trained.items():
        database = get_database(get_split(split).database)
        ensure(database, records)
        found.setdefault(database.name, {}).update(file_hashes(database, records))
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
