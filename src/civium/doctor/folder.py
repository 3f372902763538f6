"""The doctor looks at a city's folder: room, rights, tables, leftovers, the log server's words, the last backup."""

import json
import os
import shutil
import socket
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from civium.core import to_datetime
from civium.cut import LAST_BACKUP
from civium.doctor.finding import Finding, State, judged
from civium.engines.abilities import check
from civium.engines.settings import Settings, address

_LEAST_FREE_GB, _ROOMY_GB = 1.0, 10.0
_LEAST_FREE_INODES = 100_000
_FULL_SOON_D, _FULL_NOW_D = 90.0, 14.0
_SAMPLES = "doctor.json"  # how large the folder was at earlier examinations
_MOST_SAMPLES, _SHORTEST_S = 100, 3600.0
_OLD_BACKUP_D, _VERY_OLD_BACKUP_D = 2.0, 14.0
_LEFTOVER_S = 3600.0
_LAST_LINES = 2000
_DAY_S = 86400.0


def room(folder: Path) -> Iterator[Finding]:
    """Free space and inodes where the city is, and when they will be gone as it grew until now."""
    here = folder.resolve()
    while not here.exists():
        here = here.parent
    free = shutil.disk_usage(here).free / 1e9
    said = f"{free:,.1f} GB free at {here}"
    grown = _grown(folder)
    bad = "make room: the log refuses what it cannot store" if free < _LEAST_FREE_GB else ""
    look = "" if free > _ROOMY_GB else "a reading takes about 10 bytes; set a retention or make room"
    if grown is not None:
        days = free * 1e9 / grown if grown > 0 else float("inf")
        said += f"; the city grows by {grown / 1e6:,.1f} MB a day: " + (
            f"full in {days:,.0f} days" if days < 10_000 else "room for decades"
        )
        bad = bad or ("make room now" if days < _FULL_NOW_D else "")
        look = look or ("make room in time, or set a retention" if days < _FULL_SOON_D else "")
    else:
        said += "; a later examination can say how fast it grows"
    yield judged("disk", said, bad=bad, look=look)
    inodes = os.statvfs(here)
    if inodes.f_files:
        few = inodes.f_favail < _LEAST_FREE_INODES
        do = "remove small files, or move the city to a larger file system" if few else ""
        yield judged("inodes", f"{inodes.f_favail:,} of {inodes.f_files:,} free", look=do)


def _grown(folder: Path) -> float | None:
    """How much the folder grew [bytes a day] between the first examination that is remembered and now."""
    if not folder.is_dir():
        return None
    path, now = folder / _SAMPLES, time.time()
    try:
        samples = [(float(at), float(size)) for at, size in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        samples = []
    size = float(_size(folder))
    if not samples or now - samples[-1][0] >= _SHORTEST_S:
        samples = [*samples[-_MOST_SAMPLES:], (now, size)]
        path.write_text(json.dumps(samples))
    first, was = samples[0]
    return (size - was) / (now - first) * _DAY_S if now - first >= _SHORTEST_S else None


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # gone since it was listed
    return total


def rights(folder: Path) -> Iterator[Finding]:
    """Who may read what only the operator and the city may read."""
    for name in ("token", "log/nats.conf"):
        path = folder / name
        if path.exists():
            mode = path.stat().st_mode & 0o777
            bad = f"chmod 600 {path}, and give the city a new one if someone else read it" if mode & 0o077 else ""
            yield judged(f"rights of {name}", f"{mode:o}", bad=bad)
    if folder.exists() and not os.access(folder, os.W_OK):
        yield Finding("rights", State.BAD, f"{folder} cannot be written by this user", "run as the city's user")


def tables(settings: Settings, folder: Path) -> Iterator[Finding]:
    """Whether the SQLite tables hold together."""
    found = [("tables of the record", folder / "ledger.db", "remove it: it is made again from the log")]
    scheme, rest = check("catalog", settings.engines.catalog)
    if scheme == "sqlite":
        do = (
            "stop the city, move the file away and start the city: it is folded again from the log; or restore a backup"
        )
        found.append(("catalogue", folder / rest, do))
    for what, path, do in found:
        if not path.exists():
            continue
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                said = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
                broken = list(connection.execute("PRAGMA foreign_key_check"))
        except sqlite3.Error as error:
            said, broken = [str(error)], []
        if said == ["ok"] and not broken:
            yield judged(what, f"{path.stat().st_size / 1e6:,.1f} MB, it holds together")
        else:
            words = "; ".join(said[:3] if said != ["ok"] else [f"{len(broken)} rows refer to nothing"])
            yield Finding(what, State.BAD, words, do)


def leftovers(folder: Path) -> Finding:
    """Files of work that broke off."""
    old = time.time() - _LEFTOVER_S
    places = [folder / name for name in ("blobs", "lake/temporary", "run/backup", "run/views")]
    found = [p for place in places for p in place.rglob("*") if p.is_file() and p.stat().st_mtime < old]
    found = [p for p in found if p.suffix == ".part" or not p.is_relative_to(folder / "blobs")]
    found += [p for p in folder.glob("*.part") if p.stat().st_mtime < old]
    size = sum(p.stat().st_size for p in found)
    said = f"{len(found)} files with {size / 1e6:,.1f} MB, such as {found[0]}" if found else "none"
    return judged("leftovers", said, look="they may be removed while the city does not run" if found else "")


def log_said(folder: Path) -> Finding:
    """The log server's last errors and warnings."""
    try:
        with (folder / "log" / "nats.log").open(errors="replace") as file:
            lines = deque(file, _LAST_LINES)
    except OSError:
        return Finding("log server's words", State.GOOD, "it has said nothing yet")
    wrong = [line.strip() for line in lines if "[ERR]" in line or "[FTL]" in line]
    said = f"{len(wrong)} errors, the last: {wrong[-1]}" if wrong else "no error"
    return judged("log server's words", said, look=f"see {folder / 'log' / 'nats.log'}" if wrong else "")


def last_backup(folder: Path) -> Finding:
    """How old the last backup is, and where."""
    do = f"civium backup TARGET --city {folder}, by a timer: see docs/operations.md"
    try:
        told = json.loads((folder / LAST_BACKUP).read_text())
        at = to_datetime(told["at"])
    except (OSError, ValueError, KeyError):
        return Finding("backup", State.LOOK, "there was none yet", do)
    age = (datetime.now(UTC) - at).total_seconds() / _DAY_S
    said = f"{told['name']} in {told['target']}, {told['bytes'] / 1e6:,.1f} MB, {age:,.1f} days old"
    return judged("backup", said, bad=do if age > _VERY_OLD_BACKUP_D else "", look=do if age > _OLD_BACKUP_D else "")


def ports(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """Whether the doors can be opened, or answer."""
    for door in ("http", "mqtt", "websocket"):
        host, port = address(getattr(settings.doors, door))
        where, what = f"{host}:{port}", f"door {door}"
        if port == 0:
            yield judged(what, f"any free port of {host}")
        elif running and _answers(host, port):
            yield judged(what, f"{where} answers")
        elif running:
            yield Finding(what, State.BAD, f"{where} does not answer", "look at the troubles below, and at a firewall")
        elif _free(host, port):
            yield judged(what, f"{where} is free")
        else:
            do = f"stop what listens there, or set doors.{door} (CIVIUM_DOORS_{door.upper()}) to another"
            yield Finding(what, State.BAD, f"{where} is taken", do)


def _answers(host: str, port: int) -> bool:
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - all of them
    try:
        socket.create_connection((here, port), timeout=5).close()
    except OSError:
        return False
    return True


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
