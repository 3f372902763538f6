"""Makes a backup of a city: what the city names, in the order in which it must be copied, and the manifest last."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import httpx

from civium.backup.target import AT_ONCE, CHUNK, FORMAT, BackupDamaged, Manifest, PartOf, Target, s3
from civium.client import CityAway, CityClient
from civium.core import CiviumError, InputRefused, to_datetime
from civium.cut import Part
from civium.engines.log_copies import state_of

_RENEW_S = 5.0

Progress = Callable[[str, int, int], None]  # what is being copied, how many bytes are done, of how many


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished backup, and how much of it the target did not have yet [bytes]."""

    name: str
    manifest: Manifest
    written: int


def save(client: CityClient, target: Target, progress: Progress) -> Saved:
    """Back up the city behind ``client``. What breaks it off leaves no backup, only files that the next one uses."""
    begun = client.post("/api/backups")
    done: dict[str, Any] | None = None
    with _renewed(client, begun["id"]):
        try:
            saved = _Saving(client, target, begun, progress).run()
            at, size = saved.manifest.at, saved.manifest.size
            done = {"target": target.name, "name": saved.name, "at": at, "bytes": size}
            return saved
        finally:
            client.post(f"/api/backups/{begun['id']}/end", done=done)


class _Saving:
    """One backup under way."""

    def __init__(self, client: CityClient, target: Target, begun: dict[str, Any], progress: Progress) -> None:
        self._client, self._target, self._begun, self._progress = client, target, begun, progress
        self._written = self._done = self._total = 0
        self._lock = threading.Lock()
        self._known = _known(target, begun["name"])

    def run(self) -> Saved:
        begun, path = self._begun, f"/api/backups/{self._begun['id']}"
        self._target.look()
        parts = [Part(**part) for part in begun["parts"]]
        copied: list[PartOf] = []
        cut: dict[str, int] = {}
        with TemporaryDirectory(prefix="civium-backup-") as folder:
            for stream in begun["streams"]:
                self._progress(f"log {stream}", 0, 0)
                file = Path(folder) / stream
                cut[stream] = self._fetch(f"{path}/streams/{stream}", file)
                copied.append(self._copy(Part(f"log/{stream}", file.as_uri(), file.stat().st_size)))
                file.unlink()
        parts += [Part(**part) for part in self._client.get(f"{path}/files")]
        self._total = sum(part.size for part in parts)
        self._done = 0
        copied += self._copy_all(parts)
        manifest = Manifest(
            format=FORMAT,
            release=begun["release"],
            city=begun["name"],
            at=begun["at"],
            cut=cut,
            parts=sorted(copied, key=lambda part: part.name),
        )
        name = f"{to_datetime(begun['at']):%Y%m%dT%H%M%S%fZ}"
        self._target.finish(name, manifest)
        return Saved(name, manifest, self._written)

    def _fetch(self, path: str, file: Path) -> int:
        """Save the copy of a log stream; returns its last sequence."""
        with file.open("wb") as out, self._client.http.stream("GET", path) as answer:
            if not answer.is_success:
                answer.read()
                raise CityAway(f"the city could not copy its log: {answer.text[:300]}")
            try:
                for piece in answer.iter_bytes(CHUNK):
                    out.write(piece)
            except httpx.RemoteProtocolError:
                raise CityAway("the copy of the log broke off; look at civium doctor, and try again") from None
        with file.open("rb") as copy:
            return int(state_of(copy.readline())["last_seq"])

    def _copy_all(self, parts: list[Part]) -> Iterable[PartOf]:
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            for future in as_completed([pool.submit(self._copy_if_there, part) for part in parts]):
                if (part := future.result()) is not None:
                    yield part
        finally:
            pool.shutdown(cancel_futures=True)

    def _copy_if_there(self, part: Part) -> PartOf | None:
        try:
            return self._copy(part)
        except FileNotFoundError:
            if part.name.startswith("blobs/"):
                return None  # its retention has passed
            raise CiviumError(f"{part.name} vanished while the city was copied; run the same command again") from None

    def _copy(self, part: Part) -> PartOf:
        """Copy a part unless the target has it."""
        digest = self._known.get((part.name, part.size), "") if part.fixed else ""
        size = part.size
        if not (digest and self._target.has(digest, size)):
            with _open(part.url) as source:
                digest, size = _digest(source)
            if not self._target.has(digest, size):
                with _open(part.url) as source:
                    self._target.put(digest, size, source)
                with self._lock:
                    self._written += size
        with self._lock:
            self._done += part.size
            self._progress(part.name.partition("/")[0], self._done, self._total)
        return PartOf(part.name, digest, size)


def _known(target: Target, city: str) -> dict[tuple[str, int], str]:
    """Digests of the files that the last backup has, by name and size; raises InputRefused if it is another city's."""
    names = target.backups()
    try:
        last = target.read(names[-1]) if names else None
    except BackupDamaged:
        return {}  # this backup will not lean on it
    if last is not None and last.city != city:
        raise InputRefused(f"{target.name} holds backups of the city '{last.city}'; give each city its own place")
    return {(part.name, part.size): part.digest for part in last.parts} if last else {}


def _open(url: str) -> Any:
    return s3().open(url, "rb") if url.startswith("s3://") else fsspec.open(url, "rb")


def _digest(source: Any) -> tuple[str, int]:
    seen, size = hashlib.sha256(), 0
    while piece := source.read(CHUNK):
        seen.update(piece)
        size += len(piece)
    return seen.hexdigest(), size


@contextmanager
def _renewed(client: CityClient, cut: str) -> Iterator[None]:
    """Tell the city every now and then that the copying goes on."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(_RENEW_S):
            try:
                client.post(f"/api/backups/{cut}/renew")
            except (CiviumError, httpx.HTTPError):
                continue  # the end of the backup meets the same trouble, and tells it

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
