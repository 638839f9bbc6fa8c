"""Look through a camera every few seconds, unattended: mark lesions, print benign or malignant."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.cli import command
from edge.cli.output import write_line
from edge.cli.terminal import quiet_native_stderr, say
from edge.errors import OutputError
from edge.results import NOTICE

from .arguments import loop_settings, open_analyzer, parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import FrameType

    from edge.doctor.finding import Finding
    from edge.mqtt.publisher import Publisher

    from .interfaces import Camera, Viewer
    from .loop import SnapshotLoop
    from .snapshot import Snapshot
    from .store import Store


def main(
    arguments: Sequence[str] | None = None,
    prog: str = "python -m edge.camera",
    description: str | None = __doc__,
    **defaults: Any,
) -> int:
    """Run the command, with other defaults than its own, and return its exit status."""
    work = partial(parse, arguments, prog, description, **defaults)
    return command.run("edge.camera", lambda: _work(work()))


def _work(options: argparse.Namespace) -> int:
    # Where FFmpeg is told to talk, OpenCV prints what it says, and so whole addresses.
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ.pop("OPENCV_FFMPEG_DEBUG", None)
    from .check import check
    from .sources.choose import open_source

    open_camera = partial(
        open_source,
        options.source,
        interval_s=min(options.interval, 3600.0),
        timeout_s=options.read_timeout,
        size_wh=options.size,
    )
    with quiet_native_stderr():  # OpenCV and FFmpeg complain of every try
        logging.basicConfig(
            format="edge.camera: %(message)s", level=logging.INFO, stream=sys.stderr, force=True
        )
        if not options.check:
            return _loop(options, open_camera())
        return check(options, open_camera, _check_broker if options.mqtt else None)


def _loop(options: argparse.Namespace, camera: Camera) -> int:
    from .loop import SnapshotLoop
    from .notify import StatusFile, SystemdNotifier
    from .store import Store

    if sys.stdout is None:
        raise OutputError("standard output is closed")
    serve, live = _import_page() if options.page else (None, None)
    publish = _import_mqtt(options) if options.mqtt else None
    analyzer = open_analyzer(options)
    store = None
    if options.save != "none":
        store = Store(
            options.out,
            policy=options.save,
            keep=options.keep,
            min_free_bytes=options.min_free,
            positive=analyzer.contract.positive,
        )
    publisher = None
    if publish is not None and store is not None:
        publisher = publish(store, analyzer.contract.positive)
    systemd = SystemdNotifier()
    status = [StatusFile(options.status_file, store, publisher)] if options.status_file else []
    loop = SnapshotLoop(
        camera,
        analyzer,
        loop_settings(options),
        store=store,
        notifiers=[systemd, *status, *([] if publisher is None else [publisher])],
        viewer=live,
    )
    if serve is not None:
        from edge.doctor.__main__ import examine

        serve(
            options.page,
            loop,
            analyzer,
            store,
            live,
            doctor=partial(examine, options.model, options.out, options.contract),
            names=options.page_name,
            token_file=options.page_token,
        )
    _listen(loop)
    for number, snapshot in enumerate(loop):
        write_line(json.dumps(snapshot.to_dict()) if options.json else _text(snapshot))
        if number == 0 and not options.json:
            say(NOTICE)
    systemd.stopping()
    if publisher is not None:
        publisher.close()
    return 0


def _import_page() -> tuple[Any, Viewer]:
    with command.needing_extra("page", "--page"):
        from edge.page.live import Live
        from edge.page.serve import serve
    return serve, Live()


def _import_mqtt(options: argparse.Namespace) -> Callable[[Store, str], Publisher]:
    with command.needing_extra("mqtt", "--mqtt"):
        from edge.mqtt.broker import broker
        from edge.mqtt.publisher import publish
    return partial(
        publish,
        broker(options),
        pictures=options.mqtt_pictures,
        discovered_below=options.mqtt_discovery,
    )


def _check_broker(options: argparse.Namespace) -> Finding:
    with command.needing_extra("mqtt", "--mqtt"):
        from edge.mqtt.broker import broker
        from edge.mqtt.connection import check_broker
    return check_broker(broker(options))


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
        analysis = snapshot.analysis
        text += f"{analysis.label}, {analysis.answer}, {analysis.found}"
        text += "".join(f"; warning: {warning}" for warning in analysis.warnings)
    return f"{text} -> {snapshot.saved}" if snapshot.saved else text


if __name__ == "__main__":
    # A thread that hangs in the camera's driver would not let Python end by itself.
    os._exit(main())
