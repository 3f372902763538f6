"""Blobs: files with retention, behind fsspec. Written whole or not at all."""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from civium.core import CiviumError, Clock
from civium.core.clock import MICROSECONDS
from civium.core.extras import require
from civium.engines.abilities import check
from civium.engines.settings import Settings


class BlobMissing(CiviumError):
    """No such blob: it was never written, or its retention has passed."""


class Blobs:
    """A folder of blobs. A blob's name is ``kind/xx/digest``; each kind has its own retention."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, clock: Clock) -> None:
        self._fs, self._root, self._clock = filesystem, root, clock

    @classmethod
    def open(cls, settings: Settings, city: Path, clock: Clock) -> "Blobs":
        """A folder, or ``s3://bucket/path`` with credentials and endpoint from the usual ``AWS_*`` environment."""
        scheme, rest = check("blobs", settings.engines.blobs)
        if scheme == "s3":
            require("s3fs", "cluster")
            # Other processes write here too, so what was listed once may be old.
            return cls(fsspec.filesystem("s3", use_listings_cache=False), rest.strip("/"), clock)
        root = str((city / rest).resolve())
        filesystem = fsspec.filesystem(scheme)
        filesystem.makedirs(root, exist_ok=True)
        return cls(filesystem, root, clock)

    def put(self, kind: str, data: bytes) -> str:
        """Keep ``data``; returns its name. The same data twice is one blob, whose retention begins anew."""
        digest = hashlib.sha256(data).hexdigest()
        name = f"{kind}/{digest[:2]}/{digest}"
        path = f"{self._root}/{name}"
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.pipe_file(path, data)  # an object store shows an object when it is whole
            return name
        with suppress(FileNotFoundError):
            os.utime(path)
            return name
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        partial = f"{path}.{self._clock.now()}.part"
        with self._fs.open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # what the ledger refers to must survive a power cut
        self._fs.mv(partial, path)
        return name

    def get(self, name: str) -> bytes:
        """The blob's content; raises BlobMissing."""
        try:
            data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            raise BlobMissing(f"blob {name} is not there: its retention may have passed") from None
        return data

    def has(self, name: str) -> bool:
        """Whether a blob is there."""
        return bool(self._fs.exists(f"{self._root}/{name}"))

    def stored(self) -> list[tuple[str, str, int]]:
        """Name, address (of fsspec) and size [bytes] of every blob that is written whole."""
        prefix = self._root.rstrip("/") + "/"
        found = self._fs.find(self._root, detail=True)
        return [
            (path.removeprefix(prefix), self._fs.unstrip_protocol(path), int(about["size"]))
            for path, about in sorted(found.items())
            if not path.endswith(".part")
        ]

    def forget(self, kind: str, retention_s: float, keep: Collection[str] = ()) -> int:
        """Delete blobs of a kind older than ``retention_s`` [s], but those named in ``keep``; returns how many."""
        root = f"{self._root}/{kind}"
        if not self._fs.exists(root):
            return 0
        oldest = self._clock.now() / MICROSECONDS - retention_s
        found = self._fs.find(root, detail=True).values()
        kept = {f"{self._root}/{name}" for name in keep}
        old = [f["name"] for f in found if _written(f) < oldest and f["name"] not in kept]
        for path in old:
            self._fs.rm_file(path)
        return len(old)


def _written(about: dict[str, Any]) -> float:
    """When a file or an object was written [s since epoch]."""
    return float(about["mtime"]) if "mtime" in about else float(about["LastModified"].timestamp())
