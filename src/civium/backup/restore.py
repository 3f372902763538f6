"""Puts a backup into a new city folder: nothing is there under its name before every file was proved whole."""

import asyncio
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec

from civium.backup.target import AT_ONCE, BackupDamaged, Manifest, PartOf, Target
from civium.core import CiviumError, InputRefused
from civium.engines import store_copies
from civium.engines.abilities import check
from civium.engines.catalog import Catalog
from civium.engines.log import Log
from civium.engines.log_copies import put_back
from civium.engines.settings import Settings, load
from civium.engines.store import Store

_ROOM = 1.05  # free space that is asked for, as a share of the backup

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back."""

    name: str
    manifest: Manifest


def restore(target: Target, folder: Path, name: str, progress: Progress) -> Restored:
    """Put the backup ``name`` ("": the newest) into ``folder``, which must be new or empty.

    Data of an older release are brought up to date. Raises InputRefused when it cannot be done here, BackupDamaged
    when the backup is not whole; then nothing is left in ``folder``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputRefused(f"{folder} is not empty; restore into a new folder", status=409)
    names = target.backups()
    if not names:
        raise InputRefused(f"there is no finished backup in {target.name}")
    name = name or names[-1]
    manifest = target.read(name)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < manifest.size * _ROOM:
        needed = f"{manifest.size * _ROOM / 1e9:,.1f} GB are needed at {folder.parent}, {free / 1e9:,.1f} GB are free"
        raise InputRefused(f"{needed}; make room, or restore elsewhere")
    staging = folder.with_name(f"{folder.name}.restoring")
    try:
        staging.mkdir()
    except FileExistsError:
        raise InputRefused(f"{staging} is left from a restore that broke off, or one is under way; remove it") from None
    try:
        settings = _fetch_all(target, manifest, staging, progress)
        asyncio.run(_put_together(settings, staging, manifest, progress))
        if folder.exists():
            folder.rmdir()
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Restored(name, manifest)


def _fetch_all(target: Target, manifest: Manifest, staging: Path, progress: Progress) -> Settings:
    """All files in their places below ``staging``, each proved by its digest; the settings that are among them."""
    parts = {part.name: part for part in manifest.parts}
    (staging / "run").mkdir()
    if "city/civium.toml" in parts:
        _fetch(target, parts["city/civium.toml"], staging / "civium.toml")
    settings = load(staging)
    places = _places(settings, staging)
    done = 0
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        jobs = {pool.submit(_fetch, target, part, _place(places, part.name)): part for part in manifest.parts}
        for job in as_completed(jobs):
            job.result()
            done += jobs[job].size
            progress(jobs[job].name.partition("/")[0], done, manifest.size)
    finally:
        pool.shutdown(cancel_futures=True)
    return settings


def _fetch(target: Target, part: PartOf, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for piece in target.pieces(part):
            file.write(piece)
    if to.stat().st_size != part.size:
        raise BackupDamaged(f"the backup's file {part.name} has {to.stat().st_size} bytes instead of {part.size}")


def _places(settings: Settings, staging: Path) -> dict[str, Path]:
    """The folder of each kind of part. Raises InputRefused when an engine keeps its data outside the city's folder."""
    engines = settings.engines
    store, blobs = (staging / check(role, getattr(engines, role))[1] for role in ("store", "blobs"))
    catalog = staging / check("catalog", engines.catalog)[1]
    for role, place in (("store", store), ("blobs", blobs), ("catalog", catalog)):
        if not place.resolve().is_relative_to(staging):
            raise InputRefused(
                f"engines.{role} of the saved city is '{getattr(engines, role)}', outside its folder, where it may "
                f"still live; set CIVIUM_ENGINES_{role.upper()} to a place inside the folder"
            )
    return {"city": staging, "store": store, "blobs": blobs, "catalog": catalog, "log": staging / "run" / "log"}


def _place(places: dict[str, Path], name: str) -> Path:
    room, _, rest = name.partition("/")
    if room not in places or not rest or ".." in Path(rest).parts or Path(rest).is_absolute():
        raise BackupDamaged(f"'{name}' is no name of a part of a city")
    return places[room].parent / places[room].name if room == "catalog" else places[room] / rest


async def _put_together(settings: Settings, staging: Path, manifest: Manifest, progress: Progress) -> None:
    """Bring old tables up to date, put the log streams back, and bind the store to them."""
    quiet = msgspec.structs.replace(
        settings, doors=msgspec.structs.replace(settings.doors, mqtt="127.0.0.1:0", websocket="127.0.0.1:0")
    )
    url = settings.engines.catalog.replace("sqlite:", f"sqlite:///{staging}/", 1)
    (await asyncio.to_thread(Catalog.open, url, upgrade=True)).close()
    store = await asyncio.to_thread(Store.open, settings, staging, upgrade=True)
    try:
        log = await Log.open(quiet, staging)
        try:
            for stream in manifest.cut:
                progress(f"log {stream}", 0, 0)
                if stream not in log.streams:
                    raise CiviumError(f"the backup holds a log stream '{stream}' that this release does not know")
                with (staging / "run" / "log" / stream).open("rb") as copy:
                    await put_back(log, stream, copy)
            for shard, stream in _shards(log):
                await asyncio.to_thread(store_copies.rebind, store, shard, await log.created(stream))
        finally:
            await log.close()
    finally:
        store.close()
    shutil.rmtree(staging / "run")


def _shards(log: Log) -> list[tuple[int, str]]:
    """The shards with the log streams that they are folded from."""
    return [(int(name[3:]), name) for name in log.streams if name.startswith("OBS")]
