"""Reads what a request brings: its size is known before, and its time is limited."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request

JSON_S = 10.0
"""How long JSON may take to come."""
_JSON_BYTES = 16_384


async def read(request: Request, most: int, seconds: float) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: it doesn't say how long it is, is longer than ``most`` bytes, or takes
            longer than ``seconds`` to come.

    """
    length = request.headers.get("content-length", "")
    if not length:
        raise HTTPException(411, "it must be said how many bytes are to come")
    if int(length) > most:  # a number, and no more comes than it says: h11 sees to both
        raise HTTPException(413, f"larger than the limit of {most} bytes")
    try:
        return await asyncio.wait_for(request.body(), seconds)
    except asyncio.TimeoutError as error:
        raise HTTPException(408, f"it didn't come within {seconds:g} s") from error


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings; nothing is an empty one.

    Raises:
        HTTPException: as for :func:`read`, or it is no such thing.

    """
    try:
        values = json.loads(await read(request, _JSON_BYTES, JSON_S) or b"{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "no JSON") from error
    if not isinstance(values, dict):
        raise HTTPException(400, "no JSON object")
    return values
