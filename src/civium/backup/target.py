"""Where backups are: files by their digest, which all backups of a target share, and one manifest for each backup.

``objects/ab/abcd...`` holds a file under the SHA-256 of its content. ``backups/20261122T203207123456Z.json`` names the
files of one backup and is written last, with a digest of itself. So a backup that broke off has no manifest, and what
it had written is used by the next.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from civium.core import CiviumError, InputRefused
from civium.core.extras import require

FORMAT = 1
AT_ONCE = 8  # files that are copied at the same time
CHUNK = 4 * 1024 * 1024


class BackupDamaged(CiviumError):
    """A backup is not what it was when it was made, or not whole. Whoever restores must choose another one."""


def s3() -> fsspec.AbstractFileSystem:
    """S3 at the endpoint that the environment names; raises ExtraMissing when its library is not installed."""
    require("s3fs", "cluster")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return fsspec.filesystem("s3", endpoint_url=endpoint, use_listings_cache=False)


class PartOf(msgspec.Struct, frozen=True, array_like=True):
    """One file of a backup: its name, the SHA-256 of its content, its size [bytes]."""

    name: str
    digest: str
    size: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One whole backup. ``cut`` maps each log stream to its last sequence; ``at`` [us since epoch] is its beginning."""

    format: int
    release: str
    city: str
    at: int
    cut: dict[str, int]
    parts: list[PartOf]
    digest: str = ""  # of all the rest

    @property
    def size(self) -> int:
        """All files together [bytes]."""
        return sum(part.size for part in self.parts)


class Target:
    """A folder or an S3 prefix that holds backups."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, name: str) -> None:
        self._fs, self._root, self.name = filesystem, root.rstrip("/"), name
        self._objects: dict[str, int] = {}

    @classmethod
    def open(cls, where: str) -> "Target":
        """``where`` is a folder, or ``s3://bucket/prefix`` with its endpoint and credentials in ``AWS_*`` variables.

        Raises ExtraMissing when S3 is asked for and not installed, InputRefused for any other kind of address.
        """
        scheme, _, rest = where.rpartition("://")
        if scheme == "s3":
            return cls(s3(), rest, where)
        if scheme not in ("", "file"):
            raise InputRefused(f"'{where}': backups go to a folder or to s3://bucket/prefix")
        folder = Path(rest).expanduser().resolve()
        return cls(fsspec.filesystem("file"), str(folder), str(folder))

    def backups(self) -> list[str]:
        """Names of the backups that were finished, oldest first."""
        found = self._fs.glob(f"{self._root}/backups/*.json")
        return sorted(path.rpartition("/")[2].removesuffix(".json") for path in found)

    def read(self, name: str) -> Manifest:
        """One backup's manifest; raises InputRefused when there is none, BackupDamaged when it was altered."""
        try:
            raw = self._fs.cat_file(f"{self._root}/backups/{name}.json")
        except FileNotFoundError:
            known = ", ".join(self.backups()[-5:]) or "none is there"
            raise InputRefused(f"there is no backup '{name}' in {self.name}; the last ones: {known}") from None
        try:
            told = msgspec.json.decode(raw)
            if told["format"] > FORMAT:
                raise InputRefused(
                    f"the backup {name} was made by release {told['release']}, in a form that this release does not "
                    "know; install that release to restore it"
                )
            manifest = msgspec.convert(told, Manifest)
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            raise BackupDamaged(f"the list of files of the backup {name} cannot be read: {error}") from None
        if _digest_of(manifest) != manifest.digest:
            raise BackupDamaged(f"the list of files of the backup {name} was altered")
        return manifest

    def finish(self, name: str, manifest: Manifest) -> None:
        """Write the manifest: from now on the backup is whole."""
        whole = msgspec.structs.replace(manifest, digest=_digest_of(manifest))
        with self._writing(f"backups/{name}.json") as file:
            file.write(msgspec.json.format(msgspec.json.encode(whole)))

    def look(self) -> None:
        """Learn which objects are there already."""
        root = f"{self._root}/objects"
        found = self._fs.find(root, detail=True) if self._fs.exists(root) else {}
        self._objects = {path.rpartition("/")[2]: int(about["size"]) for path, about in found.items()}

    def has(self, digest: str, size: int) -> bool:
        """Whether an object is there, as far as ``look`` and ``put`` know."""
        return self._objects.get(digest) == size

    def put(self, digest: str, size: int, source: BinaryIO) -> None:
        """Keep an object; raises InputRefused when its content is not what its digest says: it changed meanwhile."""
        seen = hashlib.sha256()
        with self._writing(f"objects/{digest[:2]}/{digest}") as file:
            while piece := source.read(CHUNK):
                seen.update(piece)
                file.write(piece)
            if seen.hexdigest() != digest:
                raise InputRefused("a file changed while it was copied; run the same command again", status=409)
        self._objects[digest] = size

    def pieces(self, part: PartOf) -> Iterator[bytes]:
        """An object's content; raises BackupDamaged at its end when it is not what its digest says, or when missing."""
        seen = hashlib.sha256()
        try:
            with self._fs.open(f"{self._root}/objects/{part.digest[:2]}/{part.digest}", "rb") as file:
                while piece := file.read(CHUNK):
                    seen.update(piece)
                    yield piece
        except FileNotFoundError:
            raise BackupDamaged(f"the backup lacks its file {part.name}") from None
        if seen.hexdigest() != part.digest:
            raise BackupDamaged(f"the backup's file {part.name} was altered or cut short")

    def forget(self, keep: int) -> int:
        """Remove all but the ``keep`` newest backups, and the objects that none of these needs; how many backups."""
        names = self.backups()
        old, kept = names[:-keep], names[-keep:]
        if not old:
            return 0
        needed = {part.digest for name in kept for part in self.read(name).parts}
        for name in old:  # first the manifests: what stays is whole at every moment
            self._fs.rm_file(f"{self._root}/backups/{name}.json")
        self.look()
        paths = [f"{self._root}/objects/{digest[:2]}/{digest}" for digest in self._objects if digest not in needed]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._fs.rm_file, paths))
        return len(old)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Any]:
        """A file that is there whole or not at all, synced where it is a local one."""
        path = f"{self._root}/{name}"
        if not isinstance(self._fs, LocalFileSystem):
            file = self._fs.open(path, "wb")
            try:
                yield file
            except BaseException:
                file.discard()
                raise
            file.close()
            return
        partial = Path(f"{path}.{uuid4().hex}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(partial.parent)
        finally:
            partial.unlink(missing_ok=True)


def _digest_of(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, digest=""))).hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
