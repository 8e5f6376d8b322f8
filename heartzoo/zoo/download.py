"""Getting published models from a folder or from any web server that serves one: checked, resumable, kept offline."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from heartzoo.data.sources import Absent, Fetch, FileError, Unreachable, open_source
from heartzoo.errors import UserError, nearest
from heartzoo.files import atomic_path, lock, sha256, writing
from heartzoo.progress import track
from heartzoo.zoo import choose, downloads, read_index, zoo_folder
from heartzoo.zoo.index import CARD, MOST_INDEX_BYTES, FileFacts, Index, IndexEntry, parse, write
from heartzoo.zoo.verification import check_keras

OFFLINE = "check the connection, or name another zoo with --zoo or HEARTZOO_ZOO; running again resumes"


def download(
    name: str, assets: str | Sequence[str] | None = None, out: str | Path | None = None, zoo: str | Path | None = None
) -> Path:
    """Get files of a published model. What is there already, with the right hash, is not fetched again.

    Args:
        name: ``NAME`` (its newest version that is not withdrawn) or ``NAME@VERSION``.
        assets: name of a file, such as ``"model.tflite"``, or of several; default all of them.
        out: folder for the files; default one in the cache, from where :func:`heartzoo.load` finds them. A file
            that is there is replaced only if it is one of the model's, of whatever version.
        zoo: URL (``http``, ``https``) or folder that holds ``index.json`` and ``NAME/VERSION/FILE``; default
            ``HEARTZOO_ZOO``, else the zoo that is installed with heartzoo.

    Returns:
        The folder that holds the files.

    Raises:
        UserError: no such model, version or file; a source that cannot be reached, with nothing in the cache; a file
            that is not the one that the index names, or that holds code; another file in its place. Nothing
            half-written is left under a file's name then, and what came whole stays.
    """
    source = str(zoo or os.environ.get("HEARTZOO_ZOO") or zoo_folder())
    with _opened(source) as fetch:
        listed = _index(source, fetch).models
        _note_withdrawals(listed)
        entry = choose(name, listed)
        if entry.withdrawn is not None:
            print(f"heartzoo: {entry.label} is withdrawn: {entry.withdrawn}", file=sys.stderr)
        wanted = [assets] if isinstance(assets, str) else list(dict.fromkeys(assets or entry.files))
        for asset in wanted:
            if asset not in entry.files:
                raise UserError(f"{entry.label} has no file {asset!r}", nearest(asset, entry.files))
        target = Path(out) if out else downloads() / entry.name / entry.version
        if out:
            _keep_others(target, wanted, [other for other in listed if other.name == entry.name])
        for asset in track(wanted, len(wanted), f"download {entry.label}"):
            _get(entry, asset, target / asset, fetch, [downloads()] if zoo else [downloads(), zoo_folder()])
    if out is None:
        _list(entry)
    return target


def _keep_others(folder: Path, wanted: Sequence[str], versions: Sequence[IndexEntry]) -> None:
    """Refuse to replace files that are none of the model's."""
    for asset in wanted:
        path = folder / asset
        own = {version.files[asset].sha256 for version in versions if asset in version.files}
        if path.exists() and not (path.is_file() and (sha256(path) in own or _is_card(path))):
            raise UserError(f"{path} is there and is no file of {versions[0].name}", "name another folder with --out")


def _is_card(path: Path) -> bool:
    """Whether it is a model's card, which is made anew now and then."""
    return path.name == CARD and b"\nlibrary_name: heartzoo\n" in path.read_bytes()[:200]


def index_of(source: str) -> Index:
    """The index that a URL or folder serves now.

    Raises:
        UserError: there is none, or it cannot be reached.
    """
    with _opened(source) as fetch, TemporaryDirectory() as folder:
        place = f"{source.rstrip('/')}/index.json"
        try:
            fetch("index.json", Path(folder) / "index.json", MOST_INDEX_BYTES)
        except FileError as error:
            raise UserError(
                f"{place} cannot be had ({error})",
                "check the address; a new zoo begins as a folder that is published into",
            ) from error
        except UserError as error:
            raise UserError(error.problem, OFFLINE) from error
        return parse((Path(folder) / "index.json").read_bytes(), place)


def _opened(source: str) -> Any:
    if "://" not in source and not Path(source).is_dir():
        raise UserError(f"no zoo {source}", "name a URL or a folder that holds index.json")
    return open_source(source.rstrip("/"), workers=1, stop=Event())


def _index(source: str, fetch: Fetch) -> Index:
    """The source's index; of one that cannot be reached now the one it had the last time."""
    place = f"{source.rstrip('/')}/index.json"
    kept = downloads() / f"index-{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"
    try:
        with atomic_path(kept) as temporary:
            fetch("index.json", temporary, MOST_INDEX_BYTES)
            found = parse(temporary.read_bytes(), place)
    except FileError as error:
        raise UserError(f"{place} cannot be had ({error})", "name a URL or a folder that holds index.json") from error
    except Unreachable as error:
        if not kept.is_file():
            raise UserError(error.problem, OFFLINE) from error
        print(f"heartzoo: {error.problem}: its index of the last time is used", file=sys.stderr)
        return parse(kept.read_bytes(), str(kept))
    return found


def _get(entry: IndexEntry, asset: str, path: Path, fetch: Fetch, near: Sequence[Path]) -> None:
    facts = entry.files[asset]
    below = Path(entry.name) / entry.version / asset
    if _right(path, facts):
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for known in (folder / below for folder in near):
        if _right(known, facts):
            with atomic_path(path) as temporary:
                shutil.copyfile(known, temporary)
            return
    # Named by its hash, so that another run, or one after a kill, goes on where this one ends.
    partial = downloads() / ".partial" / facts.sha256
    with lock(partial), writing(partial):
        try:
            fetch(below.as_posix(), partial, facts.bytes)
        except FileError as error:
            remedy = "name another source with --zoo" if isinstance(error, Absent) else "run it again to resume"
            if partial.is_file() and partial.stat().st_size > facts.bytes:
                partial.unlink()
                remedy = "do not trust this source"
            raise UserError(f"{entry.label}: {asset} cannot be had ({error})", remedy) from error
        except UserError as error:
            raise UserError(f"{entry.label}: {asset}: {error.problem}", OFFLINE) from error
        if not _right(partial, facts):
            found = partial.stat().st_size
            partial.unlink()
            raise UserError(
                f"{entry.label}: {asset} is not the file that the index names ({found:,} of {facts.bytes:,} bytes, "
                "another SHA-256)",
                "run it again; if it stays so, do not trust this source",
            )
        if asset.endswith(".keras"):
            try:
                check_keras(partial)
            except UserError as error:
                partial.unlink()
                raise UserError(f"{entry.label}: {asset}: {error.problem}", error.remedy) from error
        with atomic_path(path) as temporary:
            shutil.move(partial, temporary)


def _right(path: Path, facts: FileFacts) -> bool:
    return path.is_file() and path.stat().st_size == facts.bytes and sha256(path) == facts.sha256


def _note_withdrawals(listed: Sequence[IndexEntry]) -> None:
    """Mark versions in the cache that have been withdrawn since they were downloaded."""
    withdrawn = {entry.label: entry for entry in listed if entry.withdrawn is not None}

    def noted(known: IndexEntry) -> IndexEntry:
        told = withdrawn.get(known.label)
        # another zoo may have another model of that name
        same = told is not None and told.files.get("model.tflite") == known.files.get("model.tflite")
        return known.model_copy(update={"withdrawn": told.withdrawn}) if told and same else known

    if any(noted(known) != known for known in read_index(downloads())):
        with lock(downloads() / "index.json"):
            write(downloads(), [noted(known) for known in read_index(downloads())])


def _list(entry: IndexEntry) -> None:
    """Note in the cache what was downloaded into it, so that it is found by its name."""
    with lock(downloads() / "index.json"):
        others = [known for known in read_index(downloads()) if known.label != entry.label]
        write(downloads(), [*others, entry])
