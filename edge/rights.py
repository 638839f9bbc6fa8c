"""The command that gives a person a right that is missing, as it works for who runs it."""

from __future__ import annotations

import os
import shlex

_SYSTEMS_OWN = ("/sys/", "/proc/", "/dev/")


def sudo(command: str) -> str:
    """Return a command as root's; for root, who may have no sudo, as it is."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def grant(path: str | os.PathLike[str]) -> str | None:
    """Return the command by which a file or folder that is refused may be read and written.

    None is for what no command should change: the system's own.
    """
    name = os.path.abspath(path)
    while True:
        try:
            about = os.stat(name)
            break
        except OSError:  # not there, or below a folder that is refused itself
            name = os.path.dirname(name)
    if f"{os.path.realpath(name)}/".startswith(("//", *_SYSTEMS_OWN)):
        return None
    quoted = shlex.quote(name)
    if about.st_uid == os.geteuid():
        return f"chmod u+rwX -- {quoted}"
    return f'{sudo("chown")} -R "$USER" -- {quoted} && chmod -R u+rwX -- {quoted}'


def advice(path: str | os.PathLike[str], error: BaseException) -> str:
    """Return the way out behind an error, with a semicolon, where it is a right that is missing."""
    if not isinstance(error, PermissionError):
        return ""
    command = grant(path)
    return f"; if it is yours: {command}" if command else "; it is the system's own: choose another"
