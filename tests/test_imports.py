"""Imports go one way, and what need not load Keras or TensorFlow does not. Read off the source; nothing is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# Low to high: a module imports from its own layer and from lower ones. An entry holds for the modules inside it too,
# unless one of them has an entry of its own. Everything in data but these tables knows the configuration.
LAYERS = (
    "_version allocator errors files interruption progress schema sizes stderr workers",
    "data.databases data.splits data.rr data.template",
    "config tasks metrics confidence personalisation prevalence flatbuffer",
    "data",
    "models runtime interpreters",
    "checkpoints recipes training compression",
    "evaluation metrics_file configuration_file predictors contract cheader cost",
    "zoo plots tables cards experiment_results classification firmware",
    "runs compression.quantization_report candidates export experiments zoo.remeasurement",
    "cli website __main__",
)
RANK = {f"heartzoo.{name}": rank for rank, names in enumerate(LAYERS) for name in names.split()}
RANK["heartzoo"] = len(LAYERS) - 1

# Not even inside a function.
NEVER = {
    "heartzoo.models": ("heartzoo.data",),
    "heartzoo.training": ("tensorflow",),
    "heartzoo.recipes": ("tensorflow",),
    "heartzoo.checkpoints": ("tensorflow",),
    "heartzoo.evaluation": ("heartzoo.models", "keras", "tensorflow"),
}
# Keras takes seconds to load: the other modules do it inside the function that needs it. TensorFlow: no exception.
LOAD_KERAS = (
    "heartzoo.models",
    "heartzoo.checkpoints",
    "heartzoo.recipes",
    "heartzoo.training",
    "heartzoo.runs",
    "heartzoo.compression",
    "heartzoo.candidates",
    "heartzoo.experiments",
    "heartzoo.export",
    "heartzoo.zoo.remeasurement",
)


class Import(NamedTuple):
    name: str
    line: int
    eager: bool  # done when the module is loaded, not inside a function or for type checkers only


def imports(nodes: Iterable[ast.AST], eager: bool = True) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "relative imports are not used"
            yield from (Import(f"{node.module}.{alias.name}", node.lineno, eager) for alias in node.names)
        else:
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            )
            yield from imports(ast.iter_child_nodes(node), eager and not later)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): list(imports([ast.parse(path.read_text(encoding="utf-8"))]))
    for path in sorted((ROOT / "heartzoo").rglob("*.py"))
}


def inside(name: str, outer: Iterable[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in outer)


def rank(name: str) -> int:
    """The layer of a module, or of a name in it."""
    while name not in RANK:
        name = name.rpartition(".")[0]
    return RANK[name]


def loaded_with(module: str, seen: set[str]) -> set[str]:
    """Everything that is loaded when a module is: its packages, its eager imports, and theirs."""
    if module not in seen:
        seen.add(module)
        loaded_with(module.rpartition(".")[0] or module, seen)
        for found in MODULES.get(module, []):
            if found.eager:
                loaded_with(found.name, seen)
    return seen


def test_every_layer_is_of_modules_that_there_are() -> None:
    assert not [name for name in RANK if name not in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_layer(module: str) -> None:
    known = module == "heartzoo" or ".".join(module.split(".")[:2]) in RANK
    assert known, f"{module} has no layer yet: add it to LAYERS in tests/test_imports.py"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    upward = [
        f"line {found.line}: {found.name}"
        for found in MODULES[module]
        if inside(found.name, ["heartzoo"]) and rank(found.name) > rank(module)
    ]
    assert not upward, f"{module} imports from a higher layer (LAYERS in tests/test_imports.py): {upward}"


def loads(module: str) -> set[str]:
    """The modules that are loaded before a module is: its packages are under way already."""
    found = set()
    for name in (found.name for found in MODULES[module] if found.eager and inside(found.name, ["heartzoo"])):
        parts = name.split(".")
        outer = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        found |= {each for each in outer if each in MODULES and not inside(module, [each])}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_waits_for_itself(module: str) -> None:
    seen: set[str] = set()
    waiting = loads(module)
    while waiting - seen:
        seen |= waiting
        waiting = {name for each in waiting for name in loads(each)}
    assert module not in seen, f"{module} is loaded by what it imports"


@pytest.mark.parametrize("module", [module for module in MODULES if inside(module, NEVER)])
def test_never_imported(module: str) -> None:
    forbidden = next(names for outer, names in NEVER.items() if inside(module, [outer]))
    found = [f"line {found.line}: {found.name}" for found in MODULES[module] if inside(found.name, forbidden)]
    assert not found, f"{module} must not import {forbidden}: {found}"


@pytest.mark.parametrize("module", MODULES)
def test_loads_neither_tensorflow_nor_unneeded_keras(module: str) -> None:
    heavy = ["tensorflow"] if inside(module, LOAD_KERAS) else ["tensorflow", "keras"]
    found = sorted(name for name in loaded_with(module, set()) if inside(name, heavy))
    assert not found, f"{module} loads {found}: import it inside the function that needs it"


@pytest.mark.parametrize(
    "module", [module for module in MODULES if not inside(module, ["heartzoo.plots", "heartzoo.website"])]
)
def test_loads_matplotlib_only_to_draw(module: str) -> None:
    assert not [name for name in loaded_with(module, set()) if inside(name, ["matplotlib"])]


def test_preparation_knows_all_the_code_that_makes_examples() -> None:
    from heartzoo.data.preparation import MAKERS

    of_data = {name.split(".")[2] for name in loaded_with("heartzoo.data.preparation", set()) if name.count(".") == 2}
    of_data = {name for name in of_data if f"heartzoo.data.{name}" in MODULES}
    others = {"databases", "download", "sources", "splits", "mapped"}  # which find recordings and read what was made
    assert of_data - others == set(MAKERS)


def test_importing_heartzoo_is_cheap() -> None:
    heavy = {"tensorflow", "keras", "numpy", "scipy", "sklearn", "h5py", "wfdb", "matplotlib", "pydantic"}
    script = f"import heartzoo, sys; print(*sorted({heavy} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_every_public_name_is_there():
    import heartzoo

    assert all(getattr(heartzoo, name) for name in heartzoo.__all__)
