"""The sections of a card that tell where a model comes from, what it takes and what it is for."""

from __future__ import annotations

from typing import Any

from heartzoo.cards.front_matter import training_databases, weights_licence
from heartzoo.cards.tables import folded, yaml_block
from heartzoo.config.file import parse_config
from heartzoo.data.databases import DATABASES, get_database
from heartzoo.data.splits import get_split
from heartzoo.metrics_file import Metrics
from heartzoo.tables.markdown import cell, prose
from heartzoo.tasks import TASKS

TEXTS = {"name", "summary", "origin", "limits"}  # of a configuration; the card has them elsewhere


def intended_use(task: str, track: str) -> str:
    """What the model is for, and what not."""
    uses = {
        "random": "For comparison with the literature alone: its figures are of people whose other beats trained it, "
        "and say little of anybody else.",
        "synthetic": "To see that the pipe works: it has never met a recording of a person.",
    }
    unseen = (
        f"For firmware and machine-learning engineers who build wearables and want {TASKS[task].unit} labelled on the "
        "device, and for researchers and students who need a baseline that was measured on unseen patients."
    )
    return (
        f"{uses.get(track, unseen)}\n\n"
        "Out of scope: diagnosis, monitoring or treatment of a person; alarms that somebody relies on; paced hearts; "
        "children; leads and sensors other than those of the recordings it was tested on, unless you have validated "
        "them yourself; heart disease that the classes do not name."
    )


def contract(configuration: dict[str, Any]) -> str:
    """Sensor, lead, rate, frame, and the preprocessing step by step."""
    preprocessing = configuration["preprocessing"]
    fs, frame = preprocessing["fs"], preprocessing["frame"]
    leads = ", ".join(
        f"{' else '.join(preprocessing['leads'].get(database.name, database.leads))} ({database.name})"
        for database in training_databases(configuration)
    )
    takes = (
        f"{frame} features of each beat, no signal"
        if parse_config(configuration["config"], "configuration.json").input.cut == "features"
        else f"a frame of {frame} samples ({frame / fs:.2f} s)"
    )
    lines = [
        f"Sensor: single-lead ECG, in mV, at any sampling rate; it is resampled to {fs:g} Hz. Lead: {leads}. The "
        f"network takes {takes}.",
        "\n".join(f"{n}. {step}" for n, step in enumerate(preprocessing["steps"], start=1)),
    ]
    if features := preprocessing["rr_features"]:
        rows = "\n".join(f"| {f['name']} | {f['formula']} | {f['delay_beats']} |" for f in features)
        lines.append(f"| R-R feature | formula | following beats needed |\n| --- | --- | --- |\n{rows}")
    if shapes := preprocessing.get("template_features"):  # not in versions of before
        rows = "\n".join(f"| {f['name']} | {cell(f['formula'])} |" for f in shapes)
        lines.append(f"| template feature | formula |\n| --- | --- |\n{rows}")
    return "\n\n".join(lines)


def data_and_splits(configuration: dict[str, Any], metrics: Metrics) -> str:
    """Whose recordings trained, validated, calibrated and tested the model."""
    splits = configuration["splits"]
    opened = {e.split: len(e.records) for e in metrics.evaluations}
    rows = [
        f"| {use} | {cell(prose(DATABASES[get_split(name).database].title))} | {name} | "
        f"{len(records) + len(splits.get('left_out', {}).get(name, ()))} | "
        f"{opened.get(name, 0) if use == 'test' else len(records)} |"
        for use in ("pretrained", "train", "test")
        for name, records in splits.get(use, {}).items()
    ]
    calibration = sum(len(found) for records in configuration["calibration"].values() for found in records.values())
    scored = metrics.first
    taken = "at hand" + " that have a lead it takes" * (configuration["config"]["data"]["missing_lead"] == "skip")
    partial = [f"Of {name} only the {n} records {taken} were scored." for name, n in opened.items()
               if n < len(splits["test"].get(name, ()))]  # fmt: skip
    return "\n".join(
        [
            "| for | database | split | records | used |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"{len(splits['training_patients'])} patients trained it{_seen_before(splits)}, "
            f"{len(splits['validation_patients'])} validated "
            f"it, {len({r.patient for r in scored.by_record.values()})} of {scored.split} tested it; "
            f"{_shared(splits, metrics)}. "
            f"{calibration} training examples calibrated int8. `configuration.json` lists every record, patient and "
            "calibration example, and the hashes of the recordings.",
            *_training_leads(splits),
            *partial,
        ]
    )


def _training_leads(splits: dict[str, Any]) -> list[str]:
    """Which leads the training recordings gave; nothing of older versions, which do not say."""
    leads = [f"{name} of {count}" for name, count in splits.get("training_leads", {}).items()]
    return [f"Lead of the training recordings: {', '.join(leads)}."] if leads else []


def pretrained_people(splits: dict[str, Any]) -> set[str]:
    """``database/patient`` of everybody whom the pretrained network has learnt from; nobody without one."""
    return {
        f"{database.name}/{database.patient(record)}"
        for name, records in splits.get("pretrained", {}).items()
        for database in (get_database(get_split(name).database),)
        for record in records
    }


def _seen_before(splits: dict[str, Any]) -> str:
    before = len(pretrained_people(splits))
    return f" further, after the {before:,} of the network that it began as" if before else ""


def _shared(splits: dict[str, Any], metrics: Metrics) -> str:
    """Whether somebody is on both sides."""
    scored = metrics.first
    if scored.track == "random":
        return "the same people are in all of them"
    known = {*splits["training_patients"], *splits["validation_patients"], *pretrained_people(splits)}
    both = [name for name, r in scored.by_record.items() if f"{scored.dataset}/{r.patient}" in known]
    if not both:
        return "nobody is in two of them"
    return (
        f"nobody is in two of them but the person of record {', '.join(both)}, of whom another record is among the "
        f"training records of the field's usual split (`{scored.split}-no202` leaves {', '.join(both)} out)"
    )


def training(configuration: dict[str, Any]) -> str:
    """The configuration and hyperparameters: what differs from the defaults."""
    config = parse_config(configuration["config"], "configuration.json")
    tree = config.model_dump(mode="json", exclude_defaults=True, exclude=TEXTS | {"compression"})
    libraries = ", ".join(f"{name} {version}" for name, version in configuration["libraries"].items())
    return (
        f"{folded('Configuration; what is not said in it has its default', yaml_block({'name': config.name, **tree}))}"
        f"\n\nMade with {libraries}; revision `{configuration['git_revision']}`."
    )


def history(configuration: dict[str, Any]) -> str:
    """Where network and recipe come from, and by what figures this version was chosen."""
    said = [origin] if (origin := prose(configuration["origin"])) else []
    if before := configuration.get("remeasured"):  # older versions lack it, too
        said.append(
            f"The model's files are those of version {before['version']}, byte for byte; this version only adds "
            f"measurements and mends what was told, by revision `{before['git_revision']}`."
        )
    return "\n\n".join(said)


def licence(configuration: dict[str, Any]) -> str:
    """Of code and weights, with the notice that the data ask for, and how to cite."""
    name, version, weights = configuration["name"], configuration["version"], weights_licence(configuration)
    databases = training_databases(configuration)
    share_alike = any(database.share_alike for database in databases)
    lines = [f"Code: Apache-2.0. Weights: {weights}." if share_alike else f"Weights and code: {weights}."]
    lines += [
        f"Trained on information from the {database.title} ({database.name} {database.version}), which is made "
        f"available under {database.license}. {database.citation}"
        for database in databases
    ]
    authors = "Its makers, with heartzoo" if configuration.get("own_data") else "The heartzoo authors"
    lines.append(
        "To cite the model:\n\n```bibtex\n"
        f"@misc{{heartzoo-{name},\n  title = {{{name} {version}: {configuration['summary']}}},\n"
        f"  author = {{{{{authors}}}}},\n"
        f"  note = {{An ECG model for microcontrollers from heartzoo, version {version}}}\n}}\n```"
    )
    return "\n\n".join(lines)
