"""A headless Chromium, driven by the WebDriver protocol (W3C, "WebDriver"), as a person would."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REFERENCE = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, in the protocol
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class Browser:
    """One window of a browser."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a command of the protocol and return its value."""
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._address + path, data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)["value"]

    def open(self, page: Path) -> None:
        """Open a file."""
        self.call("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what the body of a JavaScript function returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> str:
        """Return the path of the first element that a CSS selector fits."""
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return f"/element/{found[_REFERENCE]}"

    def click(self, selector: str) -> None:
        """Click on an element, which must be in sight."""
        self.call("POST", f"{self.find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self.call("POST", f"{self.find(selector)}/value", {"text": text})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what was logged since the last call: ``browser`` is the console."""
        entries: list[dict[str, Any]] = self.call("POST", "/se/log", {"type": kind})
        return entries

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def resize(self, width: int, height: int) -> None:
        """Give the window a size, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)

    def screenshot(self, path: Path) -> None:
        """Save what the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of Chromium's own protocol."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser whose profile is in ``folder``, or skip the test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    process = subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        # "ChromeDriver was started successfully on port 12345."
        line = next(line for line in process.stdout if "successfully on port" in line)
        root = Browser(f"http://127.0.0.1:{line.split()[-1].strip('.')}/session")
        options = {
            "binary": chromium,
            "args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "unhandledPromptBehavior": "ignore",
        }
        session = root.call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        window = Browser(f"{root._address}/{session['sessionId']}")
        try:
            yield window
        finally:
            window.call("DELETE", "")
    finally:
        process.terminate()
        process.communicate(timeout=30)
