"""Debian packages, unpacked into a folder without root and without dpkg.

The chain of trust: TLS to deb.debian.org, the index's SHA-256 in the suite's Release file, each
package's SHA-256 in the index.  No script of a package is run.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import shutil
import tarfile
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MIRROR = "https://deb.debian.org/debian"
_TIMEOUT_S = 60
_FOR_SCRIPTS = {"dpkg", "debconf", "perl", "perl-base", "sensible-utils", "init-system-helpers"}
"""What packages depend on for the scripts that are not run here."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of an index."""

    name: str
    version: str
    path: str
    sha256: str
    depends: tuple[tuple[str, ...], ...]
    """Each a choice of names."""


class Index:
    """The packages of a suite's ``main`` for one architecture.

    Raises:
        OSError: the mirror can't be reached, or gave something else than it promised.

    """

    def __init__(self, suite: str, architecture: str) -> None:
        path = f"main/binary-{architecture}/Packages.xz"
        release = _fetch(f"{MIRROR}/dists/{suite}/InRelease").decode()
        sums = release[release.index("\nSHA256:") :]
        found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(path)}$", sums, re.MULTILINE)
        if found is None:
            message = f"{suite} has no index {path}"
            raise OSError(message)
        packed = _fetch(f"{MIRROR}/dists/{suite}/{path}", found[1])
        self._packages: dict[str, Package] = {}
        self._providers: dict[str, str] = {}
        for paragraph in lzma.decompress(packed).decode().split("\n\n"):
            if paragraph.strip():
                self._add(paragraph)

    def _add(self, paragraph: str) -> None:
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        name = fields["Package"]
        depends = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)
        self._packages[name] = Package(
            name,
            fields["Version"],
            fields["Filename"],
            fields["SHA256"],
            tuple(tuple(_names(choice, "|")) for choice in depends.split(",") if choice.strip()),
        )
        for provided in _names(fields.get("Provides", ""), ","):
            self._providers.setdefault(provided, name)

    def resolve(self, names: Iterable[str]) -> list[Package]:
        """Return packages with all that they depend on; of a choice, the first that there is.

        Raises:
            LookupError: a package isn't in the index.

        """
        found: dict[str, Package] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            name = name if name in self._packages else self._providers.get(name, name)
            if name in found or name in _FOR_SCRIPTS:
                continue
            if name not in self._packages:
                message = f"no package {name}"
                raise LookupError(message)
            package = found[name] = self._packages[name]
            for choice in package.depends:
                known = [one for one in choice if one in self._packages or one in self._providers]
                if not found.keys() & set(choice):
                    waiting.append((known or choice)[0])
        return sorted(found.values(), key=lambda package: package.name)


def make_tree(
    folder: Path,
    suite: str,
    architecture: str,
    packages: Iterable[str],
    *,
    only: Callable[[str], bool] = lambda _: True,
) -> Path:
    """Unpack packages and what they depend on into ``folder``, unless they are there already.

    Args:
        folder: the tree; made whole or not at all.
        suite: Debian's release, such as "bookworm".
        architecture: Debian's name of it, such as "arm64".
        packages: names.
        only: which files to unpack, by their path in the tree.

    Raises:
        OSError: the mirror can't be reached, or gave something else than it promised.

    """
    packages = sorted(packages)
    stamp = folder / ".packages"
    wanted = " ".join((suite, architecture, *packages))
    if stamp.exists() and stamp.read_text().splitlines()[0] == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "sbin", "lib"):  # Debian's merged /usr, which base-files would make
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    resolved = Index(suite, architecture).resolve(packages)
    for package in resolved:
        _unpack(_fetch(f"{MIRROR}/{package.path}", package.sha256), folder, only)
    lines = [f"{package.name} {package.version}" for package in resolved]
    stamp.write_text("\n".join((wanted, *lines)) + "\n")
    return folder


def _unpack(deb: bytes, folder: Path, only: Callable[[str], bool]) -> None:
    for name, data in _members(deb):
        if not name.startswith("data.tar"):
            continue
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = [
                member
                for member in archive
                if only(os.path.normpath(member.name)) and not member.isdev()
            ]
            archive.extractall(folder, members, filter="tar")


def _members(deb: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each member of an ``ar`` archive, which is what a .deb is."""
    start = len(b"!<arch>\n")
    while start + 60 <= len(deb):
        name = deb[start : start + 16].decode().strip().rstrip("/")
        size = int(deb[start + 48 : start + 58])
        start += 60
        yield name, deb[start : start + size]
        start += size + size % 2


def _fetch(url: str, sha256: str | None = None) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - https only
        data: bytes = response.read()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        message = f"{url} is not what its index says"
        raise OSError(message)
    return data


def _names(text: str, separator: str) -> Iterator[str]:
    """Yield the names in a list such as "libc6 (>= 2.36) | libc6.1"."""
    for part in text.split(separator):
        if part.strip():
            yield re.split(r"[\s:(]", part.strip())[0]
