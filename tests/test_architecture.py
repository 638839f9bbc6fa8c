"""The arrows between modules go the way that docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = (ROOT / "docs/architecture.md").read_text()
LEVELS = [
    line.split()
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
LEVEL_OF = {name: number for number, names in enumerate(LEVELS) for name in names}
MODULES = sorted(
    path
    for package in ("edge", "convert")
    for path in (ROOT / package).rglob("*.py")
    if path != ROOT / package / "__init__.py"
)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def group_of(module: str) -> str | None:
    return next((name for name in LEVEL_OF if f"{module}.".startswith(f"{name}.")), None)


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports at run time, wherever in it."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_every_module_has_its_place_on_the_page() -> None:
    assert [name for name in map(name_of, MODULES) if group_of(name) is None] == []
    assert len(LEVEL_OF) == sum(map(len, LEVELS))
    for name in LEVEL_OF:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_go_down(path: Path) -> None:
    own = group_of(name_of(path))
    assert own is not None
    for module in imported(path):
        other = group_of(module)
        if other is None or other == own:
            continue  # another package, or its own folder
        if own.startswith("convert."):
            assert LEVEL_OF[other] > LEVEL_OF[own] or other.startswith("edge."), module
        else:
            assert LEVEL_OF[other] > LEVEL_OF[own], module


def test_the_page_fits_on_a_page() -> None:
    assert len(PAGE.splitlines()) <= 80
