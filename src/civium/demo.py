"""The demo: the centre of Helsinki as a running city, fed by simulated devices through the real doors.

Two processes that know each other only through the doors, the city and the sandbox, are started, watched and stopped
together. A folder that is there already goes on where it ended.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from secrets import token_hex

from rich.console import Console
from rich.progress import Progress

from civium.client import CityClient, connect, running_url
from civium.core import CiviumError
from civium.core.once import made_once
from civium.engines.settings import load
from civium.twin.model import build_twin, locate_example

_START_S = 120.0
_SETTINGS = """\
name = "{name}"

[clock]
source = "door" # the sandbox tells the time

[sources.bluetooth]
kind = "bluetooth"
token = "env:CIVIUM_BLUETOOTH_TOKEN"
key = "env:CIVIUM_BLUETOOTH_KEY"
time = "at"
fields = [{{ stream = "{{reader}}/passage", value = "device" }}]
"""
_AMBULANCES = "ambulances of the sandbox"
_NOTHING: Mapping[str, str] = {}
_ACT = ("signal_control", "emergency_corridor")
_SECRETS = ("CIVIUM_BLUETOOTH_TOKEN", "CIVIUM_BLUETOOTH_KEY")
console = Console()


class DemoFailed(CiviumError):
    """A part of the demo ended by itself; what it said is in the message."""


def run_demo(
    city: Path,
    *,
    town: Path | None,
    speed: float,
    seed: int,
    seconds: float | None,
    report: Path | None,
    control: bool,
) -> None:
    """Bring up the city in a box, until Ctrl-C or for ``seconds`` [s]; then write the ``report`` page, if wanted."""
    extract = (town or locate_example("helsinki")).resolve()
    _prepare(city, extract)
    settings = load(city)
    for name in _SECRETS:  # of the demo's own source, for both of its processes
        os.environ.setdefault(name, made_once(city / "secrets" / name.lower(), lambda: token_hex(32)))
    with contextlib.ExitStack() as stack:
        platform = stack.enter_context(_child([sys.executable, "-m", "civium.cli", "up", "--city", str(city)]))
        client = stack.enter_context(connect(city)) if _await(platform, city) else None
        assert client is not None
        if control:
            _mandate(client)
        status = client.get("/api/status")
        sandbox = stack.enter_context(
            _child(
                [
                    *(sys.executable, "-m", "civium.sandbox", "--osm", str(extract), "--work", str(city / "sandbox")),
                    *("--base", str(running_url(city)), "--mqtt", status["doors"]["mqtt"]),
                    *("--speed", str(speed), "--seed", str(seed)),
                ],
                {"CIVIUM_SANDBOX_TOKEN": _ambulances(client)},
            )
        )
        console.print(f"[bold]{settings.name}[/bold] is alive at [link]{running_url(city)}[/link]  (Ctrl-C ends it)")
        try:
            children = {"city": platform, "sandbox": sandbox}
            _watch(children, lambda: client.get("/api/status")["ticks"] > 0)  # the town is calibrated once, at first
            if seconds is None:
                _watch(children, lambda: False)
            else:
                end = time.monotonic() + seconds
                _watch(children, lambda: time.monotonic() >= end)
        except KeyboardInterrupt:
            console.print("stopping")
        _stop(sandbox)
        if report is not None:
            from civium.report import write_report

            write_report(client, city, report, speed=speed)
            console.print(f"report: {report}")


def _prepare(city: Path, extract: Path) -> None:
    city.mkdir(parents=True, exist_ok=True)
    settings = city / "civium.toml"
    if not settings.exists():
        settings.write_text(_SETTINGS.format(name=f"Civium {extract.name.partition('.')[0]}"))
    elif load(city).clock.source != "door":
        raise CiviumError(f"the city in {city} keeps wall time: a demo needs a city folder of its own (--city)")
    if not (city / "twin" / "twin.json").exists():
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("the city model", total=1.0)
            build_twin(
                extract,
                city / "twin",
                progress=lambda what, share: progress.update(task, description=what, completed=share),
            )


def _mandate(client: CityClient) -> None:
    """In the demo, and only here, the signals may act by themselves from the start."""
    for practice in client.get("/api/practices"):
        if practice["id"] in _ACT and practice["mandate"] == "advise" and practice["decisions"] == 0:
            client.post(f"/api/practices/{practice['id']}/mandate", mandate="act", who="civium demo", why="the demo")


def _ambulances(client: CityClient) -> str:
    """A token for ambulances and readers, which tell what not everybody may read; that of an earlier run is revoked."""
    for token in client.get("/api/tokens"):
        if token["name"] == _AMBULANCES and not token["revoked"]:
            client.delete(f"/api/tokens/{token['id']}", why="the demo begins anew")
    scopes = {"kinds": ["emergency_vehicle", "bluetooth_reader"]}
    made = client.post("/api/tokens", None, name=_AMBULANCES, role="operator", scopes=scopes, why="the demo")
    return str(made["token"])


@contextlib.contextmanager
def _child(command: list[str], secrets: Mapping[str, str] = _NOTHING) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(  # noqa: S603 (this interpreter, our own sandbox)
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_us,
        env={**os.environ, **secrets},
    )
    try:
        yield process
    finally:
        _stop(process)


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed demo leaves nobody behind


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(platform: "subprocess.Popen[bytes]", city: Path) -> bool:
    limit = time.monotonic() + _START_S
    while running_url(city) is None:
        if platform.poll() is not None:
            raise DemoFailed("the city did not start; what it said stands above")
        if time.monotonic() > limit:
            raise DemoFailed(f"the city did not answer within {_START_S:g} s")
        time.sleep(0.1)
    return True


def _watch(children: "dict[str, subprocess.Popen[bytes]]", done: Callable[[], bool]) -> None:
    """Wait until ``done``; raises DemoFailed when a child ends by itself."""
    while not done():
        for name, process in children.items():
            if process.poll() is not None:
                raise DemoFailed(f"the {name} ended by itself (exit code {process.returncode})")
        time.sleep(0.2)
