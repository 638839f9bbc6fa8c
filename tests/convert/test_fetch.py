"""What convert.weights.fetch promises; the numbers are those of docs/faults.md."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import threading
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

pytest.importorskip("h5py")

from convert.errors import ConvertError, FetchError, UsageError
from convert.weights import download
from convert.weights.download import HttpsOnlyRedirects, download_drive, download_https
from convert.weights.fetch import default_cache_dir, resolve_weights
from convert.weights.source import UPSTREAM_DRIVE_ID
from edge.cli.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40
OTHER = GOOD + b"another"
PAGE = b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"
URL = "https://example.org/models/model.h5?x=1"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Fake:
    """A download that gives ``data`` in pieces, then raises ``error`` if there is one."""

    def __init__(self, data: bytes = GOOD, error: BaseException | None = None) -> None:
        self.data = data
        self.error = error
        self.sources: list[str] = []

    def __call__(
        self,
        source: str,
        stream: BinaryIO,
        *,
        timeout_s: float,
        cancel: threading.Event,
    ) -> None:
        assert timeout_s > 0
        assert not cancel.is_set()
        self.sources.append(source)
        stream.writelines(
            self.data[start : start + 4096] for start in range(0, len(self.data), 4096)
        )
        if self.error is not None:
            raise self.error


class Asker:
    """Resolves with a cache of its own, and keeps what it is told."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.said: list[str] = []

    def __call__(
        self,
        spec: str = URL,
        download: download.Download | None = None,
        sha256: str | None = None,
        timeout_s: float = 5.0,
    ) -> Path:
        def unexpected(
            source: str,
            stream: BinaryIO,
            *,
            timeout_s: float,
            cancel: threading.Event,
        ) -> None:
            raise AssertionError(source)

        return resolve_weights(
            spec,
            sha256=sha256,
            cache_dir=self.cache,
            timeout_s=timeout_s,
            say=self.said.append,
            drive=download or unexpected,
            https=download or unexpected,
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir())


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path / "cache" / "weights")


# What a spec means.


def test_a_path_is_returned_as_it_is_and_nothing_is_cached(ask: Asker, tmp_path: Path) -> None:
    """What is wrong with it, who reads it says: see test_weights."""
    assert ask(str(tmp_path / "model.h5")) == tmp_path / "model.h5"
    assert not ask.cache.exists()


def test_upstream_and_its_drive_id_are_one_file(ask: Asker) -> None:
    fake = Fake()
    path = ask("upstream", fake)
    assert ask(f"gdrive:{UPSTREAM_DRIVE_ID}") == path
    assert fake.sources == [UPSTREAM_DRIVE_ID]
    assert path.read_bytes() == GOOD


def test_https_goes_to_the_https_download(ask: Asker) -> None:
    fake = Fake()
    path = ask(URL, fake)
    assert fake.sources == [URL]
    assert path.parent == ask.cache
    assert path.name.endswith("-model.h5")


def test_two_addresses_that_end_alike_are_two_files(ask: Asker) -> None:
    one = ask("https://a.example/model.h5", Fake())
    two = ask("https://b.example/model.h5", Fake(OTHER))
    assert (one.read_bytes(), two.read_bytes()) == (GOOD, OTHER)


@pytest.mark.parametrize(
    "spec",
    [
        "https://a.example/..",
        "https://a.example/%2e%2e/x",
        "https://a.example",
        "https://a.example/?/../../x",
    ],
)
def test_no_address_leads_out_of_the_cache(ask: Asker, spec: str) -> None:
    path = ask(spec, Fake())
    assert path.resolve().parent == ask.cache.resolve()
    assert len(ask.files()) == 2


def test_http_is_refused_with_the_reason(ask: Asker) -> None:
    for spec in ("http://example.org/model.h5", "HTTP://example.org/model.h5"):
        with pytest.raises(UsageError, match=r"refused: anyone on the way.*https://"):
            ask(spec, Fake())
    assert not ask.cache.exists()


@pytest.mark.parametrize(
    ("spec", "sha256", "timeout_s"),
    [
        ("ftp://example.org/model.h5", None, 1),
        ("file:///etc/passwd", None, 1),
        ("https:///model.h5", None, 1),
        ("https://exam ple.org/model.h5", None, 1),
        ("https://example.org/a\nb", None, 1),
        ("https://[::1/model.h5", None, 1),
        ("https://example.org:port/model.h5", None, 1),
        ("gdrive:", None, 1),
        ("gdrive:../../../etc/passwd", None, 1),
        (URL, "abc", 1),
        (URL, "g" * 64, 1),
        (URL, None, 0),
        (URL, None, float("nan")),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    ask: Asker,
    spec: str,
    sha256: str | None,
    timeout_s: float,
) -> None:
    with pytest.raises(UsageError):
        ask(spec, Fake(), sha256, timeout_s)
    assert not ask.cache.exists()


def test_the_errors_are_also_built_in_ones() -> None:
    assert issubclass(FetchError, ConvertError)
    assert issubclass(FetchError, OSError)
    assert issubclass(UsageError, ValueError)


def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "lesion-edge" / "weights"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_cache_dir() == tmp_path / ".cache" / "lesion-edge" / "weights"


# The cache.


def test_fault_57_a_cached_file_needs_no_network(ask: Asker) -> None:
    """57: the download that is given the second time fails the test if it is called."""
    path = ask(URL, Fake())
    assert ask(URL) == path
    assert ask(URL, sha256=sha(GOOD)) == path


def test_the_hash_lies_beside_the_file_as_sha256sum_writes_it(ask: Asker) -> None:
    path = ask(URL, Fake())
    record = path.with_name(f"{path.name}.sha256")
    assert record.read_text() == f"{sha(GOOD)}  {path.name}\n"
    assert ask.files() == sorted([path.name, record.name])
    assert any(sha(GOOD) in line for line in ask.said)


@pytest.mark.parametrize("damage", ["a bit", "cut", "empty", "grown"])
def test_fault_56_a_corrupt_cached_file_is_fetched_again(ask: Asker, damage: str) -> None:
    """56: with a message."""
    path = ask(URL, Fake())
    bit = GOOD[:500] + bytes([GOOD[500] ^ 1]) + GOOD[501:]
    path.write_bytes({"a bit": bit, "cut": GOOD[:900], "empty": b"", "grown": OTHER}[damage])
    ask.said.clear()
    assert ask(URL, Fake()) == path
    assert path.read_bytes() == GOOD
    assert "discarded and fetched again" in ask.said[0]


def test_fault_56_a_corrupt_cached_file_is_gone_when_it_cannot_be_fetched_again(ask: Asker) -> None:
    """56."""
    path = ask(URL, Fake())
    path.write_bytes(OTHER)
    with pytest.raises(FetchError):
        ask(URL, Fake(b"", ConnectionError("down")))
    assert not path.exists()


@pytest.mark.parametrize("record", [None, b"", b"rubbish", b"\xff" * 100])
def test_fault_56_a_file_whose_hash_was_never_recorded_is_not_trusted(
    ask: Asker,
    record: bytes | None,
) -> None:
    """56: such as one that somebody has put there."""
    path = ask(URL, Fake())
    path.write_bytes(OTHER)
    beside = path.with_name(f"{path.name}.sha256")
    beside.unlink()
    if record is not None:
        beside.write_bytes(record)
    assert ask(URL, Fake()).read_bytes() == GOOD
    assert beside.read_text().startswith(sha(GOOD))


def test_a_given_hash_is_enough_to_trust_a_file_and_is_recorded(ask: Asker) -> None:
    path = ask(URL, Fake())
    path.with_name(f"{path.name}.sha256").unlink()
    assert ask(URL, sha256=sha(GOOD)) == path
    assert ask(URL) == path


def test_fault_55_a_source_that_changed_is_refused_until_its_hash_is_given(ask: Asker) -> None:
    """55."""
    path = ask(URL, Fake())
    path.unlink()
    with pytest.raises(FetchError, match=f"{sha(OTHER)}, but {sha(GOOD)} at the first.*--sha256"):
        ask(URL, Fake(OTHER))
    assert not path.exists()
    assert ask(URL, Fake(OTHER), sha256=sha(OTHER)).read_bytes() == OTHER
    assert ask(URL).read_bytes() == OTHER


def test_fault_55_a_wrong_hash_is_an_error_that_names_both(ask: Asker) -> None:
    """55: nothing is left."""
    with pytest.raises(FetchError, match=f"{sha(GOOD)}, not {sha(OTHER)}.*discarded"):
        ask(URL, Fake(), sha256=sha(OTHER))
    assert ask.files() == []


def test_fault_55_a_cached_file_of_another_hash_than_given_is_discarded(ask: Asker) -> None:
    """55."""
    path = ask(URL, Fake())
    with pytest.raises(FetchError, match=f"{sha(GOOD)}, not {sha(OTHER)}"):
        ask(URL, Fake(), sha256=sha(OTHER))
    assert not path.exists()
    assert any("discarded" in line for line in ask.said)


def test_a_folder_or_fifo_in_the_place_of_the_file_is_an_error(ask: Asker) -> None:
    path = ask(URL, Fake())
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(FetchError, match="can't be kept"):
        ask(URL, Fake())
    (path / "in the way").unlink()
    path.rmdir()
    os.mkfifo(path)
    assert ask(URL, Fake()).read_bytes() == GOOD


def test_a_cache_that_cannot_be_written_is_an_error_with_the_way_out(
    ask: Asker,
    tmp_path: Path,
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(FetchError, match=r"can't be kept there.*XDG_CACHE_HOME"):
        ask(URL, Fake())


def test_fault_54_a_full_disk_leaves_no_partial_file(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """54."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FetchError, match="No space left"):
        ask(URL, Fake())
    assert ask.files() == []


def test_many_at_once_all_get_the_whole_file(ask: Asker) -> None:
    gate = threading.Barrier(6)
    results: list[bytes] = []
    fake = Fake()

    def slow(source: str, stream: BinaryIO, **how: Any) -> None:
        with_each = threading.Event()
        fake(source, stream, **how)
        with_each.wait(0.02)

    def one() -> None:
        gate.wait()
        results.extend(ask(URL, slow).read_bytes() for _ in range(5))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [GOOD] * 30
    assert len(ask.files()) == 2


# Downloads that go wrong.


def failed(ask: Asker, spec: str, download: download.Download, **how: Any) -> str:
    with pytest.raises(FetchError) as caught:
        ask(spec, download, **how)
    assert ask.files() == []
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("spec", ["upstream", URL])
def test_fault_53_a_web_page_is_an_error_with_the_address_to_fetch_by_hand(
    ask: Asker, spec: str
) -> None:
    """53."""
    text = failed(ask, spec, Fake(PAGE))
    shown = "https://example.org/.../model.h5"
    address = shown if spec == URL else f"https://drive.google.com/file/d/{UPSTREAM_DRIVE_ID}/view"
    assert "web page" in text
    assert f"fetch {address} by hand" in text
    assert "--weights PATH" in text


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(99), GOOD[:7]])
def test_what_is_no_weights_file_is_an_error(ask: Asker, data: bytes) -> None:
    assert "not with weights" in failed(ask, URL, Fake(data))


def test_an_archive_is_taken(ask: Asker) -> None:
    assert ask(URL, Fake(b"PK\x03\x04rest")).read_bytes() == b"PK\x03\x04rest"


@pytest.mark.parametrize(
    "error",
    [
        OSError(101, "Network is unreachable"),
        urllib.error.URLError(OSError(-3, "Temporary failure in name resolution")),
        TimeoutError("timed out"),
        ConnectionResetError(104, "Connection reset by peer"),
        http.client.IncompleteRead(b"", 10),
        RuntimeError("two\nlines"),
        Exception(),
    ],
)
def test_fault_57_without_a_network_the_error_says_what_is_needed(
    ask: Asker, error: Exception
) -> None:
    """54, 57: also when it breaks off after most of the file."""
    text = failed(ask, "upstream", Fake(GOOD[:9000], error))
    assert "drive.google.com" in text
    assert "--weights PATH" in text


def test_a_missing_gdown_is_an_error_with_the_command(ask: Asker) -> None:
    assert "pip install gdown" in failed(ask, "upstream", Fake(b"", ImportError("gdown")))


def test_more_than_the_cap_ends_the_download(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1 << 20)
    pieces = 0

    def endless(source: str, stream: BinaryIO, **_: Any) -> None:
        nonlocal pieces
        while True:
            stream.write(bytes(1 << 16))
            pieces += 1

    assert "larger than 1 MiB" in failed(ask, URL, endless)
    assert pieces == 16


@pytest.mark.parametrize("trickling", [False, True])
def test_fault_54_a_stall_or_trickle_is_given_up(ask: Asker, trickling: bool) -> None:  # noqa: FBT001
    """54: one byte now and then keeps a socket's own time-out from ever ending."""
    ended = threading.Event()
    release = threading.Event()

    def stall(source: str, stream: BinaryIO, **_: Any) -> None:
        try:
            while not release.wait(0.01):
                if trickling:
                    stream.write(b"\x89")
        finally:
            ended.set()

    text = failed(ask, URL, stall, timeout_s=0.01)
    assert "given up after" in text
    assert "--weights PATH" in text
    if trickling:
        assert ended.wait(60), "the thread goes on after it was given up"
    release.set()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_nothing_and_goes_on(
    ask: Asker,
    error: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(error):
        ask(URL, Fake(GOOD, error()))
    assert ask.files() == []
    cancelled = threading.Event()

    def interrupted(_: Any, size: int) -> None:
        raise error

    def waits(source: str, stream: BinaryIO, *, cancel: threading.Event, **_: Any) -> None:
        cancel.wait(10)
        cancelled.set()

    monkeypatch.setattr(Progress, "update", interrupted)
    with pytest.raises(error):
        ask(URL, waits)
    assert cancelled.wait(5), "the download goes on in its thread"
    assert ask.files() == []


def test_an_interrupt_while_writing_leaves_nothing(
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(URL, Fake())
    assert ask.files() == []


# The real downloads, up to where the network would begin.


class Reply:
    """A connection's end of a conversation: what http.client reads from."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def makefile(self, *_: Any, **__: Any) -> BinaryIO:
        return io.BytesIO(self.raw)


def served(raw: dict[str, bytes], asked: list[str]) -> urllib.request.OpenerDirector:
    """Make an opener that parses ``raw`` responses as http.client does, without a socket."""

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            asked.append(req.full_url)
            assert req.timeout == 5
            response = http.client.HTTPResponse(Reply(raw[req.full_url]))  # type: ignore[arg-type]
            response.begin()
            response.msg = response.reason  # type: ignore[assignment]
            response.url = req.full_url
            return response

    return urllib.request.build_opener(HttpsOnlyRedirects, Handler)


def over(raw: dict[str, bytes], asked: list[str] | None = None) -> download.Download:
    return partial(download_https, opener=served(raw, [] if asked is None else asked))


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = f"Content-Length: {len(body) if length is None else length}"
    head = "\r\n".join(["HTTP/1.1 200 OK", size, *headers])
    return head.encode() + b"\r\n\r\n" + body


def moved(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def test_https_gives_every_byte(ask: Asker) -> None:
    body = GOOD * 30
    assert ask(URL, over({URL: ok(body)})).read_bytes() == body


def test_https_takes_a_chunked_body(ask: Asker) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:99], GOOD[99:], b""))
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert ask(URL, over({URL: raw})).read_bytes() == GOOD


def test_https_follows_redirects_to_https_only(ask: Asker) -> None:
    asked: list[str] = []
    there = "https://cdn.example.org/x"
    path = ask(URL, over({URL: moved(there), there: ok(GOOD)}, asked))
    assert path.read_bytes() == GOOD
    assert asked == [URL, there]


@pytest.mark.parametrize("to", ["http://example.org/model.h5", "ftp://example.org/x"])
def test_https_never_follows_a_redirect_to_anything_else(ask: Asker, to: str) -> None:
    asked: list[str] = []
    text = failed(ask, URL, over({URL: moved(to)}, asked))
    assert to.rpartition("/")[0] in text
    assert "not https" in text
    assert asked == [URL]


def test_fault_54_https_drop_in_mid_body_is_an_error(ask: Asker) -> None:
    """54: http.client alone takes the shorter body for the whole."""
    raw = ok(GOOD[:6000], length=len(GOOD))
    assert f"ended after 6000 of {len(GOOD)} bytes" in failed(ask, URL, over({URL: raw}))
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2800\r\n" + GOOD[:6000]
    assert "could not be fetched" in failed(ask, URL, over({URL: raw}))


def test_https_announced_over_the_cap_is_refused_before_the_body(ask: Asker) -> None:
    raw = ok(b"", length=300 << 20)
    assert "300 MiB, more than the 256 allowed" in failed(ask, URL, over({URL: raw}))


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "503 Unavailable"])
def test_https_refusal_is_an_error_with_the_status(ask: Asker, status: str) -> None:
    raw = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    assert status[:3] in failed(ask, URL, over({URL: raw}))


def test_fault_53_https_web_page_is_an_error(ask: Asker) -> None:
    """53."""
    assert "web page" in failed(ask, URL, over({URL: ok(PAGE, "Content-Type: text/html")}))


def test_fault_57_https_to_a_port_nobody_listens_on_is_an_error(ask: Asker) -> None:
    """57: the real urllib, with its default opener."""
    text = failed(ask, "https://127.0.0.1:1/model.h5", download_https)
    assert "127.0.0.1" in text
    assert "--weights PATH" in text


def test_fault_54_drive_asks_gdown_for_time_outs_and_keeps_no_cookies(
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """54: gdown has no time-out of its own accord."""
    gdown = pytest.importorskip("gdown")
    seen: dict[str, Any] = {}

    def download(*, output: BinaryIO, **how: Any) -> None:
        seen.update(how)
        output.write(GOOD)
        output.flush()

    monkeypatch.setattr(gdown, "download", download)
    assert ask("upstream", download_drive).read_bytes() == GOOD
    assert isinstance(seen.pop("cancel"), threading.Event)
    assert seen == {"id": UPSTREAM_DRIVE_ID, "quiet": True, "use_cookies": False, "timeout": 5.0}


def drive_session(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Any], bytes],
    **headers: str,
) -> None:
    """Have the sessions that gdown makes answer without a network."""
    requests = pytest.importorskip("requests")
    headers.setdefault("Content-Type", "application/octet-stream")

    def send(_: Any, request: Any, **how: Any) -> Any:
        assert how["timeout"] == 5
        response = requests.Response()
        response.status_code = 200
        response.url = request.url
        response.request = request
        response.headers.update(headers)
        response.raw = pytest.importorskip("urllib3").HTTPResponse(
            io.BytesIO(answer(request)),
            headers=headers,
            preload_content=False,
        )
        return response

    monkeypatch.setattr(requests.Session, "send", send)


def test_drive_the_real_gdown_writes_into_our_stream(
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gdown")
    disposition = {"Content-Disposition": 'attachment; filename="model.h5"'}
    drive_session(monkeypatch, lambda _: GOOD, **disposition)
    path = ask("upstream", download_drive)
    assert path.read_bytes() == GOOD
    assert len(ask.files()) == 2


def test_fault_53_drive_quota_page_is_an_error_with_the_address(
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """53."""
    pytest.importorskip("gdown")
    page = PAGE + b'\n<p class="uc-error-subcaption">Too many users have viewed it</p>'
    drive_session(monkeypatch, lambda _: page, **{"Content-Type": "text/html"})
    text = failed(ask, "upstream", download_drive)
    assert f"https://drive.google.com/file/d/{UPSTREAM_DRIVE_ID}/view by hand" in text


def test_fault_54_drive_body_that_ends_early_is_an_error(
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """54."""
    pytest.importorskip("gdown")
    headers = {
        "Content-Disposition": 'attachment; filename="model.h5"',
        "Content-Length": str(len(GOOD)),
    }
    drive_session(monkeypatch, lambda _: GOOD[:6000], **headers)
    assert "could not be fetched" in failed(ask, "upstream", download_drive)


def test_fault_70_a_local_file_needs_no_cache(tmp_path: Path, monkeypatch: Any) -> None:
    """70: without a home folder, as under systemd or in a container."""

    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    path = tmp_path / "model.h5"
    path.write_bytes(GOOD)
    resolve = partial(
        resolve_weights, sha256=None, cache_dir=None, timeout_s=1.0, say=lambda _: None
    )
    assert resolve(str(path)) == path
    with pytest.raises(FetchError, match="XDG_CACHE_HOME"):
        resolve("upstream")


@pytest.mark.parametrize(
    "spec",
    [
        "https://example.org/models/model.h5?token=s3cret#s3cret",
        "https://example.org/s3cret/model.h5",
        "https://s3cret@example.org/model.h5",
        "https://user:s3cret@example.org/model.h5",
        "https://user:12/s3cret@example.org/model.h5",
        "https://user:p?s3cret@example.org/model.h5",
        "https://user:p s3cret@example.org/model.h5",
        "http://user:s3cret@example.org/model.h5",
    ],
)
def test_fault_60_no_secret_of_an_address_is_told(ask: Asker, spec: str) -> None:
    """60: neither what is said on the way nor an error has it, nor a name in the cache."""
    said: list[str] = []
    for fake in (Fake(PAGE), Fake(b"", ValueError(f"unknown url {spec}")), Fake(OTHER), Fake()):
        try:
            said.append(str(ask(spec, fake, sha256=sha(GOOD))))
        except ConvertError as error:
            said.append(str(error))
    said += ask.said
    assert len(said) >= 4
    assert not [line for line in said if "s3cret" in line]
