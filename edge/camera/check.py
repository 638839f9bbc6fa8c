"""``--check``: the loop itself for a few snapshots, the model, and the disk to write to."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.analyzer import Analyzer
from edge.camera.sources.choose import TAKEN
from edge.doctor.findings import (
    Finding,
    check_folder,
    check_model,
    check_runtime,
    failed,
    print_findings,
)
from edge.errors import CameraError, LesionEdgeError
from edge.files import printable

from .loop import Settings, SnapshotLoop
from .store import LOCK, lock, pictures_bytes
from .supervisor import Patience

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from edge.camera.sources.camera import Camera
    from edge.picture.decode import Picture
    from edge.results import Analysis

    from .snapshot import Snapshot

_SNAPSHOTS = 3
_INTERVAL_MOST_S = 2.0


def open_analyzer(options: argparse.Namespace) -> Analyzer:
    """Return the analyzer that the command's options ask for."""
    return Analyzer(
        options.model,
        threads=options.threads,
        threshold=options.threshold,
        contract=options.contract,
    )


def loop_settings(options: argparse.Namespace) -> Settings:
    """Return the loop's settings that the command's options ask for."""
    return Settings(
        interval_s=options.interval,
        count=options.count,
        warmup=options.warmup,
        max_age_s=options.max_age,
        wait_for_camera=options.wait_for_camera,
        patience=Patience(
            open_s=options.read_timeout * 3, read_s=options.read_timeout, give_up_s=options.give_up
        ),
    )


def check(options: argparse.Namespace, open_camera: Callable[[], Camera]) -> int:
    """Print findings on everything a loop of these options needs; return 1 if any failed."""
    findings = [
        check_runtime(options.model, options.contract),
        check_model(options.model, options.contract),
    ]
    analyzer: Analyzer | _NoAnalyzer
    try:
        # A runtime that ends its process would end this one, too.
        analyzer = _NoAnalyzer() if failed(findings) else open_analyzer(options)
    except LesionEdgeError as error:
        findings.append(Finding("model", "failed", str(error), "see the other findings"))
        analyzer = _NoAnalyzer()
    findings.insert(0, check_camera(open_camera, analyzer, loop_settings(options)))
    if options.save != "none":
        folder = check_folder(options.out, options.min_free, pictures_bytes(options.out))
        findings.append(check_lock(options.out, folder) if folder.level == "ok" else folder)
    if options.status_file:
        findings.append(check_status_file(options.status_file))
    print_findings(findings, as_json=options.json)
    return 1 if failed(findings) else 0


def check_camera(
    open_camera: Callable[[], Camera], analyzer: Analyzer | _NoAnalyzer, settings: Settings
) -> Finding:
    """Run the loop for three snapshots that nobody saves, two seconds apart at most."""
    settings = replace(
        settings,
        interval_s=min(settings.interval_s, _INTERVAL_MOST_S),
        count=_SNAPSHOTS,
        wait_for_camera=False,
        patience=replace(settings.patience, give_up_s=settings.patience.open_s),
    )
    name = ""
    try:
        camera = open_camera()
        name = camera.name
        return _found(name, list(SnapshotLoop(camera, analyzer, settings)))
    except CameraError as error:
        again = "unplug the camera and connect it again"
        fix = again if name.startswith("/dev/") else f"--source takes {TAKEN}"
        return Finding("camera", "failed", error.problem, error.fix or fix)


def check_status_file(path: str) -> Finding:
    """Try the folder that the status file is written to, by the way it is written."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        return Finding(
            "status",
            "warning",  # the loop goes on without
            f"{printable(path)}: can't be written",
            "choose a file in a folder that is there and yours: --status-file FILE",
        )
    return Finding("status", "ok", f"{printable(path)}: can be written")


def check_lock(folder: str, writable: Finding) -> Finding:
    """Try what keeps two loops out of one folder, and leave no file there.

    Args:
        folder: the folder; it need not exist.
        writable: what was found when writing to it was tried, which is the answer if all is well.

    """
    folder = existing = os.path.abspath(folder)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    path = os.path.join(existing, LOCK)
    made = not os.path.exists(path)
    try:
        descriptor, locked = lock(path)
    except BlockingIOError:
        return Finding(
            "folder",
            "failed",
            f"{printable(folder)}: another loop writes to this folder",
            "give each loop its own: --out DIR; or stop the other one",
        )
    except OSError as error:
        return Finding(
            "folder",
            "failed",
            f"{printable(path)}: can't be opened: {error.strerror}",
            "choose another folder: --out DIR",
        )
    if made:
        with suppress(OSError):
            os.unlink(path)
    os.close(descriptor)
    if locked:
        return writable
    return Finding(
        "folder",
        "warning",
        f"{writable.message}, but this file system has no locks: two loops that write to it "
        "would not notice each other",
        "let only one loop write to this folder",
    )


class _NoAnalyzer:
    """Stands in for an analyzer that can't be had: the camera is looked at all the same."""

    def analyze(self, _picture: Picture) -> Analysis:
        """Refuse."""
        raise LesionEdgeError("no model to analyse with")


def _found(name: str, snapshots: list[Snapshot]) -> Finding:
    if not snapshots:
        return Finding("camera", "failed", f"{name}: gives no frame", f"--source takes {TAKEN}")
    states = [snapshot.frame_state for snapshot in snapshots]
    good = [each for each in snapshots if each.frame_state in ("ok", "blurred")]
    sizes = {each.frame.image_bgr.shape[1::-1] for each in snapshots if not each.frame.damage}
    text = f"{name}: {len(states)} snapshots ({', '.join(states)})"
    if sizes:
        text += f" of {' and '.join(f'{width}x{height}' for width, height in sorted(sizes))}"
    took_s = (snapshots[-1].captured_at - snapshots[0].captured_at).total_seconds()
    if len(snapshots) > 1 and took_s > 0:
        text += f", one every {took_s / (len(snapshots) - 1):.1f} s"
    problems = dict.fromkeys(state for state in states if state != "ok")
    fixes = {**_FIXES, "damaged": _damaged_fix(name)}
    fix = "; ".join(fixes[state] for state in problems) or None
    if any(state in _UNUSABLE for state in states) and len(good) < 2:
        return Finding("camera", "failed", text, fix)
    return Finding("camera", "warning" if problems else "ok", text, fix)


def _damaged_fix(name: str) -> str:
    if "://" in name:
        return (
            "choose a smaller frame or a lower JPEG quality in the camera, or bring it nearer to"
            " its Wi-Fi"
        )
    if name.startswith("/dev/"):
        return "ask for a smaller frame (--size 640x480), or try another USB socket or cable"
    return "copy the pictures or the video again from where they come from"


_UNUSABLE = ("stale", "damaged", "wrong_size")
_FIXES = {
    "blurred": "focus it, and clean the lens",
    "black": "take the cap off, or give it light",
    "saturated": "give it less light, or less exposure",
    "stale": "the picture doesn't change or comes late: is the camera live? If it is only slow, use"
    " a larger --max-age",
    "wrong_size": "set one frame size in the camera",
}
