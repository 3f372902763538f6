"""How the command line talks to a city: over HTTP, to the running one or to one that is started for the purpose."""

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from civium.city_folder import token
from civium.core import CiviumError, InputRefused, RowRefusal, View
from civium.core.wire import read_view
from civium.serve import RUNNING

_START_S = 180.0
_PATIENCE_S = 60.0
_ANY_PORT = {"CIVIUM_DOORS_MQTT": "127.0.0.1:0", "CIVIUM_DOORS_WEBSOCKET": "127.0.0.1:0"}  # no device should come


class CityAway(CiviumError):
    """The city does not answer. Whoever runs it must look."""


def running_url(folder: Path) -> str | None:
    """Where the running city of a folder listens; None when none runs."""
    try:
        told = json.loads((folder / RUNNING).read_text())
        os.kill(told["pid"], 0)
        url = str(told["url"])
        httpx.get(f"{url}/api/status", timeout=10, verify=trust(folder)).raise_for_status()
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None
    return url


def trust(folder: Path) -> ssl.SSLContext | bool:
    """Trust in the city's own certificate, if it speaks TLS: the file that it named, by whatever name it is reached."""
    certificate = json.loads((folder / RUNNING).read_text()).get("certificate", "")
    if not certificate:
        return True
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


@contextmanager
def connect(folder: Path, *, make: bool = False) -> Iterator["CityClient"]:
    """A client of the city in ``folder``; if it does not run, it is started without a clock, and stopped after.

    Raises CityAway when there is no city and ``make`` is not set, or when it does not start.
    """
    if not make and not (folder / "catalog.db").exists() and running_url(folder) is None:
        raise CityAway(f"there is no city in {folder}; make one with: civium up --city {folder}")
    url = running_url(folder)
    if url is not None:
        with _client(folder, url) as client:
            yield client
        return
    command = [sys.executable, "-m", "civium.cli", "up", "--city", str(folder), "--idle"]
    process = subprocess.Popen(  # noqa: S603 (this interpreter, this package)
        command,
        env={**os.environ, **_ANY_PORT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + _START_S
        while (url := running_url(folder)) is None:
            if process.poll() is not None:
                said = process.stderr.read().decode().strip() if process.stderr else ""
                raise CityAway(f"the city in {folder} did not start: {said}")
            if time.monotonic() > deadline:
                raise CityAway(f"the city in {folder} did not start within {_START_S:g} s")
            time.sleep(0.1)
        with _client(folder, url) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _client(folder: Path, url: str) -> Iterator["CityClient"]:
    headers = {"Authorization": f"Bearer {token(folder)}"}
    with httpx.Client(base_url=url, timeout=120.0, headers=headers, verify=trust(folder)) as http:
        try:
            yield CityClient(http)
        except httpx.TransportError as error:
            why = f"the city at {url} stopped answering ({type(error).__name__}); is it still running?"
            raise CityAway(why) from error


class CityClient:
    """The interface of a city."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET; raises InputRefused with what the city says."""
        return self._check(self.http.get(path, params=params or None)).json()

    def post(self, path: str, content: bytes | None = None, **body: Any) -> Any:
        """JSON of a POST of raw ``content`` or of a JSON ``body``."""
        answer = self.http.post(path, content=content) if content is not None else self.http.post(path, json=body)
        return self._check(answer).json()

    def delete(self, path: str, **params: Any) -> Any:
        """JSON of a DELETE."""
        return self._check(self.http.delete(path, params=params or None)).json()

    def send(self, path: str, content: bytes, headers: dict[str, str] | None = None, **params: Any) -> Any:
        """JSON of a POST of raw ``content``; tries again for a minute while the city cannot take it.

        Only for what may be sent twice: under an idempotency key, or by keys that the city knows again.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._check(self.http.post(path, content=content, headers=headers, params=params)).json()
            except InputRefused as error:
                if error.status not in (503, 504) or time.monotonic() > deadline:
                    raise
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise CityAway(f"the city does not answer any more: {error}") from None
            time.sleep(1.0)

    def ledger(self) -> Iterator[tuple[int, bytes]]:
        """Sequence and raw text of every ledger entry."""
        with self.http.stream("GET", "/api/ledger") as answer:
            for line in answer.iter_lines():
                told = json.loads(line)
                yield told["sequence"], told["raw"].encode()

    def view(self, decision: str) -> View:
        """The View of a decision, as the store gives it now."""
        answer = self._check(self.http.get(f"/api/decisions/{decision}/view"))
        return read_view(pa.py_buffer(answer.content))

    def past(self, practice: str, tick: int, shard: str = "all") -> View:
        """What a practice, or a shard, would have seen at an earlier tick [us since epoch], from what is known now."""
        answer = self._check(self.http.get(f"/api/practices/{practice}/view", params={"tick": tick, "shard": shard}))
        return read_view(pa.py_buffer(answer.content))

    def state(self, decision: str) -> bytes | None:
        """The state that went into a decision; None when the practice started with it."""
        return self._check(self.http.get(f"/api/decisions/{decision}/state")).content or None

    def _check(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        try:
            told = answer.json()
            why = str(told.get("message") or told.get("detail") or told)
            rows = [RowRefusal(row["row"], row["why"]) for row in told.get("rows", ())]
        except ValueError:
            why, rows = answer.text[:200], []
        error = InputRefused(why, status=answer.status_code)
        error.rows = tuple(rows)  # its text names the first of them already
        raise error
