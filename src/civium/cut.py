"""What a backup copies of a running city: parts that together are one cut, and stay until the backup is done.

Where a city runs in several processes, one copies and tells the others to hold what they have; who hears nothing of it
for half a minute lets go.

The order matters. The tables are copied before the log streams that they are folded from; how far the outbox has come
before the record that it follows; the record and the book of alarms before the observations, the ticks and the changes
of the catalogue that they rest on; dead letters before the observations that they become. So whatever a part refers to
is there, and what the tables lack is folded when the restored city starts.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import civium
from civium.core import CiviumError, InputRefused
from civium.engines import log_copies, store_copies

if TYPE_CHECKING:
    from civium.city import City

LAST_BACKUP = "backup.json"  # in the city's folder: the last one that was done
_EXPIRES_S = 30.0  # after the last sign of life of whoever copies
_PATIENCE_S = 60.0
_SETTINGS = ("civium.toml", "token", "push.key")
_ORDER = ("MARKS", "LEDGER", "ALARM", "DEAD", "POISON", "OBS", "CAT", "TICK")


class BackupImpossible(CiviumError):
    """The city cannot be copied now. Whoever runs it must look at what stands in the way."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup: its name there, where it is now (an address of fsspec), its size [bytes].

    ``fixed``: under this name and size it never changes, so a backup that has it needs no second copy.
    """

    name: str
    url: str
    size: int
    fixed: bool = False


class Cuts:
    """Lets one backup at a time copy the city, and keeps what it needs from being removed meanwhile."""

    def __init__(self, city: "City") -> None:
        self._city = city
        self._folder = city.folder / "run" / "backup"
        self._current = ""
        self._seen = 0.0
        self._holding = ""  # the backup for which this process holds what it has; it may be another process's
        self._heard = 0.0
        shutil.rmtree(self._folder, ignore_errors=True)

    async def begin(self) -> dict[str, Any]:
        """Begin a backup: its ``id``, the ``parts`` of the tables, and the log ``streams`` in the order to copy them.

        Raises InputRefused while another one is being made, BackupImpossible when the city does not come to rest.
        """
        await self.expire()
        if self._current or self._holding:
            raise InputRefused("a backup of this city is being made already; wait until it is done", status=409)
        self._current, self._seen = uuid4().hex, float("inf")
        city = self._city
        try:
            await self._tell_of(self._current)
            async with asyncio.timeout(_PATIENCE_S):
                await city.mqtt.reach()  # the devices' own stream is not copied: what they were promised is in the log
            parts = await asyncio.to_thread(self._tables)
        except TimeoutError:
            await self._release()
            why = f"what devices sent was not taken in within {_PATIENCE_S:g} s; look at: civium doctor"
            raise BackupImpossible(why) from None
        except BaseException:
            await self._release()
            raise
        self._seen = asyncio.get_running_loop().time()
        return {
            "id": self._current,
            "name": city.settings.name,
            "release": civium.__version__,
            "at": city.wall.now(),
            "parts": [asdict(part) for part in parts],
            "streams": sorted(city.log.streams, key=_place),
        }

    def _tables(self) -> list[Part]:
        city, folder = self._city, self._folder
        folder.mkdir(parents=True)
        if (city.place / "live.npz").exists():
            shutil.copyfile(city.place / "live.npz", folder / "live.npz")
        city.ledger.projection.save(folder / "ledger.db")
        files = store_copies.save(city.store, folder / "lake.duckdb")
        city.catalog.save(folder / "catalog.db")
        names = {"live.npz": "city", "ledger.db": "city", "lake.duckdb": "store", "catalog.db": "catalog"}
        parts = [_part(f"{room}/{name}", folder / name) for name, room in names.items() if (folder / name).exists()]
        return parts + [Part(f"store/data/{f.name}", f.url, f.size, fixed=True) for f in files]

    async def stream(self, cut: str, stream: str) -> AsyncIterator[bytes]:
        """A copy of one log stream, in pieces."""
        await self.renew(cut)
        if stream not in self._city.log.streams:
            raise InputRefused(f"there is no log stream '{stream}'", status=404)
        async for piece in log_copies.take(self._city.log, stream):
            yield piece

    async def files(self, cut: str) -> list[Part]:
        """What must be copied after the log streams: the blobs that the record names, the city model, the settings."""
        await self.renew(cut)
        return await asyncio.to_thread(self._files)

    def _files(self) -> list[Part]:
        folder = self._city.folder
        parts = [Part(f"blobs/{name}", url, size, fixed=True) for name, url, size in self._city.blobs.stored()]
        layers = sorted(path for path in (folder / "twin").rglob("*") if path.is_file())
        parts += [_part(f"city/{path.relative_to(folder)}", path) for path in layers]
        return parts + [_part(f"city/{name}", folder / name) for name in _SETTINGS if (folder / name).exists()]

    async def renew(self, cut: str) -> None:
        """A sign of life of whoever copies; raises InputRefused when the cut was given up meanwhile."""
        await self.expire()
        if cut != self._current:
            raise InputRefused("this backup was given up, since nothing was heard of it; begin again", status=410)
        self._seen = asyncio.get_running_loop().time()
        await self._tell_of(cut)

    async def end(self, cut: str, done: dict[str, Any] | None) -> None:
        """Let go of the cut; ``done`` says where the backup is, and None that there is none."""
        await self.renew(cut)
        await self._release()
        if done is not None:
            partial = self._city.folder / f"{LAST_BACKUP}.part"
            partial.write_text(json.dumps(done))
            partial.replace(self._city.folder / LAST_BACKUP)

    async def expire(self) -> None:
        """Give up a backup of which nothing was heard for half a minute."""
        now = asyncio.get_running_loop().time()
        if self._current and now - self._seen > _EXPIRES_S:
            await self._release()
        elif self._holding and not self._current and now - self._heard > _EXPIRES_S:
            self.hear("")

    def hear(self, cut: str) -> None:
        """Hold what a backup may still have to copy, in whichever process it is made; "" lets go."""
        self._heard = asyncio.get_running_loop().time()
        for writer in self._city.writers.values():
            writer.keep_log(bool(cut))
        if bool(cut) != bool(self._holding):
            self._city.store.hold(bool(cut))
        self._holding = cut

    async def _tell_of(self, cut: str) -> None:
        self.hear(cut)
        if self._city.log.shared:
            await self._city.log.tell("backup.all", cut.encode())

    async def _release(self) -> None:
        self._current = ""
        await self._tell_of("")
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _part(name: str, path: Path) -> Part:
    return Part(name, path.resolve().as_uri(), os.path.getsize(path))


def _place(stream: str) -> tuple[int, str]:
    """Where a log stream stands in the order of copying."""
    return next(place for place, prefix in enumerate(_ORDER) if stream.startswith(prefix)), stream
