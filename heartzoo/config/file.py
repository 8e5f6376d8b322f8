"""Reading a configuration: YAML files with a base, overrides on the command line, and errors of one line."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from heartzoo.config import Config
from heartzoo.errors import UserError, first_line, nearest

# ValueError: text that is not UTF-8, or looks like a date and is none.
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)
AnySection = TypeVar("AnySection", bound=BaseModel)


class _EachKeyOnce(yaml.SafeLoader):
    """YAML, but a key that a mapping has twice is an error instead of the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for name in (name for name, _ in node.value if isinstance(name, yaml.ScalarNode)):
            if name.value in seen:
                problem = f"{name.value} is there twice, again in line {name.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(problem=problem)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file and apply ``key=value`` overrides.

    Args:
        path: a YAML file. Its key ``base`` may name another, relative to it, whose tree it changes; of a base of
            another architecture it does not take over ``model``.
        overrides: such as ``training.epochs=5``; the value is read as YAML.

    Raises:
        UserError: the file is absent or no YAML mapping; a key is unknown (the nearest is named); a value has the
            wrong type or is out of range.
    """
    tree = read_tree(Path(path))
    for override in overrides:
        _apply(tree, override)
    changed = f" with --set {', '.join(override.partition('=')[0] for override in overrides)}" if overrides else ""
    return parse_config(tree, f"{path}{changed}")


def run_config(run: Path) -> Config:
    """The configuration of a run, from its folder.

    Raises:
        UserError: no run is there; as :func:`load_config`.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{run} holds no run", "train one with `heartzoo train CONFIG --out DIR`")
    return load_config(path)


def read_tree(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tree of a file, its base's with its own keys over them.

    Raises:
        UserError: the file is absent or no YAML mapping.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except FileNotFoundError as error:
        raise UserError(f"no configuration file {path}", "the published ones are in configs/") from error
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "name a YAML file such as those in configs/"
        ) from error
    except NOT_YAML as error:
        raise UserError(f"{path} is not YAML ({_what_is_wrong(error)})", "mend the file") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of keys, found {type(tree).__name__}", "see configs/ for examples")
    if "base" not in tree:
        return tree
    named = tree.pop("base")
    if not isinstance(named, str):
        raise UserError(
            f"{path}: base: expected the name of a file, found {_shown(named)}", "name one, or leave it out"
        )
    base = path.parent / named
    if base.resolve() in (other.resolve() for other in (*above, path)):
        raise UserError(f"{path}: base = {base.name} leads back to itself", "name another base")
    below = read_tree(base, (*above, path))
    if _architecture(tree) not in (None, _architecture(below)):
        for of_another_architecture in ("model", "summary"):
            below.pop(of_another_architecture, None)
    return _over(below, tree)


def _what_is_wrong(error: Exception) -> str:
    """What the parser complains of, and where; its own message begins with what it was at."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        return error.problem + (f", line {error.problem_mark.line + 1}" if error.problem_mark else "")
    return "nested too deeply" if isinstance(error, RecursionError) else first_line(error)


def _shown(value: Any) -> str:
    """A value as Python writes it, cut where it is long: aliases make trees of millions of leaves."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 120, 120
    return short.repr(value)


def _architecture(tree: dict[str, Any]) -> Any:
    model = tree.get("model")
    return model.get("architecture") if isinstance(model, dict) else None


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A tree with changes over it; sections are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def parse_config(tree: dict[str, Any], source: str) -> Config:
    """Check a configuration tree.

    Args:
        tree: nested dictionaries, as from YAML or JSON.
        source: what to call it in an error.

    Raises:
        UserError: as :func:`load_config`.
    """
    return parse(Config, tree, source)


def parse(model: type[AnySection], tree: dict[str, Any], source: str) -> AnySection:
    """Check a tree against any section, as :func:`parse_config` does."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise explain(error, model, source) from error


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UserError(f"--set {override}: expected key=value", "for example --set training.epochs=5")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {override}: {parent} is a value, not a section", "name a key inside a section")
    try:
        tree[last] = yaml.load(text, _EachKeyOnce)
    except NOT_YAML as error:
        raise UserError(f"--set {override}: the value is not YAML", "quote it") from error


def explain(error: ValidationError, model: type[BaseModel], source: str) -> UserError:
    """One line for the first of pydantic's complaints, with the nearest valid key for an unknown one."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys(model, first["loc"][:-1])
        return UserError(f"{source}: unknown key {where}", nearest(str(first["loc"][-1]), valid))
    if first["type"] == "missing":
        return UserError(f"{source}: {where} is missing", "add it")
    return UserError(f"{source}: {where}: {first['msg']}, found {_shown(first['input'])}", "mend the value")


def _keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
            model = inner[0] if inner else model
    return list(model.model_fields)
