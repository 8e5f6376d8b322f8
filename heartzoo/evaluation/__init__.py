"""Evaluation: a predict function and a split -> the figures of ``metrics.json``. One path for float and int8."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo.confidence import Decisions, coverage_point, expected_calibration_error, reliability, risk_coverage
from heartzoo.config import Config
from heartzoo.config.disturbance import Disturbance
from heartzoo.data.batches import Inputs, input_chunks
from heartzoo.data.databases import get_database
from heartzoo.data.download import folder, present, split_records
from heartzoo.data.noise import NAMES
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import PARTS, RANDOM_TESTS, Split, get_split
from heartzoo.data.store import Store
from heartzoo.data.wfdb_files import read_header
from heartzoo.errors import UserError
from heartzoo.evaluation.example_beats import Verdicts
from heartzoo.files import atomic_path, cache_dir, lock
from heartzoo.metrics import confusion_matrices, false_alarms_per_hour, pooled_figures, score
from heartzoo.metrics_file.results import DisturbedResult, Evaluation, PersonalisedResult, PooledResult
from heartzoo.personalisation import FIRST_S, Logits, Personalisation, adapt
from heartzoo.prevalence import shifted
from heartzoo.tasks import get_task

# Chunks of inputs and their number -> chunks of logits.
Predict = Callable[[Iterable[Inputs], int], Iterator[np.ndarray]]
CHUNK = 512
# What a published model's robustness is measured with.
DISTURBANCES = (
    *(Disturbance(noise=noise, snr_db=snr) for noise in (*NAMES, "motion") for snr in (24, 18, 12, 6, 0, -6)),
    *(Disturbance(gain=gain) for gain in (0.5, 2, -1)),
    *(Disturbance(from_fs=fs) for fs in (128, 250, 500)),
    *(Disturbance(jitter_ms=jitter) for jitter in (10, 20, 40)),
    Disturbance(lost_share=0.05),
    Disturbance(other_lead=True),
    Disturbance(turned_lead=True),
)
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        config: its configuration.
        precision: ``"float32"``, ``"int8"`` or ``"int16x8"``.
        runtime: ``"keras"``, ``"tflm"``, ``"reference"`` or ``"xnnpack"``.
        file_sha256: hash of the very file that runs.
        seed: seed of its training; None where it is not known.
        predict: runs it.
        temperature: what its logits are divided by for a confidence.
        threshold: the confidence below which to abstain; None for never.
    """

    config: Config
    precision: str
    runtime: str
    file_sha256: str
    seed: int | None
    predict: Predict
    temperature: float = 1.0
    threshold: float | None = None


def evaluate(subject: Subject, split: Split, present_only: bool = False) -> list[Evaluation]:
    """Run a model over every scored beat of a split. Killed on the way, the next call goes on where it stopped.

    Args:
        subject: the model.
        split: where to score it.
        present_only: score the records that are on disk, where others of the split are not.

    Returns:
        The result on the split, then those on its parts (DS2 without record 202, and without the first five minutes)
        that hold a scored beat of the records at hand.

    Raises:
        UserError: the model has trained on the split's people; data are missing or damaged.
    """
    return evaluate_each_beat(subject, split, present_only)[0]


def evaluate_each_beat(subject: Subject, split: Split, present_only: bool = False) -> tuple[list[Evaluation], Verdicts]:
    """As :func:`evaluate`, and beside the results what the model said of each scored beat of the split."""
    parts = [split, *(get_split(name) for name in PARTS.get(split.name, ()))]
    with _answers(subject, split, present_only) as answers:
        rows = answers.rows[answers.mine]
        verdicts = Verdicts(
            answers.store.records[rows],
            answers.store.samples[rows],
            Decisions.of(answers.logits[answers.mine], answers.labels[answers.mine], subject.temperature),
            Counter(record["lead"] for record in answers.store.provenance["records"]),
            _unscored(subject.config, split, answers.store),
        )
        held = [(part, mine) for part in parts if (mine := _belongs(part, answers)).any()]
        return [_result(subject, part, answers, mine) for part, mine in held], verdicts


def evaluate_pooled(subject: Subject, split: Split, present_only: bool = False) -> PooledResult:
    """As :func:`evaluate`, the figures pooled over the split's beats alone.

    Raises:
        UserError: as :func:`evaluate`.
    """
    with _answers(subject, split, present_only) as answers:
        return PooledResult.model_validate(_pooled(subject, split, answers, answers.logits, answers.mine))


def disturbances(split: Split) -> tuple[Disturbance, ...]:
    """:data:`DISTURBANCES`, those of two leads only of recordings that have them."""
    two_leads = get_database(split.database).two_leads
    return tuple(disturbance for disturbance in DISTURBANCES if two_leads or not disturbance.takes_two_leads)


def evaluate_disturbed(
    subject: Subject, split: Split, disturbance: Disturbance, present_only: bool = False
) -> DisturbedResult:
    """The same on recordings made worse: see :func:`heartzoo.data.disturbances.disturb`. Noise is of the testing half.

    Args:
        subject: the model.
        split: where to score it.
        disturbance: what is done to its recordings.
        present_only: as in :func:`evaluate`.

    Raises:
        UserError: as :func:`evaluate`.
    """
    with _answers(subject, split, present_only, disturbance) as answers:
        opened = answers.store.provenance["records"]
        return DisturbedResult.model_validate(
            {
                **_pooled(subject, split, answers, answers.logits, answers.mine),
                "disturbance": disturbance,
                "noise_offsets": {r["name"]: r["noise_offset"] for r in opened if "noise_offset" in r} or None,
            }
        )


def evaluate_personalised(
    subject: Subject, split: Split, how: Personalisation, present_only: bool = False
) -> list[PersonalisedResult]:
    """Adapt a model to each patient by the first five minutes of the record, and score it on the rest.

    A track of its own, never mixed with the others.

    Args:
        subject: the model.
        split: where to score it.
        how: how its logits are adapted.
        present_only: as in :func:`evaluate`.

    Returns:
        The results on the rest as the model is, adapted without labels, and adapted with labels.

    Raises:
        UserError: as :func:`evaluate`; the split holds no recordings.
    """
    refuse_without_recordings(split)
    with _answers(subject, split, present_only) as answers:
        store, rows = answers.store, answers.rows
        first = store.samples[rows] < FIRST_S * store.fs[rows]
        rest = answers.mine & ~first
        if not rest.any():
            raise _too_short(split)
        logits = Logits(answers.logits, answers.labels, store.records[rows], first)
        versions = {
            "no": answers.logits,
            "without labels": adapt(logits, how, labelled=False),
            "with labels": adapt(logits, how, labelled=True),
        }
        return [
            PersonalisedResult.model_validate({**_pooled(subject, split, answers, values, rest), "adapted": name})
            for name, values in versions.items()
        ]


def _pooled(
    subject: Subject, split: Split, answers: _Answers, logits: np.ndarray, scored: np.ndarray
) -> dict[str, Any]:
    """Figures of the beats marked in ``scored`` by given logits."""
    classes = get_task(subject.config.task).classes
    records = answers.store.records[answers.rows[scored]]
    matrices = confusion_matrices(answers.labels[scored], logits[scored].argmax(axis=1), records, len(classes))
    figures = pooled_figures(np.sum(list(matrices.values()), axis=0)[None], ["all"], classes)
    return {
        **condition(subject, split),
        "records": [record["name"] for record in answers.store.provenance["records"]],
        "file_sha256": subject.file_sha256,
        **{name: value for name, value in figures.items() if not name.startswith("patient_")},
        "by_record": {name: matrix.tolist() for name, matrix in matrices.items()},
    }


@dataclass(frozen=True)
class _Answers:
    """What a model says of the scored beats of a split's recordings, from their beginning on.

    Store, rows therein, classes, the logits they are called by, and which beats the split counts: one that leaves the
    first minutes out still follows the prevalence, and adapts to a person, from the first beat on.
    """

    store: Store
    rows: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    mine: np.ndarray


@contextmanager
def _answers(
    subject: Subject, split: Split, present_only: bool, disturbance: Disturbance | None = None
) -> Iterator[_Answers]:
    """Ask the model. What is kept against an interruption goes when the caller has made its results."""
    config, task = subject.config, get_task(subject.config.task)
    refuse_known_people(config, split)
    if split.part and present_only and (absent := {*split_records(split)} - {*present(get_database(split.database))}):
        raise UserError(
            f"{split.name} is drawn from the beats of all its records, and {len(absent)} are not at hand",
            f"run `heartzoo data download {split.database}`",
        )
    name = f"{split.name} {present_only} {disturbance and disturbance.model_dump_json()} {config.input}"
    key = f"{subject.file_sha256} {subject.runtime} {config.data} {name} {CHUNK}".encode()
    place = cache_dir() / "evaluations" / hashlib.sha256(key).hexdigest()[:32]
    with lock(place):
        store = prepare(
            get_database(split.database),
            split_records(split),
            config.input,
            config.data.leads,
            config.data.missing_lead,
            present_only=present_only,
            noise_half="second",
            disturbance=disturbance,
            out=place / "disturbed.h5" if disturbance else None,  # used once, so not for the cache
        )
        labels = store.labels(task, config.data.mapping)
        heard = replace(split, skip_s=0.0).select(store.samples, store.fs, store.symbols)
        rows = np.flatnonzero((labels >= 0) & heard)
        mine = split.select(store.samples, store.fs, store.symbols)[rows]
        if not mine.any():
            raise UserError(f"{split.name} holds no beat that {task.name} scores", "take another split")
        if task.of_rhythm and (labels[rows][mine] == task.classes.index("NOISE")).all():
            others = " or ".join(config.data.test)
            raise UserError(f"{split.name} has no annotations of rhythm", f"score {config.name} on {others}")
        answers = place / hashlib.sha256(json.dumps(store.provenance).encode() + rows.tobytes()).hexdigest()[:16]
        logits = shifted(config, _logits(subject, store, rows, answers), store.records[rows])
        # argmax takes the first of equal logits, as the configuration says.
        yield _Answers(store, rows, labels[rows], logits, mine)
        shutil.rmtree(place)


def _logits(subject: Subject, store: Store, rows: np.ndarray, place: Path) -> np.ndarray:
    """Predict chunk after chunk; each goes to ``place``, and what an interrupted call left there is taken as it is."""
    kept: list[np.ndarray] = []
    while (path := place / f"{len(kept):06d}.npy").is_file():
        kept.append(np.load(path))
    rest = rows[len(kept) * CHUNK :]
    chunks = input_chunks(store, rest, subject.config.input, CHUNK)
    for logits in subject.predict(chunks, math.ceil(len(rest) / CHUNK)):
        with atomic_path(place / f"{len(kept):06d}.npy") as temporary:
            np.save(temporary, logits)
        kept.append(logits)
    return np.concatenate(kept)


def refuse_without_recordings(split: Split) -> None:
    """Refuse a split of beats that were drawn from recordings, or come without them.

    Raises:
        UserError: it is one.
    """
    if split.part or get_database(split.database).extensions == ("csv",):
        raise UserError(f"{split.name} holds no whole recordings", "take a split of patients")


def refuse_short_recordings(split: Split) -> None:
    """Refuse a split of recordings that end before anything is left to score a personalised model on.

    Those that are not in the cache yet are not known.

    Raises:
        UserError: it is one.
    """
    database = get_database(split.database)
    here = set(present(database))
    headers = [read_header(folder(database) / name) for name in split_records(split) if name in here]
    if headers and all(header.sig_len is not None and header.sig_len <= FIRST_S * header.fs for header in headers):
        raise _too_short(split)


def _too_short(split: Split) -> UserError:
    return UserError(
        f"no record of {split.name} goes on after the {FIRST_S:g} s that a model is adapted by", "take another split"
    )


def refuse_known_people(config: Config, split: Split) -> None:
    """Refuse a split with people that a model has trained on, but for the random split's own test part.

    Raises:
        UserError: it has.
    """
    own = [RANDOM_TESTS[name] for name in config.learnt_from if config.track == "random"]
    if split.name in own:
        return
    known = frozenset().union(*(get_split(name).people for name in config.learnt_from))
    if known & (split.people - _forgiven(config, split)):
        others = [name for name in own or config.data.test if name != split.name]
        raise UserError(
            f"{config.name} was trained on {' + '.join(config.learnt_from)}: it has seen people of {split.name}",
            f"score it on {' or '.join(others) or 'a split of other people'}",
        )


def _forgiven(config: Config, split: Split) -> frozenset[str]:
    """The protocol's own flaw: DS2's record 202 is of DS1's person 201. Results stand beside those without it."""
    taught = {(get_split(name).database, record) for name in config.learnt_from for record in get_split(name).records}
    flawed = split.name in ("ds2", *PARTS["ds2"])
    return frozenset({"mitdb/201"}) if flawed and ("mitdb", "202") not in taught else frozenset()


def condition(subject: Subject, split: Split) -> dict[str, str]:
    """The fields of :class:`heartzoo.metrics_file.results.Condition`."""
    return {
        "precision": subject.precision,
        "runtime": subject.runtime,
        "dataset": split.database,
        "split": split.name,
        "track": subject.config.track,
    }


def _unscored(config: Config, split: Split, store: Store) -> Counter[str]:
    """Beats (or frames) of a split that no class of the task holds, by symbol."""
    without = store.labels(get_task(config.task), config.data.mapping) < 0
    without &= split.select(store.samples, store.fs, store.symbols)
    return Counter(map(chr, store.symbols[without].tolist()))


def _belongs(split: Split, answers: _Answers) -> np.ndarray:
    """Which of the scored beats are in a split, or a part of it; shape (scored beats,)."""
    store, rows = answers.store, answers.rows
    mine = np.isin(store.records[rows], split_records(split))
    return mine & split.select(store.samples, store.fs, store.symbols)[rows]


def _result(subject: Subject, split: Split, answers: _Answers, mine: np.ndarray) -> Evaluation:
    """The figures of the scored beats marked in ``mine``, which are the split's."""
    store, rows = answers.store, answers.rows
    records = split_records(split)
    scores = score(
        answers.labels[mine],
        answers.logits.argmax(axis=1)[mine],
        store.records[rows][mine],
        store.patients[rows][mine],
        get_task(subject.config.task).classes,
        BOOTSTRAP_SEED,
    )
    opened = {record["name"]: record for record in store.provenance["records"]}
    figures = asdict(scores)
    for name, record in figures["by_record"].items():
        record |= {key: opened[name][key] for key in ("sex", "age")}
        # of a whole recording: not of beats drawn from it, nor with frames that were drowned in noise besides
        whole = split.part is None and not store.provenance["drowns"]
        if whole and opened[name]["seconds"] > split.skip_s:
            record["hours"] = (opened[name]["seconds"] - split.skip_s) / 3600
    hours = [record.get("hours") for record in figures["by_record"].values()]
    alarms = false_alarms_per_hour(np.array(scores.confusion_matrix), hours, list(scores.per_class))
    return Evaluation.model_validate(
        {
            **condition(subject, split),
            "mapping": subject.config.data.mapping,
            "records": [name for name in records if name in opened],
            "seed": subject.seed,
            "file_sha256": subject.file_sha256,
            **figures,
            "false_alarms_per_hour": alarms,
            "confidence": _confidence(subject, answers.logits[mine], answers.labels[mine]),
        }
    )


def _confidence(subject: Subject, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    classes = get_task(subject.config.task).classes
    decisions = Decisions.of(logits, labels, subject.temperature)
    bins = reliability(decisions)
    threshold = subject.threshold
    return {
        "temperature": subject.temperature,
        "ece": expected_calibration_error(bins),
        "ece_uncalibrated": expected_calibration_error(reliability(Decisions.of(logits, labels))),
        "reliability": bins,
        "risk_coverage": risk_coverage(decisions, classes),
        "at_threshold": None if threshold is None else coverage_point(decisions, threshold, classes),
    }
