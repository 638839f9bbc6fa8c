"""The page's routes: what a browser asks for and gets, mostly JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge.errors import LesionEdgeError, OutputError
from edge.files import printable
from edge.picture.limits import MAX_BYTES

from . import body, status
from .captures import Captures, analyze_upload
from .guard import Guard, refusal
from .history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from edge.analyzer import Analyzer
    from edge.camera.loop import SnapshotLoop
    from edge.camera.store import Store
    from edge.doctor.finding import Finding

    from .live import Live

CAPTURE_S = 6.0
"""How long a capture waits for a frame."""
UPLOAD_S = 60.0
"""How long a picture may take to come."""
_UPLOADS = 2
_TEXT_MOST = 2000
_EVENT_S = 0.3
_LOG = logging.getLogger("edge.camera")
_STATIC = os.path.join(os.path.dirname(__file__), "static")
_WORDS = os.path.join(os.path.dirname(__file__), "words")
_LANGUAGES = sorted(name.removesuffix(".json") for name in os.listdir(_WORDS))
_BORDER = b"\r\n--lesion-edge\r\n"


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
        doctor: finds what is wrong with this machine.

    """

    def __init__(
        self,
        loop: SnapshotLoop,
        analyzer: Analyzer,
        store: Store | None,
        live: Live,
        doctor: Callable[[], Sequence[Finding]],
    ) -> None:
        self._loop, self._analyzer, self._store, self._live = loop, analyzer, store, live
        self._doctor = doctor
        self._captures = Captures(store)
        self._history = History(os.devnull if store is None else store.folder)  # nothing lies there
        self._uploads = 0
        self._analyzing = asyncio.Lock()
        self._captured: str | None = None

    def app(self, names: Iterable[str], token_hash: bytes | None) -> Guard:
        """Return the application, guarded: see :class:`Guard`."""
        get = {
            "/": self._file("index.html"),
            "/login": self._file("login.html"),
            "/api/words": self._words,
            "/api/live": self._watch,
            "/api/events": self._events,
            "/api/captures/{id}.jpg": self._jpeg_of(self._captures.picture),
            "/api/captures/{id}/plain.jpg": self._jpeg_of(self._captures.plain),
            "/api/captures/{id}": self._json_of(self._captures.tell),
            "/api/history": self._list,
            "/api/history/days/{id}.zip": self._archive,
            "/api/history/thumb/{id}": self._jpeg_of(self._history.thumbnail, "max-age=3600"),
            "/api/history/{id}/line": self._json_of(self._history.line),
            "/api/history/{id}": self._jpeg_of(self._history.picture),
            "/api/status": self._status,
            "/api/doctor": self._findings,
        }
        post = {
            "/login": self._login,
            "/api/capture": self._capture,
            "/api/upload": self._upload,
            "/api/captures/{id}/keep": self._keep,
            "/api/captures/{id}/discard": self._json_of(self._captures.discard),
            "/api/history/{id}/delete": self._json_of(self._delete),
        }
        routes = [
            *(Route(path, do, methods=["GET"]) for path, do in get.items()),
            *(Route(path, do, methods=["POST"]) for path, do in post.items()),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        app = Starlette(
            routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail}
        )
        app.add_exception_handler(LesionEdgeError, _fail)
        self._guard = Guard(app, names, token_hash)
        return self._guard

    async def _login(self, request: Request) -> Response:
        values = await body.read_json(request)
        return self._guard.login(request.scope, str(values.get("token", "")))

    async def _words(self, request: Request) -> Response:
        wished = request.query_params.get("lang") or request.headers.get("accept-language", "")
        spoken = (each[:2] for each in wished.lower().replace(" ", "").split(","))
        language = next((each for each in spoken if each in _LANGUAGES), "en")
        return FileResponse(os.path.join(_WORDS, f"{language}.json"))

    async def _watch(self, _request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield _BORDER
            async for jpeg in self._live.pictures():
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + _BORDER  # a browser shows a part once it has ended

        answer = _Watched(parts(), media_type="multipart/x-mixed-replace; boundary=lesion-edge")
        answer.live = self._live
        return answer

    async def _events(self, _request: Request) -> Response:
        async def events() -> AsyncIterator[str]:
            while True:
                event = await status.short(self._loop, self._store, self._live)
                yield f"data: {json.dumps(event | {'capture': self._captured})}\n\n"
                await asyncio.sleep(_EVENT_S)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _capture(self, _request: Request) -> Response:
        try:
            waiting = asyncio.wrap_future(self._loop.capture())
            snapshot = await asyncio.wait_for(waiting, CAPTURE_S)
        except asyncio.TimeoutError as error:
            reason = self._loop.status.reason or "the camera gives none"
            raise HTTPException(503, f"no frame came within {CAPTURE_S:g} s: {reason}") from error
        answer = self._captures.add(snapshot)
        self._captured = answer["id"]
        return JSONResponse(answer)

    async def _upload(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("image/"):
            raise HTTPException(415, "not sent as a picture")
        if self._uploads >= _UPLOADS:
            raise HTTPException(503, "other pictures are on their way: try again")
        self._uploads += 1
        try:
            data = await body.read(request, MAX_BYTES, UPLOAD_S)
            name = printable(os.path.basename(unquote(request.headers.get("x-name", ""))))[:200]
            async with self._analyzing:
                snapshot = await asyncio.to_thread(
                    analyze_upload, self._analyzer, data, name or "upload"
                )
        finally:
            self._uploads -= 1
        return JSONResponse(self._captures.add(snapshot))

    async def _keep(self, request: Request) -> Response:
        said = await body.read_json(request)
        note, place = (
            printable(" ".join(str(said.get(key) or "").split())) for key in ("note", "place")
        )
        if max(len(note), len(place)) > _TEXT_MOST:
            raise HTTPException(413, f"more than {_TEXT_MOST} letters")
        capture = request.path_params["id"]
        return _json(await asyncio.to_thread(self._captures.keep, capture, note, place))

    async def _list(self, request: Request) -> Response:
        asked = {key: request.query_params.get(key, "") for key in ("day", "label", "before")}
        try:
            limit = min(max(int(request.query_params.get("limit", "60")), 1), 200)
        except ValueError as error:
            raise HTTPException(400, "limit is a number") from error
        return JSONResponse(await asyncio.to_thread(self._history.page, limit=limit, **asked))

    def _delete(self, name: str) -> dict[str, Any] | None:
        try:
            return {} if self._store is not None and self._store.delete(name) else None
        except OSError as error:
            raise OutputError(f"can't be deleted: {error.strerror}") from error

    async def _archive(self, request: Request) -> Response:
        day = request.path_params["id"]
        if not self._history.has(day):
            return _json(None)
        name = f'attachment; filename="snapshots-{day}.zip"'
        archive = self._history.archive(day)
        headers = {"Content-Disposition": name}
        return StreamingResponse(archive, media_type="application/zip", headers=headers)

    async def _status(self, _request: Request) -> Response:
        parts = (self._loop, self._analyzer, self._store, self._live)
        return JSONResponse(await asyncio.to_thread(status.full, *parts))

    async def _findings(self, _request: Request) -> Response:
        findings = await asyncio.to_thread(self._doctor)
        return JSONResponse({"findings": [asdict(each) for each in findings]})

    def _file(self, name: str) -> Callable[[Request], Any]:
        async def answer(_request: Request) -> Response:
            return FileResponse(os.path.join(_STATIC, name))

        return answer

    def _json_of(self, find: Callable[[str], dict[str, Any] | None]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return _json(await asyncio.to_thread(find, request.path_params["id"]))

        return answer

    def _jpeg_of(
        self, find: Callable[[str], bytes | None], cache: str = "no-store"
    ) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            data = await asyncio.to_thread(find, request.path_params["id"])
            headers = {"Cache-Control": f"private, {cache}"}
            return Response(data, media_type="image/jpeg", headers=headers) if data else _json(None)

        return answer


def _json(values: dict[str, Any] | None) -> Response:
    return refusal(404, "there is none of this name") if values is None else JSONResponse(values)


async def _refuse(_request: Request, error: Any) -> Response:
    return refusal(error.status_code, error.detail)


async def _fail(_request: Request, error: Exception) -> Response:
    if isinstance(error, LesionEdgeError):
        return refusal(409 if isinstance(error, OutputError) else 422, str(error))
    _LOG.warning("the page: %s: %s", type(error).__name__, printable(str(error)))
    return refusal(500, "this went wrong here; it was logged")
