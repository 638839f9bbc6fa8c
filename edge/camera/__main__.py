"""Look through a camera every few seconds, unattended: mark lesions, print benign or malignant."""

from __future__ import annotations

import argparse
import codecs
import json
import logging
import os
import re
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.camera.sources.choose import open_source
from edge.cli.arguments import count, make_parser, path, share
from edge.cli.output import write_line
from edge.cli.terminal import open_streams, quiet_native_stderr, say
from edge.errors import LesionEdgeError, OutputError
from edge.files import printable
from edge.results import NOTICE

from .check import check, loop_settings, open_analyzer
from .loop import SnapshotLoop
from .notify import Both, StatusFile, SystemdNotifier
from .store import Store
from .supervisor import CameraStuckError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from edge.camera.sources.camera import Camera

    from .snapshot import Snapshot

_EPILOG = f"""\
A snapshot is a line on standard output; what happens to camera and disk is told on standard error,
once each. SIGTERM and SIGINT end it, SIGHUP opens the camera anew.

A password in an address is never printed or saved, but 'ps' shows the command. @FILE stands for
what is in FILE, an argument a line: --source @/etc/camera-address

exit status: 0 ended by a signal, --count or the end of a file; 1 no camera, no model, or given up;
2 wrong usage; 3 the camera's driver hangs and only a restart helps; 130 interrupted twice.

{NOTICE}"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.camera") -> int:
    """Run the command and return its exit status."""
    open_streams()
    # Where FFmpeg is told to talk, OpenCV prints what it says, and so whole addresses.
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ.pop("OPENCV_FFMPEG_DEBUG", None)
    options = _parse(arguments, prog)
    try:
        with quiet_native_stderr():  # OpenCV and FFmpeg complain of every try
            logging.basicConfig(
                format="edge.camera: %(message)s", level=logging.INFO, stream=sys.stderr, force=True
            )
            open_camera = partial(
                open_source, options.source, interval_s=options.interval,
                timeout_s=options.read_timeout, size_wh=options.size,
            )  # fmt: skip
            return check(options, open_camera) if options.check else _run(options, open_camera())
    except CameraStuckError as error:
        say(f"edge.camera: {error}")
        return 3
    except LesionEdgeError as error:
        say(f"edge.camera: {error}")
        return 1
    except BrokenPipeError:  # whoever read our output has enough
        return 1


def _run(options: argparse.Namespace, camera: Camera) -> int:
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    analyzer = open_analyzer(options)
    model = analyzer.contract.identity()
    store = None
    if options.save != "none":
        store = Store(
            options.out, policy=options.save, keep=options.keep, min_free_bytes=options.min_free,
            model=model, positive=analyzer.contract.labels[1],
        )  # fmt: skip
    systemd = SystemdNotifier()
    status = [StatusFile(options.status_file, store)] if options.status_file else []
    loop = SnapshotLoop(
        camera, analyzer, loop_settings(options), store=store, notifier=Both(systemd, *status)
    )
    _listen(loop)
    for number, snapshot in enumerate(loop):
        if options.json:
            line = snapshot.to_dict()
            if snapshot.analysis is not None:
                line["model"] = model
            write_line(json.dumps(line))
        else:
            write_line(_text(snapshot))
            if number == 0:
                say(NOTICE)
    systemd.stopping()
    return 0


def _listen(loop: SnapshotLoop) -> None:
    interrupted = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if number == signal.SIGINT and interrupted:
            os._exit(130)
        interrupted = number == signal.SIGINT
        loop.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, lambda *_: loop.reopen())


def _text(snapshot: Snapshot) -> str:
    text = f"{snapshot.captured_at:%Y-%m-%dT%H:%M:%SZ} {snapshot.source}: "
    if snapshot.analysis is None:
        text += str(snapshot.error or f"{snapshot.frame_state} frame, not analysed")
    else:
        found = len(snapshot.analysis.regions)
        text += (
            f"{snapshot.analysis.label}, {snapshot.analysis.answer}, "
            f"{found or 'no'} region{'' if found == 1 else 's'}"
        )
        warnings = list(snapshot.analysis.warnings)
        if snapshot.frame_state != "ok":
            warnings.append(f"the frame is {snapshot.frame_state}")
        text += "".join(f"; warning: {warning}" for warning in warnings)
    return f"{text} -> {snapshot.saved}" if snapshot.saved else text


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add: Any = parser.add_argument
    add("--source", default="0", help="a device's number, /dev/videoN or /dev/v4l/by-id/NAME,"
        " which stays a USB camera's own; an rtsp or http(s) address, of a stream or of a JPEG that"
        " is fetched anew each time; picamera2; a video file; or a folder of pictures played as a"
        " camera (default: 0)")  # fmt: skip
    add("--interval", type=_seconds, default=10.0, metavar="SECONDS",
        help="between snapshots (default: 10)")  # fmt: skip
    add("--count", type=count, metavar="N", help="end after so many snapshots (default: never)")
    add(
        "--out",
        type=path,
        default="snapshots",
        metavar="DIR",
        help="where to save (default: ./snapshots)",
    )
    add("--save", choices=("all", "positive", "changed", "none"), default="all",
        help="which annotated pictures to save; each snapshot but with none gets a line in the"
        " day's log (default: all)")  # fmt: skip
    add("--keep", type=count, default=1000, metavar="N",
        help="pictures to keep, the oldest go (default: 1000)")  # fmt: skip
    add("--min-free", type=_bytes, default=_bytes("200M"), metavar="SIZE",
        help="leave so much of the disk free: 500M, 2G (default: 200M)")  # fmt: skip
    add("--json", action="store_true", help="JSON Lines instead of text")
    add("--model", metavar="FILE", help="a .tflite file made by python -m convert")
    add("--contract", metavar="FILE", help="the contract (JSON) of a --model that has none of its"
        " own")  # fmt: skip
    add("--threads", type=count, metavar="N", help="cores to use (default: all, four at most)")
    add("--threshold", type=share, metavar="P", help="malignant from this probability on")
    add("--size", type=_size, metavar="WxH", help="frame size to ask the camera for")
    add("--warmup", type=_whole, metavar="N", help="frames to discard after each opening, for as"
        " long as a read may take at most (default: 10 of a camera that gives a stream, else 0)"
    )  # fmt: skip
    add("--max-age", type=_seconds, default=2.0, metavar="SECONDS",
        help="an older frame is never analysed (default: 2)")  # fmt: skip
    add("--read-timeout", type=_seconds, default=5.0, metavar="SECONDS",
        help="give up a read after this long, opening after three times as long"
        " (default: 5)")  # fmt: skip
    add("--wait-for-camera", action="store_true",
        help="keep trying if there is no camera at the start, too")  # fmt: skip
    add("--give-up", type=_seconds, metavar="SECONDS",
        help="end with status 1 if the camera is lost for so long (default: never)")  # fmt: skip
    add("--status-file", type=path, metavar="FILE", help="keep counts, camera, disk and temperature"
        " in this JSON file; best below /run")  # fmt: skip
    add("--check", action="store_true", help="take three snapshots as the loop does, try model and"
        " disk, save nothing, say what is wrong and how to mend it, and end")  # fmt: skip
    try:
        given = _from_files(sys.argv[1:] if arguments is None else arguments)
    except OSError as error:
        parser.error(f"{printable(error.filename)}: can't be read: {error.strerror}")
    options, unknown = parser.parse_known_args(given)
    if unknown:  # not as argparse tells it: an address without --source may hold a password
        names = [each.partition("=")[0] for each in unknown if each.startswith("--")]
        parser.error(
            f"unknown: {', '.join(names)}" if names else "a camera is named with --source in front"
        )
    if options.contract and not options.model:
        parser.error("--contract goes with --model: the default model has its own")
    return options


def _from_files(arguments: Sequence[str]) -> list[str]:
    """Put what is in FILE, an argument a line, in the place of each @FILE."""
    given: list[str] = []
    for argument in arguments:
        if argument[:1] != "@":
            given.append(argument)
            continue
        with open(argument[1:], "rb") as file:
            lines = file.read().removeprefix(codecs.BOM_UTF8).splitlines()
        given += [os.fsdecode(line) for line in lines if line.strip()]
    return given


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)B?", text.upper())
    if not match:
        raise argparse.ArgumentTypeError("must be a number of bytes, such as 500M or 2G")
    return int(match[1]) * {"": 1, "K": 1000, "M": 10**6, "G": 10**9}[match[2]]


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError("must be WIDTHxHEIGHT, such as 1280x960")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    # A thread that hangs in the camera's driver would not let Python end by itself.
    os._exit(main())
