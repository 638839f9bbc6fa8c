"""Reads the options of ``python -m edge.camera``."""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from edge.cli.arguments import add_model_options, count, make_parser, model_settings, path
from edge.files import printable
from edge.results import NOTICE

from .settings import Patience, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.analyzer import Analyzer

_EPILOG = f"""\
A snapshot is a line on standard output; what happens to camera and disk is told on standard error,
once each. SIGTERM and SIGINT end it, SIGHUP opens the camera anew.

A password in an address is never printed or saved, but 'ps' shows the command. @FILE stands for
what is in FILE, an argument a line: --source @/etc/camera-address

exit status: 0 ended by a signal, --count or the end of a file; 1 no camera, no model, or given up;
2 wrong usage; 3 the camera's driver hangs and only a restart helps; 130 interrupted twice.

{NOTICE}"""
_SOURCE = """\
a device's number, /dev/videoN or /dev/v4l/by-id/NAME, which stays a USB camera's own; an rtsp or
http(s) address, of a stream or of a JPEG that is fetched anew each time; picamera2; a video file;
or a folder of pictures played as a camera (default: 0)"""
_SAVE = """\
which annotated pictures to save: positive is also those whose label is uncertain, changed is those
whose label or frame state is another than before; each snapshot but with none gets a line in the
day's log (default: all)"""
_WARMUP = """\
frames to discard after each opening, for as long as a read may take at most (default: 10 of a
camera that gives a stream, else 0)"""
_TIMEOUT = "give up a read after this long, opening after three times as long (default: 5)"
_STATUS = "keep counts, camera, disk and temperature in this JSON file; best below /run"
_PAGE = """\
also show the camera, what is captured and what was saved in a browser; another address than
127.0.0.1, such as 0.0.0.0:8080, asks for the token that is printed"""
_PAGE_HASH = """\
always ask for a token, and keep its hash in this file: the token is printed once, and made anew
where the file is missing"""
_CHECK = """\
take three snapshots as the loop does, try model, disk and broker, save nothing, say what is wrong
and how to mend it, and end"""
_MQTT = """\
send each snapshot to an MQTT broker, once and in order: mqtts://HOST/PREFIX, or mqtt:// without
encryption; what isn't sent yet waits in --out (default PREFIX: lesion-edge/ and the host's name)"""
_LOGIN = """\
user and password, a line each; or LESION_EDGE_MQTT_USER and LESION_EDGE_MQTT_PASSWORD in the
environment"""
_DISCOVERY = """\
below which topic Home Assistant looks for devices; '' for none (default: homeassistant)"""


def parse(
    arguments: Sequence[str] | None, prog: str, description: str | None, **defaults: Any
) -> argparse.Namespace:
    """Return the options; end the process with status 2 where they are wrong.

    Args:
        arguments: None is those of this process.
        prog: what the command is called.
        description: what it does.
        defaults: of options that have others than edge.camera's.

    """
    parser = make_parser(prog, description, _EPILOG)
    add: Any = parser.add_argument

    def seconds(name: str, help_: str, default: float | None = None) -> None:
        add(name, type=_seconds, metavar="SECONDS", default=default, help=help_)

    add("--source", default="0", help=_SOURCE)
    seconds("--interval", "between snapshots (default: 10; of the page: none but captures)", 10.0)
    add("--count", type=count, metavar="N", help="end after so many snapshots (default: never)")
    where = "where to save (default: ./snapshots)"
    add("--out", type=path, default="snapshots", metavar="DIR", help=where)
    add("--save", choices=("all", "positive", "changed", "none"), default="all", help=_SAVE)
    keep = "pictures to keep, the oldest go (default: 1000)"
    add("--keep", type=count, default=1000, metavar="N", help=keep)
    free = "leave so much of the disk free: 500M, 2G (default: 200M)"
    add("--min-free", type=_bytes, default="200M", metavar="SIZE", help=free)
    add("--json", action="store_true", help="JSON Lines instead of text")
    add_model_options(parser)
    add("--size", type=_size, metavar="WxH", help="frame size to ask the camera for")
    add("--warmup", type=_whole, metavar="N", help=_WARMUP)
    seconds("--max-age", "an older frame is never analysed (default: 2)", 2.0)
    seconds("--read-timeout", _TIMEOUT, 5.0)
    wait = "keep trying if there is no camera at the start, too"
    add("--wait-for-camera", action="store_true", help=wait)
    seconds("--give-up", "end with status 1 if the camera is lost for so long (default: never)")
    add("--status-file", type=path, metavar="FILE", help=_STATUS)
    add("--check", action="store_true", help=_CHECK)
    add("--page", type=_address, metavar="[HOST:]PORT", help=_PAGE)
    name = "a host name that leads to this machine, such as a proxy's (may be repeated)"
    add("--page-name", action="append", default=[], metavar="NAME", help=name)
    add("--page-token", type=path, metavar="FILE", help=_PAGE_HASH)
    add("--mqtt", metavar="ADDRESS", help=_MQTT)
    add("--mqtt-login", type=path, metavar="FILE", help=_LOGIN)
    trusted = "who may have signed the broker's certificate (default: whom the system trusts)"
    add("--mqtt-ca", type=path, metavar="FILE", help=trusted)
    own = "this device's own certificate, and its key unless --mqtt-key has it"
    add("--mqtt-cert", type=path, metavar="FILE", help=own)
    add("--mqtt-key", type=path, metavar="FILE", help="the key of --mqtt-cert")
    add("--mqtt-pictures", action="store_true", help="send the annotated pictures, too")
    add("--mqtt-discovery", default="homeassistant", metavar="TOPIC", help=_DISCOVERY)
    parser.set_defaults(**defaults)
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
    if options.mqtt is not None and options.save == "none":
        parser.error("--mqtt: results wait in the folder of --out, so not with --save none")
    return options


def loop_settings(options: argparse.Namespace) -> Settings:
    """Return the loop's settings that the options ask for."""
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


def open_analyzer(options: argparse.Namespace) -> Analyzer:
    """Return the analyzer that the options ask for."""
    from edge.analyzer import Analyzer

    return Analyzer(**model_settings(options))


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


def _address(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:(\[[\da-fA-F:]+\]|[^:]+):)?(\d+)", text)
    if not match or int(match[2]) > 65535:
        raise argparse.ArgumentTypeError("must be PORT or HOST:PORT, such as 0.0.0.0:8080")
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError("must be WIDTHxHEIGHT, such as 1280x960")
    return int(match[1]), int(match[2])
