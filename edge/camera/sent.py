"""How far a folder's snapshots have been sent, in a file beside them: a queue's cursor."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from edge.files import open_regular, write_atomically

_NAME = "snapshots-sent.json"
_MOST_BYTES = 1000


@dataclass(slots=True)
class Sent:
    """How far, and what became of those up to there."""

    number: int | None = None
    """Of the last snapshot that was acknowledged; it goes on behind it.  None: none has been."""
    most: int | None = None
    """The largest such number there has been: somebody may ask to have some again."""
    sent: int = 0
    """How many were acknowledged, each counted once."""
    lost: int = 0
    """How many couldn't be sent: not saved, or gone from the disk before it was their turn."""

    def advance(self, number: int) -> None:
        """Note that a snapshot was acknowledged; numbers in between don't exist any more."""
        self.number = number
        if self.most is None or number > self.most:
            self.lost += 0 if self.most is None else number - self.most - 1
            self.most = number
            self.sent += 1


def read_sent(folder: str) -> Sent:
    """Return what :func:`write_sent` wrote; that nothing was sent where there is nothing of it."""
    try:
        with open_regular(os.path.join(folder, _NAME)) as stream:
            return Sent(**{key: int(n) for key, n in json.loads(stream.read(_MOST_BYTES)).items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return Sent()


def write_sent(folder: str, sent: Sent) -> None:
    """Keep it, whole or not at all.

    Raises:
        OSError: as the system says it.

    """
    write_atomically(os.path.join(folder, _NAME), json.dumps(asdict(sent)).encode() + b"\n")
