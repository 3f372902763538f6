"""Brings a city that an older release left up to this one; its tables are copied first."""

import shutil
import sqlite3
from contextlib import closing
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
    """Bring the city in ``folder`` up to this release; it must not run, and is started once to see that it can.

    Raises AlreadyRunning, DataNewer, InputRefused when there is no city, and UpgradeFailed, which names the copies.
    """
    if not (folder / "catalog.db").exists() and not (folder / "log").exists():
        raise InputRefused(f"there is no city in {folder}")
    folder = folder.resolve()
    settings = load(folder)
    let_go = hold(folder)
    try:
        older = _older(settings, folder)
        if not older:
            return Upgraded([], None)
        copies = _copy(settings, folder)
        try:
            Catalog.open(_catalog(settings, folder), upgrade=True).close()
            Store.open(settings, folder, upgrade=True).close()
        except Exception as error:
            raise UpgradeFailed(_undo(copies, error)) from error
    finally:
        let_go()
    try:
        with connect(folder) as client:
            client.get("/api/status")
    except (CityAway, InputRefused) as error:
        raise UpgradeFailed(_undo(copies, error)) from error
    return Upgraded(older, copies)


def _older(settings: Settings, folder: Path) -> list[str]:
    """What is of an older release; raises DataNewer."""
    older = []
    try:
        Catalog.open(_catalog(settings, folder)).close()
    except DataOlder as error:
        older.append(error.what)
    try:
        Store.open(settings, folder).close()
    except DataOlder as error:
        older.append(error.what)
    return older


def _copy(settings: Settings, folder: Path) -> Path:
    """Copy the tables of the embedded engines; a shared database has backups of its own."""
    copies = folder / COPIES / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    copies.mkdir(parents=True)
    scheme, rest = check("store", settings.engines.store)
    if scheme == "ducklake":
        for name in ("lake.duckdb", "lake.duckdb.wal"):
            if (folder / rest / name).exists():
                shutil.copy2(folder / rest / name, copies / name)
    databases = [folder / "ledger.db"]
    scheme, rest = check("catalog", settings.engines.catalog)
    if scheme == "sqlite":
        databases.append(folder / rest)
    for path in databases:
        if path.exists():
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copies / path.name)) as copy:
                source.backup(copy)
    return copies


def _catalog(settings: Settings, folder: Path) -> str:
    return settings.engines.catalog.replace("sqlite:", f"sqlite:///{folder}/", 1)


def _undo(copies: Path, error: Exception) -> str:
    return (
        f"the upgrade failed: {error}. The city's log and its Parquet files are as they were; its tables are copied in "
        f"{copies}: put them back to where they were to run the release that they are of"
    )
