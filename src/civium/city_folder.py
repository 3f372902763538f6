"""The folder of a city: who may run in it, the operator's token, and where its catalogue lies."""

import fcntl
import secrets
from collections.abc import Callable
from pathlib import Path

from civium.core import CiviumError
from civium.core.once import made_once
from civium.engines.settings import Settings

ROLES = ("door", "writer", "turn", "web")
_MOST_PROCESSES = 100


class AlreadyRunning(CiviumError):
    """Another process runs this city."""


def settle(folder: Path, settings: Settings, roles: frozenset[str]) -> tuple[Path, Callable[[], None]]:
    """Find the place of this process in the city's folder and hold it; returns it, and what lets it go.

    A city whose log is its own has room for one process. Raises AlreadyRunning.
    """
    if not settings.engines.log.startswith("nats:"):
        return folder, hold(folder)
    name = "-".join(sorted(roles)) if roles != frozenset(ROLES) else "all"
    for number in range(_MOST_PROCESSES):
        place = folder / "processes" / f"{name}-{number}"
        place.mkdir(parents=True, exist_ok=True)
        try:
            return place, hold(place)
        except AlreadyRunning:
            continue
    raise AlreadyRunning(f"{_MOST_PROCESSES} processes with the role {name} run in {folder} already")


def hold(folder: Path) -> Callable[[], None]:
    """Lock a folder for this process; returns what lets it go. Raises AlreadyRunning."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunning(f"the city in {folder} is running already; stop it first, or talk to it") from None
    return file.close


def token(folder: Path) -> str:
    """The city's operator token: made once, readable by its owner only."""
    return made_once(folder / "token", lambda: secrets.token_urlsafe(32))


def catalog_url(settings: Settings, place: Path) -> str:
    """The URL of the catalogue; a file lies where this process keeps what is its own."""
    url = settings.engines.catalog
    return url.replace("sqlite:", f"sqlite:///{place}/", 1) if url.startswith("sqlite:") else url
