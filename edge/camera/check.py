"""Tries what a loop needs: the loop itself for a few snapshots, the model, and the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.doctor.finding import Finding, failed, print_findings
from edge.doctor.folder import check_folder
from edge.doctor.software import check_model, check_runtime
from edge.errors import CameraError, LesionEdgeError
from edge.files import printable

from .arguments import loop_settings, open_analyzer
from .lock import LOCK, lock
from .loop import SnapshotLoop
from .sources.choose import TAKEN
from .store import pictures_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from edge.picture.decode import Picture
    from edge.results import Analysis

    from .interfaces import Camera, PictureAnalyzer
    from .settings import Settings
    from .snapshot import Snapshot

_SNAPSHOTS = 3
_INTERVAL_MOST_S = 2.0
_UNUSABLE = {"stale", "damaged", "wrong_size"}
_FIXES = {
    "blurred": "focus it, and clean the lens",
    "black": "take the cap off, or give it light",
    "saturated": "give it less light, or less exposure",
    "stale": "the picture doesn't change or comes late: is the camera live? If it is only slow, use"
    " a larger --max-age",
    "wrong_size": "set one frame size in the camera",
}
_FIX_DAMAGED = {
    "stream": "choose a smaller frame or a lower JPEG quality in the camera, or bring it nearer to"
    " its Wi-Fi",
    "device": "ask for a smaller frame (--size 640x480), or try another USB socket or cable",
    "file": "copy the pictures or the video again from where they come from",
}


def check(
    options: argparse.Namespace,
    open_camera: Callable[[], Camera],
    check_broker: Callable[[argparse.Namespace], Finding] | None = None,
) -> int:
    """Print findings on everything a loop of these options needs; return 1 if any failed."""
    findings = [
        check_runtime(options.model, options.contract),
        check_model(options.model, options.contract),
    ]
    analyzer: PictureAnalyzer = _NoAnalyzer()
    if not failed(findings):  # a runtime that ends its process would end this one, too
        try:
            analyzer = open_analyzer(options)
        except LesionEdgeError as error:
            findings.append(Finding("model", "failed", str(error), "see the other findings"))
    findings.insert(0, check_camera(open_camera, analyzer, loop_settings(options)))
    if options.save != "none":
        folder = check_folder(options.out, options.min_free, pictures_bytes(options.out))
        findings.append(check_lock(options.out, folder) if folder.level == "ok" else folder)
    if options.status_file:
        findings.append(check_status_file(options.status_file))
    if check_broker is not None:
        findings.append(check_broker(options))
    print_findings(findings, as_json=options.json)
    return 1 if failed(findings) else 0


def check_camera(
    open_camera: Callable[[], Camera], analyzer: PictureAnalyzer, settings: Settings
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
    if not os.path.isdir(path) and os.path.isdir(folder) and os.access(folder, os.W_OK):
        return Finding("status", "ok", f"{printable(path)}: can be written")
    fix = "choose a file in a folder that is there and yours: --status-file FILE"
    # The loop goes on without.
    return Finding("status", "warning", f"{printable(path)}: can't be written", fix)


def check_lock(folder: str, writable: Finding) -> Finding:
    """Try what keeps two loops out of a folder, which need not exist, and leave no file there.

    The answer is what was found when writing to it was tried, if all is well.
    """
    folder = existing = os.path.abspath(folder)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    path = os.path.join(existing, LOCK)
    made = not os.path.exists(path)
    try:
        descriptor, locked = lock(path)
    except BlockingIOError:
        problem = f"{printable(folder)}: another loop writes to this folder"
        fix = "give each loop its own: --out DIR; or stop the other one"
        return Finding("folder", "failed", problem, fix)
    except OSError as error:
        problem = f"{printable(path)}: can't be opened: {error.strerror}"
        return Finding("folder", "failed", problem, "choose another folder: --out DIR")
    if made:
        with suppress(OSError):
            os.unlink(path)
    os.close(descriptor)
    if locked:
        return writable
    problem = (
        f"{writable.message}, but this file system has no locks: two loops that write to it "
        "would not notice each other"
    )
    return Finding("folder", "warning", problem, "let only one loop write to this folder")


class _NoAnalyzer:
    """Stands in for an analyzer that can't be had: the camera is looked at all the same."""

    def analyze(self, _picture: Picture, /) -> Analysis:
        raise LesionEdgeError("no model to analyse with")


def _found(name: str, snapshots: list[Snapshot]) -> Finding:
    if not snapshots:
        return Finding("camera", "failed", f"{name}: gives no frame", f"--source takes {TAKEN}")
    states = [snapshot.frame_state for snapshot in snapshots]
    sizes = {each.frame.image_bgr.shape[1::-1] for each in snapshots if not each.frame.damage}
    text = f"{name}: {len(states)} snapshots ({', '.join(states)})"
    if sizes:
        text += f" of {' and '.join(f'{width}x{height}' for width, height in sorted(sizes))}"
    took_s = (snapshots[-1].captured_at - snapshots[0].captured_at).total_seconds()
    if len(snapshots) > 1 and took_s > 0:
        text += f", one every {took_s / (len(snapshots) - 1):.1f} s"
    kind = "stream" if "://" in name else "device" if name.startswith("/dev/") else "file"
    fixes = {**_FIXES, "damaged": _FIX_DAMAGED[kind]}
    problems = dict.fromkeys(state for state in states if state != "ok")
    fix = "; ".join(fixes[state] for state in problems) or None
    good = sum(state in ("ok", "blurred") for state in states)
    if _UNUSABLE & problems.keys() and good < 2:
        return Finding("camera", "failed", text, fix)
    return Finding("camera", "warning" if problems else "ok", text, fix)
