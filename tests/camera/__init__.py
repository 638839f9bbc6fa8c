"""Tests of the camera: what each module promises, and the command as a user meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import run_module

if TYPE_CHECKING:
    from tests.conftest import Run


def run_camera(options: str, *more: str, env: dict[str, str] | None = None, **named: Any) -> Run:
    """Run the command with options as they are typed, and others whose values may hold spaces."""
    words = options.split()
    for name, value in named.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return run_module("edge.camera", *words, *more, env=env)
