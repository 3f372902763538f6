"""Foreign systems on loopback for tests of sources: a Mosquitto broker, a server of feeds, and one that only hangs."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.city.conftest import CityProcess
from tests.cluster.stand import free_ports


class Mosquitto:
    """A broker of its own that keeps sessions and messages on disk, as one in service does."""

    def __init__(self, folder: Path, *, user: str = "", password: str = "") -> None:
        found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found is None:
            if os.environ.get("CI"):
                pytest.fail("mosquitto is not installed: apt-get install mosquitto")
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        self._binary, self._folder = found, folder
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        (self.port,) = free_ports(1)
        anonymous = "false" if user else "true"
        lines = [
            f"listener {self.port} 127.0.0.1", f"allow_anonymous {anonymous}", "persistence true",
            f"persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1",
            "max_queued_messages 0", f"log_dest file {folder}/mosquitto.log", "log_type all",
        ]  # fmt: skip
        if user:
            subprocess.run(["mosquitto_passwd", "-c", "-b", str(folder / "passwords"), user, password], check=True)
            lines.append(f"password_file {folder / 'passwords'}")
        if os.getuid() == 0:
            lines.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> "Mosquitto":
        self._process = subprocess.Popen([self._binary, "-c", str(self._folder / "mosquitto.conf")])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"mosquitto did not start: {(self._folder / 'mosquitto.log').read_text()}")

    def wait_for_subscriber(self) -> None:
        """Until somebody has subscribed since the broker was made: what was published before is lost on them."""
        deadline = time.monotonic() + 60
        while "Sending SUBACK" not in (self._folder / "mosquitto.log").read_text(errors="replace"):
            assert time.monotonic() < deadline, "nobody subscribes"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order: it writes what it holds to disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def publish(self, topic: str, bodies: Sequence[str | bytes], **more: Any) -> None:
        """Publish with QoS 1; returns when the broker has acknowledged all."""

        async def run() -> None:
            async with aiomqtt.Client("127.0.0.1", self.port, timeout=60, **more) as client:
                client.pending_calls_threshold = len(bodies) + 1
                for body in bodies:
                    await client.publish(topic, body, qos=1)

        asyncio.run(run())


class Feed:
    """An HTTP server of one document with an ETag; counts what was asked, and may hang or fail."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.hang_s = 0.0
        self.answers: list[int] = []
        self.asked: list[dict[str, str]] = []
        self.paths: list[str] = []
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.asked.append(dict(self.headers.items()))
                feed.paths.append(self.path)
                time.sleep(feed.hang_s)
                body, tag = feed.body, f'"{sha1(feed.body).hexdigest()}"'
                status = 304 if feed.status == 200 and self.headers.get("If-None-Match") == tag else feed.status
                feed.answers.append(status)
                self.send_response(status)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", "0" if status == 304 else str(len(body)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/feed"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Silent:
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self._taken.append(self._server.accept()[0])
            except OSError:
                return

    def stop(self) -> None:
        self._server.close()
        for one in self._taken:
            one.close()


def city_with(folder: Path, sources: str, *, idle: bool = False, **environment: str) -> CityProcess:
    """A city that is not started yet, with ``sources`` as its civium.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "civium.toml").write_text(sources)
    return CityProcess(folder, idle, environment)


def source(city: CityProcess, name: str) -> dict[str, Any]:
    """What the status says of a source."""
    told: dict[str, Any] = city.client.get("/api/status")["sources"][name]
    return told


def readings(city: CityProcess, key: str) -> list[tuple[str, Any]]:
    """Time and result of every reading of the stream with a key, oldest first."""
    path = f"/v1.1/Datastreams?$filter=name eq '{key}'"
    found = city.client.get(path)["value"]
    if not found:
        return []
    told = city.client.get(f"/v1.1/Datastreams({found[0]['@iot.id']})/Observations?$orderby=phenomenonTime&$top=1000")[
        "value"
    ]
    return [(one["phenomenonTime"], one["result"]) for one in told]
