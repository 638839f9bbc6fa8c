"""A page beside a loop, with a camera whose pictures are told: for tests, and for what they ask."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.camera import Camera, Settings, SnapshotLoop
from edge.camera.store import Store
from edge.errors import CameraError
from edge.page.live import Live
from edge.page.serve import serve
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge import Analyzer


class LiveCamera(Camera):
    """A live camera of 25 frames a second of one scene, each with noise of its own.

    Args:
        scene: what it shows, (height, width, 3) uint8 BGR; may be changed meanwhile.
        noise: how far a pixel may be off; 0 shows the scene itself, as a frozen camera would.

    """

    name = "scripted"
    live = True
    fixed_size = False

    def __init__(self, scene: NDArray[np.uint8], *, noise: int = 2) -> None:
        self.scene, self.noise = scene, noise
        self.absent = False
        self.grabbed = self.decoded = 0
        """How many frames came, and how many of them were decoded."""
        self._rng = np.random.default_rng(0)

    def open(self) -> None:
        if self.absent:
            raise CameraError("unplugged, as told")

    def grab(self) -> bool:
        time.sleep(0.04)
        self.grabbed += 1
        return not self.absent

    def retrieve(self) -> NDArray[np.uint8]:
        self.decoded += 1
        scene = self.scene
        noise = self._rng.integers(0, self.noise + 1, scene.shape, dtype=np.uint8)
        noisy: NDArray[np.uint8] = np.where(scene < 128, scene + noise, scene - noise)
        return noisy

    def close(self) -> None:
        pass

    def turn_to(self, scene: NDArray[np.uint8]) -> None:
        """Change the scene, and wait until one who looks is shown it."""
        self.scene, decoded = scene, self.decoded
        until(lambda: self.decoded >= decoded + 3)


@dataclass
class Served:
    """A page that runs."""

    address: tuple[str, int]
    loop: SnapshotLoop
    live: Live
    store: Store

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body; underscores of headers' names are hyphens."""
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """Return the JSON of a path."""
        return json.loads(self.ask("GET", path, None, **headers)[2])

    def post(self, path: str, values: Any = None, **headers: str) -> Any:
        """Send JSON and return JSON."""
        headers.setdefault("Content_Type", "application/json")
        return json.loads(self.ask("POST", path, json.dumps(values or {}).encode(), **headers)[2])


@contextmanager
def served(
    camera: Camera, analyzer: Analyzer, folder: Path, *, interval_s: float = 1e6, **page: Any
) -> Iterator[Served]:
    """Run a loop and its page on a free port of loopback, until the block ends."""
    live = Live()
    store = Store(str(folder))
    settings = Settings(interval_s=interval_s, wait_for_camera=True)
    loop = SnapshotLoop(camera, analyzer, settings, store=store, viewer=live)
    address = serve(("127.0.0.1", 0), loop, analyzer, store, live, **page)
    thread = threading.Thread(target=lambda: [None for _ in loop], daemon=True)
    thread.start()
    try:
        yield Served(address, loop, live, store)
    finally:
        loop.stop()
        thread.join(10)
        store.close()
