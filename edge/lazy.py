"""Imports a package's public names when each is first used.

``python -m edge.doctor`` has to start where numpy, OpenCV or a TFLite runtime can't, and a command
has to say so in a line.  No module of the package may be called as one of the names is.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Attached = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]


def attach(package: str, modules: Mapping[str, str]) -> Attached:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package (PEP 562).

    Args:
        package: its name.
        modules: by module below the package, the public names in it, with spaces between them.

    """
    module_of = {name: module for module, names in modules.items() for name in names.split()}
    own = vars(sys.modules[package])

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        own[name] = value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        return value

    return get, lambda: sorted({*own, *module_of}), sorted(module_of)
