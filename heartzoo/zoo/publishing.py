"""Putting versions into a zoo: each once and whole, never over another, and the index after them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from heartzoo.errors import UserError, nearest
from heartzoo.files import lock, write_bytes, writing
from heartzoo.progress import track
from heartzoo.zoo import Entry, choose, find, read_index, zoo_folder
from heartzoo.zoo import index as zoo_index
from heartzoo.zoo.index import CARD, VERSION, FileFacts, IndexEntry, entry_on_disk, version_key
from heartzoo.zoo.verification import verify


def check_free(zoo: Path, name: str, version: str) -> None:
    """Refuse a version that is not semantic or that exists already.

    Raises:
        UserError: either.
    """
    if not VERSION.match(version):
        raise UserError(f"{version!r} is not a version like 1.0.0", "name one with --version")
    listed = any((entry.name, entry.version) == (name, version) for entry in read_index(zoo))
    if listed or (zoo / name / version).exists():
        raise UserError(f"{name}@{version} exists and is never overwritten", "name a new --version")


def next_version(zoo: Path, name: str) -> str:
    """1.0.0 for a new model, else the newest version, here or listed, with its minor number raised."""
    present = [path.name for path in (zoo / name).glob("*") if VERSION.match(path.name)]
    present += [entry.version for entry in read_index(zoo) if entry.name == name]
    if not present:
        return "1.0.0"
    major, minor, _ = version_key(max(present, key=version_key))
    return f"{major}.{minor + 1}.0"


def publish(zoo: Path, name: str, version: str, files: dict[str, bytes]) -> Entry:
    """Put a new version into a zoo: all of its files at once, then the index.

    Args:
        zoo: the zoo's folder; made if absent.
        name: the model's name.
        version: a version that does not exist yet.
        files: file name -> content.

    Returns:
        The new entry.

    Raises:
        UserError: the version exists, or the disk is full; nothing is left behind then.
    """
    folder = zoo / name / version
    staging = zoo / name / f".part.{version}"
    with lock(zoo / "index.json"), writing(folder):
        check_free(zoo, name, version)
        known = read_index(zoo)
        for leftover in zoo.glob("*/.part.*"):  # of killed exports: nobody else publishes while the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            staging.mkdir(parents=True)
            for file, content in files.items():
                (staging / file).write_bytes(content)
            staging.rename(folder)
            write_index(zoo, known)
        except BaseException:
            for remains in (staging, folder):
                shutil.rmtree(remains, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # where it is empty
            raise
        if any(entry.name == name and entry.withdrawn for entry in known):
            _renew_cards(zoo, [f"{name}@{version}"])  # it tells of them
    return find(f"{name}@{version}", zoo)


def says_the_same(files: Mapping[str, bytes], entry: Entry) -> bool:
    """Whether configuration and metrics of new files say what a version's do, but for the version.

    False where the published files are not on disk, as for most versions in an installed package.
    """
    told, names = {"version", "remeasured"}, ("configuration.json", "metrics.json")
    try:
        stated = {name: json.loads(entry.path(name).read_bytes()) for name in names}
    except UserError:
        return False
    for name in names:
        before, after = stated[name], json.loads(files[name])
        if any(before.get(key) != after.get(key) for key in (before.keys() | after.keys()) - told):
            return False
    return True


def list_unlisted(zoo: Path) -> None:
    """List the whole versions that a killed export left out of the index."""
    if _unlisted(zoo, read_index(zoo)):
        with lock(zoo / "index.json"):
            write_index(zoo, read_index(zoo))


def withdraw(zoo: Path, name: str, reason: str) -> Entry:
    """Mark a version as withdrawn, in the index and on the model's cards. All other files stay, and so does its place.

    Args:
        zoo: the zoo's folder.
        name: ``NAME@VERSION``.
        reason: why, one sentence.

    Raises:
        UserError: no version is named, there is no such one, it is withdrawn already, or the reason is empty
            or no text.
    """
    if "@" not in name:
        raise UserError(f"{name!r} names no version", "a version is withdrawn, not a model: NAME@VERSION")
    if not reason.strip():
        raise UserError("a withdrawal needs its reason", "say why with --reason")
    try:
        reason.encode()
    except UnicodeEncodeError as error:  # a terminal with another encoding
        raise UserError("the reason is no text in UTF-8", "write it in that encoding, or without accents") from error
    find(name, zoo)  # before the lock, which would make the folder
    with lock(zoo / "index.json"):
        entry = find(name, zoo)
        if entry.withdrawn is not None:
            raise UserError(f"{name} is withdrawn already: {entry.withdrawn}", "nothing is left to do")
        update = {"withdrawn": reason.strip()}
        entries = [other.model_copy(update=update) if other.label == name else other for other in read_index(zoo)]
        for index, listed in enumerate(entries):
            if listed.name == entry.name:
                # Damaged or absent files (in an installed package most are) are no reason to leave it be.
                with suppress(UserError):
                    entries[index], _ = _with_card(listed, entries, zoo)
        zoo_index.write(zoo, entries)  # last: whoever was killed before may withdraw again
    return find(name, zoo)


def publish_to(
    target: Path, names: Sequence[str] = (), zoo: Path | None = None, served: Sequence[IndexEntry] = ()
) -> list[str]:
    """Put versions of a zoo into a folder that any static host can serve, beside what it holds already.

    Args:
        target: the folder; made if absent.
        names: ``NAME`` (all its versions) or ``NAME@VERSION``; default everything that is there.
        zoo: the zoo's folder; default :func:`heartzoo.zoo.zoo_folder`.
        served: what a host serves already, if the folder is to be copied over what is there: it gets the files of new
            versions alone, and an index of all.

    Returns:
        The versions that are new there, or withdrawn, or with another card, since the last time.

    Raises:
        UserError: no such model or version; one that does not verify; one that is there with other files; the folder
            lists a version whose files are nowhere, as one does that was made for another host. Nothing is changed
            then.
    """
    source = zoo or zoo_folder()
    listed = read_index(source)
    here = [entry for entry in listed if (source / entry.name / entry.version).is_dir()]
    named = {entry.label: entry for name in names for entry in _versions(name, listed)}
    chosen = list(named.values()) if names else here
    if not chosen:
        raise UserError(f"{source} holds no model", "name a zoo with --zoo")
    if problems := [
        problem for found in verify(source, [entry.label for entry in chosen]) for problem in found.problems
    ]:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{more}", "see heartzoo zoo verify")
    if not (target / "index.json").is_file() and any(target.glob("*/*/configuration.json")):
        raise UserError(f"{target} holds models, but its index.json is gone", "restore it, or name another folder")
    with lock(target / "index.json"):
        there = {entry.label: entry for entry in read_index(target)}
        elsewhere = there.keys() - {entry.label for entry in served}
        if lost := sorted(label for label in elsewhere if not (target / label.replace("@", "/")).is_dir()):
            raise UserError(
                f"{target} lists {lost[0]}, whose files are neither there nor served", "name another, empty folder"
            )
        there |= {entry.label: _kept(entry, there) for entry in served}
        for entry in chosen:
            if entry.label in there and _immutable(there[entry.label]) != _immutable(entry):
                raise UserError(
                    f"{target} holds {entry.label} with other files, and a version is never overwritten",
                    "publish it under another version",
                )
        entries = there | {entry.label: _kept(entry, there) for entry in chosen}
        changed = [entry for entry in chosen if there.get(entry.label) != entries[entry.label]]
        if not (target / "index.json").is_file():
            zoo_index.write(target, there.values())  # first, so that an interrupted call can be made again
        for entry in track(changed, len(changed), f"publish to {target}"):
            for file in entry.files:
                content = (source / entry.name / entry.version / file).read_bytes()
                write_bytes(target / entry.name / entry.version / file, content)
        zoo_index.write(target, entries.values())
    return [entry.label for entry in changed]


def _immutable(entry: IndexEntry) -> dict[str, FileFacts]:
    """The files of a version that never change."""
    return {name: facts for name, facts in entry.files.items() if name != CARD}


def _kept(entry: IndexEntry, there: Mapping[str, IndexEntry]) -> IndexEntry:
    """The entry; the one that is there already, with its card, where that alone is withdrawn."""
    old = there.get(entry.label)
    return old if old and old.withdrawn is not None and entry.withdrawn is None else entry


def _versions(name: str, listed: list[IndexEntry]) -> list[IndexEntry]:
    if "@" in name:
        return [choose(name, listed)]
    found = [entry for entry in listed if entry.name == name]
    if not found:
        raise UserError(f"unknown model {name!r}", nearest(name, {entry.name for entry in listed}))
    return found


def write_index(zoo: Path, known: Sequence[IndexEntry] = ()) -> None:
    """Write ``index.json``: what is known, and what else lies on disk.

    Args:
        zoo: the zoo's folder.
        known: entries that are kept as they are: files damaged since stay so, and a version that is listed without
            its files, as most are in an installed package, stays listed.
    """
    zoo_index.write(zoo, [*known, *map(entry_on_disk, _unlisted(zoo, known))])


def _unlisted(zoo: Path, known: Sequence[IndexEntry]) -> list[Path]:
    """Folders of whole versions that are none of the known."""
    labels = {model.label for model in known}
    folders = (path.parent for path in zoo.glob("*/*/configuration.json"))
    return [path for path in folders if VERSION.match(path.name) and f"{path.parent.name}@{path.name}" not in labels]


def rewrite_cards(zoo: Path) -> list[str]:
    """Make the card of every version anew.

    It is made from the version's other files, which never change, and from what the index says of withdrawn ones.

    Args:
        zoo: the zoo's folder.

    Returns:
        The versions whose card is another one now.

    Raises:
        UserError: a file is missing or damaged.
    """
    with lock(zoo / "index.json"):
        return _renew_cards(zoo, [entry.label for entry in read_index(zoo)])


def _renew_cards(zoo: Path, labels: Sequence[str]) -> list[str]:
    known = read_index(zoo)
    renewed = {
        label: _with_card(next(entry for entry in known if entry.label == label), known, zoo)
        for label in track(labels, len(labels), "cards")
    }
    zoo_index.write(zoo, [renewed[entry.label][0] if entry.label in renewed else entry for entry in known])
    return [label for label, (_, is_other) in renewed.items() if is_other]


def _with_card(listed: IndexEntry, known: Sequence[IndexEntry], zoo: Path) -> tuple[IndexEntry, bool]:
    """Make the card of a version anew; its entry, which names the card's hash, and whether it is another card now."""
    from heartzoo.cards import card

    entry = find(listed.label, zoo)
    others = {name: facts.model_dump() for name, facts in _immutable(listed).items()}
    content = card(
        entry.configuration,
        entry.metrics,
        others,
        listed.withdrawn,
        zoo_index.withdrawn_others(known, listed.name, listed.version),
    ).encode()
    path = entry.folder / CARD
    is_other = not path.is_file() or path.read_bytes() != content
    if is_other:
        write_bytes(path, content)
    files = dict(sorted({**listed.files, CARD: zoo_index.facts(content)}.items()))
    return listed.model_copy(update={"files": files}), is_other
