"""Brings a city that an older release left up to this one; its tables are copied first.

Of a city in several processes each keeps tables of its own, on the node that it runs on: they are brought up to date on
every node, and what the nodes share once. While one node does it no process may run on any.
"""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from civium.city_folder import hold
from civium.client import CityAway, connect
from civium.core import CiviumError, InputRefused
from civium.engines.abilities import check
from civium.engines.age import DataOlder
from civium.engines.catalog import Catalog
from civium.engines.settings import Settings, load
from civium.engines.store import Store

COPIES = "before-upgrade"


class UpgradeFailed(CiviumError):
    """The city could not be brought up to this release. Whoever runs it must put the copies back."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was older, in words (empty: nothing was), and where the tables were copied to."""

    older: list[str]
    copies: Path | None


def upgrade(folder: Path) -> Upgraded:
    """Bring the city in ``folder`` up to this release; it must not run.

    A city of one process is started once to see that it can. Raises AlreadyRunning, DataNewer, InputRefused when there
    is no city, and UpgradeFailed, which names the copies.
    """
    shared = (folder / "processes").exists()
    if not shared and not (folder / "catalog.db").exists() and not (folder / "log").exists():
        raise InputRefused(f"there is no city in {folder}")
    folder = folder.resolve()
    settings = load(folder)
    places = sorted((folder / "processes").iterdir()) if shared else [folder]
    with ExitStack() as held:
        for place in places:
            held.callback(hold(place))
        older = _older(settings, places)
        if not older:
            return Upgraded([], None)
        copies = _copy(settings, folder, places)
        try:
            for place in places:
                Catalog.open(_catalog(settings, place), upgrade=True).close()
            Store.open(settings, places[0], upgrade=True).close()
        except Exception as error:
            raise UpgradeFailed(_undo(copies, error)) from error
    if shared:
        return Upgraded(older, copies)
    try:
        with connect(folder) as client:
            client.get("/api/status")
    except (CityAway, InputRefused) as error:
        raise UpgradeFailed(_undo(copies, error)) from error
    return Upgraded(older, copies)


def _older(settings: Settings, places: Sequence[Path]) -> list[str]:
    """What is of an older release; raises DataNewer."""
    older = []
    for place in places:
        try:
            Catalog.open(_catalog(settings, place)).close()
        except DataOlder as error:
            older.append(error.what if len(places) == 1 else f"{place.name}: {error.what}")
    try:
        Store.open(settings, places[0]).close()
    except DataOlder as error:
        older.append(error.what)
    return older


def _copy(settings: Settings, folder: Path, places: Sequence[Path]) -> Path:
    """Copy the tables of the embedded engines; a shared database has backups of its own."""
    copies = folder / COPIES / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    copies.mkdir(parents=True)
    scheme, rest = check("store", settings.engines.store)
    if scheme == "ducklake":
        for name in ("lake.duckdb", "lake.duckdb.wal"):
            if (folder / rest / name).exists():
                shutil.copy2(folder / rest / name, copies / name)
    scheme, rest = check("catalog", settings.engines.catalog)
    for place in places:
        to = copies if place == folder else copies / place.name
        to.mkdir(exist_ok=True)
        for path in (place / "ledger.db", *([place / rest] if scheme == "sqlite" else [])):
            if path.exists():
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to / path.name)) as copy:
                    source.backup(copy)
    return copies


def _catalog(settings: Settings, place: Path) -> str:
    return settings.engines.catalog.replace("sqlite:", f"sqlite:///{place}/", 1)


def _undo(copies: Path, error: Exception) -> str:
    return (
        f"the upgrade failed: {error}. The city's log and its Parquet files are as they were; its tables are copied in "
        f"{copies}: put them back to where they were to run the release that they are of"
    )
