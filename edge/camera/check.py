"""``--check``: is there a camera that shows something, a model that works, a disk to write to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import CameraError
from edge.findings import (
    Finding,
    check_folder,
    check_model,
    check_runtime,
    failed,
    print_findings,
)

from .clock import SystemClock
from .frames import look
from .reader import Ended, Got, Opened, Reader

if TYPE_CHECKING:
    import argparse

    from .cameras import Camera


def check(options: argparse.Namespace, camera: Camera) -> int:
    """Print findings on everything a loop of these options needs; return 1 if any failed."""
    findings = [
        check_camera(camera, warmup=options.warmup or 0, timeout_s=options.read_timeout * 3),
        check_runtime(options.model),
        check_model(options.model),
    ]
    if options.save != "none":
        findings.append(check_folder(options.out, options.min_free))
    print_findings(findings, as_json=options.json)
    return 1 if failed(findings) else 0


def check_camera(camera: Camera, *, warmup: int, timeout_s: float) -> Finding:
    """Open a camera and look at one frame of it."""
    clock = SystemClock()
    inbox = clock.mailbox()
    reader = Reader(camera, clock, inbox, warmup=warmup)
    reader.request()
    until = clock.monotonic() + timeout_s
    while (left := until - clock.monotonic()) > 0:
        message = inbox.get(left)
        if isinstance(message, Got):
            reader.stop()
            image = message.frame.image_bgr
            state = look(image)
            text = f"{camera.name}: {image.shape[1]}x{image.shape[0]}, the picture is {state}"
            if state == "ok":
                return Finding("camera", "ok", text)
            return Finding("camera", "warning", text, "look at the lens, the light and the focus")
        if isinstance(message, Ended):
            return _failed(message.error or CameraError(f"{camera.name}: gives no frame"))
        assert message is None or isinstance(message, Opened)
    reader.stop()
    return _failed(CameraError(f"{camera.name}: gives no frame within {timeout_s:g} s"))


def _failed(error: CameraError) -> Finding:
    fix = error.fix or "unplug the camera and plug it in again"
    return Finding("camera", "failed", error.problem, fix)
