"""What the package offers is what it says, and nothing appears by accident."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import edge
from edge import errors
from tests.support.pictures import ROOT


def test_the_public_names_are_these() -> None:
    assert edge.__all__ == sorted(edge.__all__)
    public = {
        name
        for name in dir(edge)
        if not name.startswith("_") and not inspect.ismodule(getattr(edge, name))
    }
    assert public - {"TYPE_CHECKING", "annotations"} == set(edge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Analyser'"):
        _ = edge.Analyser  # type: ignore[attr-defined]


def test_no_module_is_called_as_a_public_name_is() -> None:
    """Importing the module would put it in the name's place."""
    modules = {path.stem for path in (ROOT / "edge").glob("*.py")}
    assert not modules & set(edge.__all__)


def test_the_package_and_what_finds_faults_start_without_numpy_opencv_and_a_runtime() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numpy', 'cv2', 'ai_edge_litert')));"
        "import edge, edge.doctor.board, edge.doctor.software, edge.doctor.folder, edge.doctor;"
        "print(edge.ModelError.__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("ModelError\n", "")


def test_every_public_name_is_documented() -> None:
    for name in edge.__all__:
        value = getattr(edge, name)
        assert inspect.getdoc(value), name
        if inspect.isclass(value):
            for member, function in inspect.getmembers(value, inspect.isfunction):
                if not member.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{member}"


def test_every_error_is_of_one_tree_and_also_a_builtin() -> None:
    tree = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(tree) == 7
    for error in tree:
        assert issubclass(error, errors.LesionEdgeError)
        if error is not errors.LesionEdgeError:
            assert issubclass(error, ValueError | ImportError | ArithmeticError | OSError), error


def test_the_lowest_modules_import_nothing_of_ours() -> None:
    for name in ("cli/terminal", "doctor/board", "errors", "files", "lazy"):
        source = (ROOT / "edge" / f"{name}.py").read_text()
        assert not re.search(r"^\s*(from \.|from edge|import edge)", source, re.MULTILINE), name
