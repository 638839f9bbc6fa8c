"""The command that gives a person a right that is missing, as it works for who runs it."""

from __future__ import annotations

import os
import shlex

_NO_DISK = ("/sys/", "/proc/", "/dev/")
_SYSTEMS_OWN = ("/bin/", "/boot/", "/etc/", "/lib", "/root/", "/run/", "/sbin/", "/usr/", "/var/")


def sudo(command: str) -> str:
    """Return a command as root's; for root, who may have no sudo, as it is."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def grant(path: str | os.PathLike[str]) -> str | None:
    """Return the command by which a file or folder that is refused may be read and written.

    None is for what no such command should change: the system's own, a disk's first folder, and
    what is in a folder of another user that can't be entered.
    """
    path = name = os.path.abspath(path)
    while True:
        try:
            about = os.stat(name)
            break
        except OSError:  # not there, or below a folder that is refused itself
            name = os.path.dirname(name)
    quoted, real = shlex.quote(name), f"{os.path.realpath(name)}/"
    if real.startswith(_NO_DISK):
        return None
    if about.st_uid == os.geteuid():
        return f"chmod u+rwX -- {quoted}"
    if name != path or real.startswith(_SYSTEMS_OWN) or real.count(os.sep) <= 2:
        return None
    return f'{sudo("chown")} -R "$USER" -- {quoted} && chmod -R u+rwX -- {quoted}'


def make(path: str, there: str) -> str | None:
    """Return the command by which a folder may be written; ``there`` is what exists of it."""
    command = grant(there)
    if there == path or (command is not None and command.startswith("chmod")):
        return command
    if f"{os.path.realpath(there)}/".startswith(_NO_DISK):
        return None
    quoted = shlex.quote(path)  # the folder above stays whose it is
    return f'{sudo("mkdir")} -p -- {quoted} && {sudo("chown")} "$USER" -- {quoted}'


def advice(path: str | os.PathLike[str], error: BaseException, *, write: bool = False) -> str:
    """Return the way out behind an error, with a semicolon, where it is a right that is missing.

    Args:
        path: what was refused.
        error: the error.
        write: it was to be written: that of another user is left alone.

    """
    if not isinstance(error, PermissionError):
        return ""
    command = grant(path)
    if command is None or (write and not command.startswith("chmod")):
        return "; it isn't yours: choose another"
    return f"; if it is yours: {command}"
