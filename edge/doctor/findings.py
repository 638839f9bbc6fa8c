"""Findings: what a check found, and how to put it right; and the checks that commands share.

Nothing here needs numpy, OpenCV or a TFLite runtime to be there: finding that out is the point.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from edge.cli.output import write_line
from edge.files import printable
from edge.libraries import is_known, pip
from edge.rights import make, sudo

if TYPE_CHECKING:
    from collections.abc import Iterable

Level: TypeAlias = Literal["ok", "warning", "failed"]

_TRIAL_BYTES = 64 << 10
"""What is written to try a folder: more than a file system keeps beside a file's name."""
_PROBE_TIMEOUT_S = 120.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at: one word, such as "model"."""
    level: Level
    message: str
    """One line."""
    fix: str | None = None
    """A command that puts it right, or a sentence where no command does."""


def failed(findings: Iterable[Finding]) -> bool:
    """Return whether any finding is "failed"."""
    return any(finding.level == "failed" for finding in findings)


def print_findings(
    findings: Iterable[Finding], *, as_json: bool = False, stream: TextIO | None = None
) -> None:
    """Print findings: a line each with its fix below, or one JSON object.

    The object is ``{"ok": whether none failed, "findings": [{"check", "level", "message", "fix"},
    ...]}``.

    Args:
        findings: what to print, in order.
        as_json: JSON rather than text.
        stream: where to; None is standard output.

    Raises:
        BrokenPipeError: whoever read our output is gone.
        OutputError: standard output can't be written.

    """
    findings = list(findings)
    lines = []
    if as_json:
        document = {"ok": not failed(findings), "findings": [asdict(each) for each in findings]}
        lines.append(json.dumps(document))
    else:
        width = max((len(finding.check) for finding in findings), default=0)
        for finding in findings:
            lines.append(
                f"{finding.level:<8} {finding.check:<{width}}  {printable(finding.message)}"
            )
            if finding.fix:
                lines.append(f"{'':<8} {'':<{width}}  fix: {printable(finding.fix)}")
    if stream is None:
        write_line("\n".join(lines))
    else:
        print("\n".join(lines), file=stream, flush=True)


def check_model(
    path: str | os.PathLike[str] | None = None, contract: str | os.PathLike[str] | None = None
) -> Finding:
    """Read a model file whole and check it and its contract; the runtime isn't asked.

    Args:
        path: the model file; None is the model that the package ships.
        contract: the contract's file, where the model is a TFLite file without one.

    """
    result = run_probe("from edge.doctor.probe import model; model()", *_named(path, contract))
    if "error" in result:
        return Finding("model", "warning", f"not checked, see the others: {result['error']}")
    if "model_error" in result:
        # An error of ours says what is wrong with what, and behind a semicolon what to do.
        problem, _, way_out = result["model_error"].partition("; ")
        return Finding("model", "failed", problem, way_out or "copy the file again")
    return Finding("model", "ok", result["about"])


def check_folder(
    folder: str | os.PathLike[str], min_free_bytes: int = 0, ours_bytes: int = 0
) -> Finding:
    """Try a folder by writing a file to it, flushed to the disk, and taking it away again.

    Folders that had to be made for it are taken away, too.

    Args:
        folder: what will be written to; it need not exist.
        min_free_bytes: fewer free bytes than this are a failure.
        ours_bytes: how many more can be made free, as files of ours are deleted there.

    """
    try:
        path = os.path.abspath(folder)
    except FileNotFoundError:
        return Finding("folder", "failed", "the folder that the shell is in was deleted", "cd")
    made: list[str] = []
    try:
        _make(path, made)
        _try_writing(path)
        free = shutil.disk_usage(path).free
    except OSError as error:
        return _folder_failed(path, error)
    finally:
        for each in reversed(made):
            with suppress(OSError):  # something else has put a file there: it stays
                os.rmdir(each)
    text = f"{path}: {_size(free)} free"
    if free + ours_bytes < min_free_bytes:
        return Finding(
            "folder",
            "failed",
            f"{text}, fewer than the {_size(min_free_bytes)} wanted: delete what is large",
            sudo(f"du -xh --max-depth=2 {shlex.quote(path)} | sort -h | tail"),
        )
    return Finding("folder", "ok", f"{text}, can be written")


def check_runtime(
    model: str | os.PathLike[str] | None = None, contract: str | os.PathLike[str] | None = None
) -> Finding:
    """Try the TFLite runtime in a process of its own: load a model, let it answer.

    So a library that ends its process, as one built for another processor does, is a finding too.

    Args:
        model: the model file to try it with; None is the model that the package ships.
        contract: the contract's file, where the model is a TFLite file without one.

    """
    result = run_probe("from edge.doctor.probe import runtime; runtime()", *_named(model, contract))
    if "error" in result:
        fix = result.get("fix") or pip("pip install --force-reinstall ai-edge-litert")
        return Finding("runtime", "failed", result["error"], fix)
    text = f"{result['package']} {result['version']} beside numpy {result['numpy']}"
    if "model_error" in result:
        return Finding("runtime", "warning", f"{text} loads; not tried: {result['model_error']}")
    return Finding("runtime", "ok", f"{text} answers")


def _named(*paths: str | os.PathLike[str] | None) -> list[str]:
    """Return paths as a probe's arguments; an empty one stands for None."""
    return ["" if path is None else os.fspath(path) for path in paths]


def run_probe(code: str, *arguments: str) -> Any:
    """Run Python code in a process of its own, with this one's module path.

    Returns:
        What JSON the code printed as its last line, or ``{"error": one line}``.

    """
    start = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); sys.argv[0] = 'probe'; "
    command = [sys.executable, "-c", start + code, json.dumps(sys.path), *arguments]
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="backslashreplace",
            stdin=subprocess.DEVNULL, timeout=_PROBE_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {_PROBE_TIMEOUT_S:.0f} s"}
    except OSError as error:
        return {"error": f"{sys.executable} can't be started: {error.strerror}"}
    if result.returncode < 0:
        name = signal.Signals(-result.returncode).name
        return {"error": f"the process died by {name}: a library not made for this processor?"}
    try:
        return json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        return {"error": next(filter(is_known, lines), lines[-1]).strip()}


def _make(path: str, made: list[str]) -> None:
    """Make a folder and its parents; note each that was made."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        _make(parent, made)
    os.mkdir(path)
    made.append(path)


def _try_writing(folder: str) -> None:
    trial = os.path.join(folder, f".lesion-edge-{os.getpid()}-{os.urandom(4).hex()}.trial")
    try:
        with open(trial, "xb", buffering=0) as stream:
            left = _TRIAL_BYTES
            while left > 0:  # an unbuffered write may take a part only
                left -= stream.write(bytes(left))
            os.fsync(stream.fileno())
    finally:
        with suppress(FileNotFoundError):
            os.unlink(trial)


def _folder_failed(path: str, error: OSError) -> Finding:
    there = path
    while not os.path.lexists(there):  # df and findmnt know nothing of what isn't there
        there = os.path.dirname(there)
    fix = "choose another folder"
    if error.errno in _FULL:
        # All places for names (inodes) may be taken while bytes are left.
        fix = f"df -h {shlex.quote(there)}; df -i {shlex.quote(there)}"
    elif error.errno == errno.EROFS:
        fix = sudo(f'mount -o remount,rw "$(findmnt -no TARGET -T {shlex.quote(there)})"')
    elif error.errno in (errno.EACCES, errno.EPERM):
        fix = make(path, there) or fix
    if os.path.islink(there) and not os.path.exists(there):
        return Finding(
            "folder",
            "failed",
            f"{there}: a link to {os.readlink(there)}, which isn't there",
            f"connect that disk, or take the link away: rm {shlex.quote(there)}",
        )
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    return Finding("folder", "failed", f"{path}: can't be written: {reason}", fix)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
