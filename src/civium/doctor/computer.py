"""The doctor looks at the computer: versions of what the city stands on, extras, the clock."""

import ctypes
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import duckdb
from packaging.requirements import Requirement

from civium.core import CiviumError
from civium.doctor.finding import Finding, State, judged
from civium.engines.lakes import extension
from civium.engines.nats_server import find_server

_TIME_ERROR = 5  # what adjtimex answers while nothing keeps the clock right
_TIMEX_BYTES = 512  # more than struct timex has on any platform


def findings() -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield _python()
    yield _looked("nats-server", _nats_server)
    yield _looked("duckdb", _ducklake)
    yield _packages()
    yield from _extras()
    if sys.platform == "linux":
        yield _clock()


def _python() -> Finding:
    return Finding("python", State.GOOD, f"{platform.python_version()} at {sys.executable}; civium {version('civium')}")


def _looked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, State.GOOD, look())
    except (CiviumError, duckdb.Error, OSError) as error:
        return Finding(what, State.BAD, str(error), "pip install --force-reinstall civium")


def _nats_server() -> str:
    server = find_server()
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 (the log's server)
    return f"{said.strip()} at {server}"


def _ducklake() -> str:
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension()}'")
    return f"{duckdb.__version__} with its extension ducklake"


def _wanted() -> Iterator[tuple[str, Requirement]]:
    """What the installed package asks for, and the extra that asks ("" for all cities)."""
    for line in requires("civium") or ():
        wanted = Requirement(line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if wanted.name != "civium" and (extra or wanted.marker is None or wanted.marker.evaluate()):
            yield extra[1] if extra else "", wanted


def _packages() -> Finding:
    """Installed versions beside the ones that this release supports."""
    wrong = []
    for extra, wanted in _wanted():
        have = _installed(wanted.name)
        if have and not wanted.specifier.contains(have, prereleases=True):
            wrong.append(f"{wanted.name} {have} (supported: {wanted.specifier})")
        elif not have and not extra:
            wrong.append(f"{wanted.name} is missing")
    said = "; ".join(wrong) or "all in the versions that this release supports"
    return judged("packages", said, bad="pip install --upgrade civium" if wrong else "")


def _extras() -> Iterator[Finding]:
    wanted: dict[str, list[str]] = {}
    for extra, requirement in _wanted():
        if extra:
            wanted.setdefault(extra, []).append(requirement.name)
    for extra, names in wanted.items():
        missing = [name for name in names if not _installed(name)]
        said = f"{', '.join(missing)} not installed" if missing else "installed"
        look = f'when you need it: pip install "civium[{extra}]"' if missing else ""
        yield judged(f"extra '{extra}'", said, look=look)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _clock() -> Finding:
    """Whether something keeps the machine's clock right: the city's clock and every reading's time hang on it."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    look = "let chrony, ntpd or systemd-timesyncd keep it" if state == _TIME_ERROR else ""
    said = "nothing keeps it right, as far as the kernel knows" if look else "it is kept right"
    return judged("machine's clock", said, look=look)
