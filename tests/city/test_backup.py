"""A backup holds all that was accepted before it began, each reading once; nothing that is not whole is restored."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from civium.core import InputRefused
from tests.city.conftest import CityProcess
from tests.city.test_spine import decide_some, register, wait_for

LOADED = "lamp/0/level"  # the stream of the load: its values are the numbers of the readings


class Load:
    """Clients that send numbered readings until they are stopped, and remember which were accepted."""

    def __init__(self, city: CityProcess, stream: int) -> None:
        self.city, self.stream = city, stream
        self.accepted: set[int] = set()
        self.sent: set[int] = set()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._http),
            threading.Thread(target=lambda: asyncio.run(self._mqtt())),
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _http(self) -> None:
        first = 0
        while not self._over.is_set():
            numbers = range(first, first + 100)
            now = datetime.now(UTC).isoformat()
            group = {"Datastream": {"@iot.id": self.stream}, "components": ["phenomenonTime", "result"],
                     "dataArray": [[now, n] for n in numbers]}  # fmt: skip
            self.sent.update(numbers)
            try:
                self.city.client.post("/v1.1/CreateObservations", content=json.dumps([group]).encode())
            except Exception:
                return
            self.accepted.update(numbers)
            first += 100
            time.sleep(0.02)

    async def _mqtt(self) -> None:
        number = 1_000_000_000
        try:
            async with aiomqtt.Client(*self.city.mqtt, identifier="load", timeout=60) as client:
                while not self._over.is_set():
                    self.sent.add(number)
                    body = json.dumps({"result": number})
                    await client.publish(f"v1.1/Datastreams({self.stream})/Observations", body, qos=1, timeout=60)
                    self.accepted.add(number)
                    number += 1
                    await asyncio.sleep(0.005)
        except aiomqtt.MqttError:
            return


def numbers(city: CityProcess, stream: int) -> list[int]:
    """The numbers of the readings that a city has, read through its door."""
    found: list[int] = []
    after = 0
    while True:
        query = f"$filter=id gt {after}&$orderby=id&$top=10000&$select=id,result"
        rows = city.client.get(f"/v1.1/Datastreams({stream})/Observations?{query}")["value"]
        if not rows:
            return found
        found += [round(row["result"]) for row in rows]
        after = rows[-1]["@iot.id"]


def record(city: CityProcess) -> list[tuple[int, bytes]]:
    return list(city.client.ledger())


def elsewhere(city: CityProcess, folder: Path, *, idle: bool = True) -> CityProcess:
    return CityProcess(folder, idle, {})


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="backups")
    yield "s3://backups/helsinki"
    server.stop()


def test_a_backup_under_load_loses_nothing_and_doubles_nothing(
    new_city: Callable[..., CityProcess], tmp_path: Path
) -> None:
    city = new_city(CIVIUM_STORE_MAINTAIN_EVERY_S="1")  # merges run while it is copied
    streams = register(city)["streams"]
    city.client.post("/api/practices/dimmer/mandate", mandate="act", why="test")
    decide_some(city, streams, 3)
    target, new = str(tmp_path / "target"), tmp_path / "new"
    with Load(city, streams[LOADED]) as load:
        wait_for(lambda: len(load.accepted) > 5_000)
        first = city.run("backup", target)
        assert first.returncode == 0, first
        decide_some(city, streams, 2)
        before, decided = set(load.accepted), record(city)
        told = city.run("backup", target)
        assert told.returncode == 0, told
        assert "cut: LEDGER" in told.stdout
        wait_for(lambda: len(load.accepted) > len(before) + 1_000)
        city.kill()
    restored = elsewhere(city, new)
    told = restored.run("restore", target)
    assert told.returncode == 0, told
    restored.start()
    try:
        kept = numbers(restored, streams[LOADED])
        assert len(kept) == len(set(kept))
        assert before <= set(kept) <= load.sent
        assert {n for n in before if n >= 1_000_000_000}  # some came by MQTT
        assert record(restored)[: len(decided)] == decided
        again = restored.run("replay")
        assert again.returncode == 0, again
        assert " 0 identical" not in again.stdout
    finally:
        restored.stop()
    goes_on = elsewhere(city, new, idle=False).start()
    try:
        decide_some(goes_on, streams, 2)
        count = len(numbers(goes_on, streams[LOADED]))

        async def report() -> None:
            """The restored city's devices' stream counts from one again: what comes first must not look known."""
            async with aiomqtt.Client(*goes_on.mqtt, identifier="load", timeout=60) as client:
                for n in range(20):
                    body = json.dumps({"result": 2_000_000_000 + n})
                    await client.publish(f"v1.1/Datastreams({streams[LOADED]})/Observations", body, qos=1)

        asyncio.run(report())
        assert len(numbers(goes_on, streams[LOADED])) == count + 20
        assert goes_on.run("replay").returncode == 0
    finally:
        goes_on.stop()


def test_a_backup_to_s3_of_a_city_that_does_not_run(
    new_city: Callable[..., CityProcess], tmp_path: Path, s3: str
) -> None:
    city = new_city()
    streams = register(city)["streams"]
    decide_some(city, streams, 2)
    city.stop()
    environment = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    city.environment.update(environment)
    told = city.run("backup", s3)
    assert told.returncode == 0, told
    again = city.run("backup", s3, "--keep", "1")
    assert again.returncode == 0, again
    assert "1 older backups were removed" in again.stdout
    restored = CityProcess(tmp_path / "new", True, environment)
    told = restored.run("restore", s3)
    assert told.returncode == 0, told
    told = restored.run("replay")
    assert told.returncode == 0, told
    assert " 0 identical" not in told.stdout


def _killed_in_the_middle(city: CityProcess, target: Path) -> bool:
    """Kill a backup after its first object; false, and nothing left, when it was quicker than our look."""
    command = [sys.executable, "-m", "civium.cli", "backup", str(target), "--city", str(city.folder)]
    with subprocess.Popen(command, env=city.environment, stdout=subprocess.DEVNULL) as backup:
        try:
            while backup.poll() is None and not any((target / "objects").rglob("*")):
                time.sleep(0.002)
        finally:
            backup.kill()
    if (target / "backups").exists():
        shutil.rmtree(target)
    return target.exists()


def test_what_is_not_whole_is_refused_and_leaves_nothing(new_city: Callable[..., CityProcess], tmp_path: Path) -> None:
    city = new_city(idle=True)
    streams = register(city)["streams"]
    target, new = tmp_path / "target", CityProcess(tmp_path / "new", True, {})
    with Load(city, streams[LOADED]) as load:
        wait_for(lambda: len(load.accepted) > 2_000)

    # Killed in the middle: objects are there, but no list of them.
    wait_for(lambda: _killed_in_the_middle(city, target), 60)
    told = new.run("restore", str(target))
    assert told.returncode == 1
    assert "no finished backup" in told.stderr
    assert not new.folder.exists()

    # The city gives the dead one up by itself.
    wait_for(lambda: city.run("backup", str(target)).returncode == 0, 90)
    (manifest,) = (target / "backups").iterdir()
    whole = manifest.read_bytes()
    found = sorted((target / "objects").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    largest = found[-1]
    content = largest.read_bytes()

    def refused(why: str) -> None:
        told = new.run("restore", str(target))
        assert told.returncode == 1, told
        assert why in told.stderr
        assert "Traceback" not in told.stderr
        assert not new.folder.exists()
        assert not new.folder.with_name("new.restoring").exists()

    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused("was altered or cut short")
    largest.write_bytes(content[: len(content) // 2])
    refused("was altered or cut short")
    largest.unlink()
    refused("the backup lacks its file")
    largest.write_bytes(content)
    manifest.write_bytes(whole.replace(b'"city": "Civium"', b'"city": "Venice"'))
    refused("was altered")
    manifest.write_bytes(whole[: len(whole) // 2])
    refused("cannot be read")
    manifest.write_bytes(whole)

    told = city.run("restore", str(target))  # a folder that holds a city
    assert told.returncode == 1
    assert "is not empty" in told.stderr
    assert new.run("restore", str(target)).returncode == 0
    assert numbers(new.start(), streams[LOADED]) == numbers(city, streams[LOADED])
    new.stop()


def test_one_backup_at_a_time_and_one_that_was_given_up_is_over(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(idle=True)
    begun = city.client.post("/api/backups")
    with pytest.raises(InputRefused, match="being made already"):
        city.client.post("/api/backups")
    city.client.post(f"/api/backups/{begun['id']}/end")
    with pytest.raises(InputRefused, match="given up"):
        city.client.post(f"/api/backups/{begun['id']}/renew")
    city.client.post(f"/api/backups/{city.client.post('/api/backups')['id']}/end")
    told = city.run("backup", "ftp://elsewhere")
    assert told.returncode == 1
    assert "s3://bucket/prefix" in told.stderr
