"""What the processor says that it can do: the features that decide which model variant is fast."""

from __future__ import annotations

import os
import re

_TOLD = re.compile(
    r"neon|asimd(dp|hp)?|i8mm|bf16|sve|f16c|fma|avx2|avx512f|avx(512)?_vnni(_int8)?|amx_int8"
)
DOT_PRODUCT = {"asimddp", "i8mm", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}
"""Instructions that multiply and add int8 in one step."""


def features(root: str | os.PathLike[str] = "/") -> tuple[str, ...]:
    """Return those that matter here, by Linux' names, sorted; none where the system tells none.

    Args:
        root: where ``proc`` is; a test hands in its own.

    """
    try:
        with open(os.path.join(root, "proc/cpuinfo"), errors="replace") as stream:
            # The first core's are in its beginning; all of it is slow where there are many cores.
            first = stream.read(1 << 14)
    except OSError:
        return ()
    told = re.search(r"^(?:flags|Features)\s*:(.*)$", first, re.MULTILINE)
    return tuple(sorted(filter(_TOLD.fullmatch, set(told[1].split())))) if told else ()
