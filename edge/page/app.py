"""The page's routes: what a browser asks for and gets, mostly JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.responses import (
    FileResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge.camera.notify import health
from edge.camera.supervisor import State
from edge.doctor.__main__ import examine
from edge.errors import LesionEdgeError, OutputError
from edge.files import printable
from edge.picture.limits import MAX_BYTES
from edge.results import NOTICE

from .captures import Captures, analyze_upload
from .guard import Guard, refusal
from .history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from edge.analyzer import Analyzer
    from edge.camera.loop import SnapshotLoop
    from edge.camera.store import Store

    from .live import Live

CAPTURE_S = 6.0
"""How long a capture waits for a frame."""
UPLOAD_S, JSON_S = 60.0, 10.0
"""How long a picture, and how long a note, may take to come."""
_UPLOADS = 2
_JSON_BYTES = 16_384
_TEXT_MOST = 2000
_EVENT_S = 0.3
_STALE_S = 2.0
_LOG = logging.getLogger("edge.camera")
_HERE = os.path.dirname(__file__)
_STATIC = os.path.join(_HERE, "static")
_WORDS = {
    name.removesuffix(".json"): os.path.join(_HERE, "words", name)
    for name in os.listdir(os.path.join(_HERE, "words"))
    if name.endswith(".json")
}
_BOUNDARY = "lesion-edge-frame"


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """What was sent isn't taken."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = refusal(status, message)


class _Watched(StreamingResponse):
    """The live picture; its camera is looked through for as long as it lasts."""

    live: Live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.live.looking():
            await super().__call__(scope, receive, send)


class Page:
    """What the routes share.

    Args:
        loop: whose camera is looked through.
        analyzer: answers for uploads.
        store: where pictures are kept and have been; None for nowhere.
        live: the loop's viewer.

    """

    def __init__(
        self, loop: SnapshotLoop, analyzer: Analyzer, store: Store | None, live: Live
    ) -> None:
        self._loop, self._analyzer, self._store, self._live = loop, analyzer, store, live
        self._captures = Captures(store)
        self._history = History(os.devnull if store is None else store.folder)  # nothing lies there
        self._uploads = 0
        self._analyzing = asyncio.Lock()
        self._captured: str | None = None

    def app(self, names: Iterable[str], token_hash: bytes | None) -> Guard:
        """Return the application, guarded: see :class:`Guard`."""
        get, post = ["GET"], ["POST"]
        routes = [
            Route("/", self._index, methods=get),
            Route("/login", self._login_page, methods=get),
            Route("/login", self._login, methods=post),
            Route("/api/words", self._words, methods=get),
            Route("/api/live", self._watch, methods=get),
            Route("/api/events", self._events, methods=get),
            Route("/api/capture", self._capture, methods=post),
            Route("/api/upload", self._upload, methods=post),
            Route("/api/captures/{id}.jpg", self._annotated, methods=get),
            Route("/api/captures/{id}/plain.jpg", self._plain, methods=get),
            Route("/api/captures/{id}", self._captured_one, methods=get),
            Route("/api/captures/{id}/keep", self._keep, methods=post),
            Route("/api/captures/{id}/discard", self._discard, methods=post),
            Route("/api/history", self._list, methods=get),
            Route("/api/history/days/{day}.zip", self._archive, methods=get),
            Route("/api/history/thumb/{name}.jpg", self._thumbnail, methods=get),
            Route("/api/history/{name}.jpg/delete", self._delete, methods=post),
            Route("/api/history/{name}.jpg/line", self._line, methods=get),
            Route("/api/history/{name}.jpg", self._picture, methods=get),
            Route("/api/status", self._status, methods=get),
            Route("/api/doctor", self._doctor, methods=get),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        handlers: dict[Any, Any] = {
            _Refused: self._refused,
            LesionEdgeError: self._failed,
            Exception: self._broken,
        }
        self._guard = Guard(
            Starlette(routes=routes, exception_handlers=handlers), names, token_hash
        )
        return self._guard

    async def _refused(self, _request: Request, error: _Refused) -> Response:
        return error.answer

    async def _failed(self, _request: Request, error: LesionEdgeError) -> Response:
        return refusal(409 if isinstance(error, OutputError) else 422, str(error))

    async def _broken(self, _request: Request, error: Exception) -> Response:
        _LOG.warning("the page: %s: %s", type(error).__name__, printable(str(error)))
        return refusal(500, "this went wrong here; it was logged")

    async def _index(self, _request: Request) -> Response:
        return FileResponse(os.path.join(_STATIC, "index.html"))

    async def _login_page(self, _request: Request) -> Response:
        return FileResponse(os.path.join(_STATIC, "login.html"))

    async def _login(self, request: Request) -> Response:
        return self._guard.login(request.scope, str((await _read_json(request)).get("token", "")))

    async def _words(self, request: Request) -> Response:
        wished = request.query_params.get("lang") or request.headers.get("accept-language", "")
        chosen = next((w for w in wished.lower().replace("-", ",").split(",") if w in _WORDS), "en")
        return FileResponse(_WORDS[chosen], media_type="application/json")

    async def _watch(self, _request: Request) -> Response:
        border = f"\r\n--{_BOUNDARY}\r\n".encode()

        async def parts() -> AsyncIterator[bytes]:
            yield border
            async for jpeg in self._live.pictures():
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + border  # a browser shows a part once it has ended

        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        answer = _Watched(parts(), media_type=kind)
        answer.live = self._live
        return answer

    async def _events(self, _request: Request) -> Response:
        async def events() -> AsyncIterator[str]:
            while True:
                yield f"data: {json.dumps(await self._event())}\n\n"
                await asyncio.sleep(_EVENT_S)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _event(self) -> dict[str, Any]:
        status, frame = self._loop.status, None
        view = await self._live.view()
        age_s = self._live.age_s
        if view is not None and age_s is not None:
            frame = {
                "state": "stale" if age_s > _STALE_S else view.state,
                "sharpness": round(view.sharpness, 3),
                "age_ms": round(age_s * 1e3),
                "size": list(view.size_wh),
            }
        if status.camera is not State.RUNNING:
            frame = (frame or {"sharpness": 0.0, "age_ms": None, "size": None}) | {"state": "lost"}
        return {
            "frame": frame,
            "capture": self._captured,
            "status": {
                "camera": status.camera.value,
                "reason": status.reason or None,
                "snapshots": status.counts.get("snapshots", 0),
                "captures": status.counts.get("captures", 0),
                "not_saving": self._store and self._store.reason,
            },
        }

    async def _capture(self, _request: Request) -> Response:
        try:
            waiting = asyncio.wrap_future(self._loop.capture())
            snapshot = await asyncio.wait_for(waiting, CAPTURE_S)
        except asyncio.TimeoutError:
            reason = self._loop.status.reason
            return refusal(503, f"no frame came within {CAPTURE_S:g} s{reason and ': '}{reason}")
        answer = self._captures.add(snapshot)
        self._captured = answer["id"]
        return JSONResponse(answer)

    async def _upload(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("image/"):
            raise _Refused(415, "not sent as a picture")
        if self._uploads >= _UPLOADS:
            raise _Refused(503, "other pictures are on their way: try again")
        self._uploads += 1
        try:
            data = await _read(request, MAX_BYTES, UPLOAD_S)
            name = printable(os.path.basename(unquote(request.headers.get("x-name", ""))))[:200]
            async with self._analyzing:
                snapshot = await asyncio.to_thread(
                    analyze_upload, self._analyzer, data, name or "upload"
                )
        finally:
            self._uploads -= 1
        return JSONResponse(self._captures.add(snapshot))

    async def _captured_one(self, request: Request) -> Response:
        answer = self._captures.tell(_id(request))
        return _none() if answer is None else JSONResponse(answer)

    async def _annotated(self, request: Request) -> Response:
        return _jpeg(await asyncio.to_thread(self._captures.picture, _id(request), plain=False))

    async def _plain(self, request: Request) -> Response:
        return _jpeg(await asyncio.to_thread(self._captures.picture, _id(request), plain=True))

    async def _keep(self, request: Request) -> Response:
        said = await _read_json(request)
        note, place = (
            printable(" ".join(str(said.get(key) or "").split())) for key in ("note", "place")
        )
        if max(len(note), len(place)) > _TEXT_MOST:
            raise _Refused(413, f"more than {_TEXT_MOST} letters")
        name = await asyncio.to_thread(self._captures.keep, _id(request), note, place)
        return _none() if name is None else JSONResponse({"name": name})

    async def _discard(self, request: Request) -> Response:
        return JSONResponse({}) if self._captures.discard(_id(request)) else _none()

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        limit = asked.get("limit", "60")
        found = await asyncio.to_thread(
            self._history.page,
            day=asked.get("day", ""),
            label=asked.get("label", ""),
            before=asked.get("before", ""),
            limit=min(max(int(limit), 1), 200) if limit.isascii() and limit.isdigit() else 60,
        )
        return JSONResponse(found)

    async def _picture(self, request: Request) -> Response:
        return _jpeg(await asyncio.to_thread(self._history.picture, _n(request)))

    async def _thumbnail(self, request: Request) -> Response:
        data = await asyncio.to_thread(self._history.thumbnail, _n(request))
        return _jpeg(data, "private, max-age=3600")  # never changed, and many on one page

    async def _line(self, request: Request) -> Response:
        line = await asyncio.to_thread(self._history.line, _n(request))
        return _none() if line is None else JSONResponse(line)

    async def _delete(self, request: Request) -> Response:
        if self._store is None:
            return _none()
        try:
            done = await asyncio.to_thread(self._store.delete, _n(request))
        except OSError as error:
            raise OutputError(f"can't be deleted: {error.strerror}") from error
        return JSONResponse({}) if done else _none()

    async def _archive(self, request: Request) -> Response:
        day = request.path_params["day"]
        if len(day) != 8 or not (day.isascii() and day.isdecimal()):
            return _none()
        name = f'attachment; filename="snapshots-{day}.zip"'
        return StreamingResponse(
            self._history.archive(day),
            media_type="application/zip",
            headers={"Content-Disposition": name},
        )

    async def _status(self, _request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._health))

    def _health(self) -> dict[str, Any]:
        contract = self._analyzer.contract
        disk: dict[str, int] | None = None
        if self._store is not None and os.path.isdir(self._store.folder):
            usage = shutil.disk_usage(self._store.folder)
            disk = {"free": usage.free, "total": usage.total}
        return health(self._loop.status, self._store) | {
            "disk": disk,
            "model": {
                **contract.identity(),
                "labels": list(contract.labels),
                "positive": contract.positive,
                "threshold": self._analyzer.threshold,
                "uncertain": self._analyzer.rule.uncertain,
                "segmentation": self._analyzer.segmentation,
            },
            "lookers": self._live.lookers,
            "notice": NOTICE,
        }

    async def _doctor(self, _request: Request) -> Response:
        folder = self._store.folder if self._store is not None else "."
        findings = await asyncio.to_thread(examine, None, folder, None)
        return JSONResponse({"findings": [asdict(each) for each in findings]})


async def _read(request: Request, most: int, seconds: float) -> bytes:
    """Return what a request brings, if that is little enough and comes in time."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise _Refused(411, "it must be said how many bytes are to come")
    if len(length) > 12 or int(length) > most:
        raise _Refused(413, f"larger than the limit of {most} bytes")

    async def read() -> bytes:
        return b"".join([part async for part in request.stream()])

    try:
        return await asyncio.wait_for(read(), seconds)
    except asyncio.TimeoutError as error:
        raise _Refused(408, f"it didn't come within {seconds:g} s") from error


async def _read_json(request: Request) -> dict[str, Any]:
    try:
        values = json.loads(await _read(request, _JSON_BYTES, JSON_S) or b"{}")
    except (ValueError, RecursionError) as error:
        raise _Refused(400, "no JSON") from error
    if not isinstance(values, dict):
        raise _Refused(400, "no JSON object")
    return values


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _n(request: Request) -> str:
    return f"{request.path_params['name']}.jpg"


def _jpeg(data: bytes | None, cache: str = "no-store") -> Response:
    if not data:
        return _none()
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": cache})


def _none() -> Response:
    return JSONResponse({"error": "there is none of this name"}, 404)
