"""The city in a box leads the clock, registers its devices, obeys, carries on alone, and never turns time back."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pyarrow as pa
import pytest

from civium.core.properties import PROPERTIES
from civium.engines.nats_server import NatsServer
from civium.sandbox.city import Sandbox, Setting
from civium.sandbox.compare import compare
from civium.sandbox.record import Record
from civium.sandbox.town import prepare
from civium.sources.register import decode_lines
from civium.twin.model import locate_example

from .conftest import WEDNESDAY, Platform

Scene = Callable[[Sandbox, Platform, NatsServer], Awaitable[Any]]


def folder(name: str, work: Path, own: Path) -> Path:
    """A fresh work folder with the town's net and calibration in it, made once for all tests."""
    prepare(locate_example(name), work, 1, WEDNESDAY)
    own.mkdir(exist_ok=True)
    for kept in (*work.glob("streets-*"), *work.glob("demand-*")):
        shutil.copy2(kept, own)
    return own


def live(name: str, work: Path, scene: Scene | None = None, **changes: Any) -> tuple[Platform, dict[str, Any]]:
    """Runs a sandbox beside a stand-in platform and a real broker; ``scene`` goes on meanwhile."""

    async def run() -> tuple[Platform, dict[str, Any]]:
        platform = Platform()
        broker = NatsServer(work / "nats", ("127.0.0.1", 0), ("127.0.0.1", 0))
        await broker.start()
        base = await platform.start()
        try:
            setting = Setting(base, broker.mqtt, locate_example(name), work, **({"speed": 60.0} | changes))
            sandbox = Sandbox(setting)
            playing = asyncio.create_task(scene(sandbox, platform, broker)) if scene else None
            summary = await sandbox.run()
            if playing:
                await playing
            return platform, summary
        finally:
            await platform.stop()
            await broker.stop()

    return asyncio.run(run())


def after(seconds: int) -> Scene:
    """Stops the sandbox when the platform was told so many seconds."""

    async def scene(sandbox: Sandbox, platform: Platform, _: NatsServer) -> None:
        await told(platform, seconds)
        sandbox.stop()

    return scene


async def told(platform: Platform, seconds: int) -> None:
    """Waits until the platform was told so many seconds."""
    async with asyncio.timeout(200):
        while len(platform.times) < seconds:
            await asyncio.sleep(0.02)


def readings(platform: Platform) -> dict[int, list[tuple[str, float, str | None]]]:
    """What the platform got over HTTP: by stream, time and value and parent."""
    found: dict[int, list[tuple[str, float, str | None]]] = {}
    for path, _, body in platform.requests:
        if path.startswith("/bulk"):
            for row in pa.ipc.open_stream(body).read_all().to_pylist():
                found.setdefault(row["stream"], []).append((row["time"].isoformat(), row["value"], row.get("parent")))
        else:
            for group in json.loads(body):
                time, _, value = group["dataArray"][0]
                found.setdefault(group["Datastream"]["@iot.id"], []).append((time, value, None))
    return found


def test_every_device_is_registered_in_terms_that_the_platform_knows_and_is_heard(work: Path, tmp_path: Path) -> None:
    platform, summary = live("helsinki", folder("helsinki", work, tmp_path), after(15))
    lines = decode_lines(b"\n".join(json.dumps(line).encode() for line in platform.lines))
    parking = {"car_park", "parking_bay", "parking_guide"}
    others = {"street_segment", "driver_terminals", "signal", "detector", "pv_plant", "lamp_post", "weather_station"}
    assert {line.kind for line in lines} == parking | others
    assert {s.property for line in lines for s in line.streams} <= set(PROPERTIES)
    assert all(line.where for line in lines)
    heard = readings(platform)
    name = {number: key.removeprefix("streams:") for key, number in platform.ids.items()}
    assert set(heard) <= set(name)
    assert len({name[s] for s in heard if name[s].startswith("signal/")}) == sum(
        line.kind == "signal" for line in lines
    )
    assert any(name[s].startswith("camera/") and any(v > 0 for _, v, _ in rows) for s, rows in heard.items())
    assert summary["simulated_s"] > 5
    assert summary["refused"] == summary["lost"] == 0
    assert summary["sent_mqtt"] > 0
    steps = {b - a for a, b in zip(platform.times, platform.times[1:], strict=False)}
    assert steps == {timedelta(seconds=1)}


def test_a_wish_turns_a_signal_and_the_fact_returns_with_its_decision(work: Path, tmp_path: Path) -> None:
    wished: dict[str, Any] = {}

    async def scene(sandbox: Sandbox, platform: Platform, broker: NatsServer) -> None:
        await told(platform, 3)
        async with asyncio.timeout(30):
            while not sandbox.mqtt.connected:
                await asyncio.sleep(0.02)
        head = next(h for h in sandbox.traffic.heads.values() if h.junction.controllable)
        stage = (head.reading(sandbox.traffic.now).stage + 1) % len(head.junction.stages)
        actuator = platform.ids[f"actuators:signal/{head.junction.id}"]
        wished.update(stage=stage, stream=platform.ids[f"streams:signal/{head.junction.id}/signal_phase"])
        task = {"id": "x/0", "value": stage, "decision": "x",
                "until": (platform.times[-1] + timedelta(seconds=60)).isoformat()}  # fmt: skip
        user, password = broker.login
        async with aiomqtt.Client(*broker.mqtt, username=user, password=password) as city:
            await city.publish(f"civium-out/TaskingCapabilities({actuator})/Tasks", json.dumps(task), qos=1)
        await told(platform, len(platform.times) + 45)
        sandbox.stop()

    platform, summary = live("helsinki", folder("helsinki", work, tmp_path), scene, speed=20.0)
    obeyed = [(value, parent) for _, value, parent in readings(platform)[wished["stream"]] if parent]
    assert obeyed
    assert set(obeyed) == {(wished["stage"], "x")}
    assert summary["refused_wishes"] == 0


def test_the_city_lives_on_while_the_platform_is_away_and_tells_it_all_later(work: Path, tmp_path: Path) -> None:
    async def scene(sandbox: Sandbox, platform: Platform, broker: NatsServer) -> None:
        await told(platform, 20)
        platform.down = True
        gone = sandbox.traffic.second
        async with asyncio.timeout(200):
            while sandbox.traffic.second < gone + 70:
                await asyncio.sleep(0.02)
        platform.down = False
        await told(platform, 60)
        sandbox.stop()

    platform, summary = live("village", folder("village", work, tmp_path), scene)
    gaps = [(b - a).total_seconds() for a, b in zip(platform.times, platform.times[1:], strict=False)]
    assert max(gaps) >= 60
    assert summary["simulated_s"] == pytest.approx(1 + (platform.times[-1] - platform.times[0]).total_seconds(), abs=1)
    heard = readings(platform)[platform.ids["streams:pv/1/ac_power"]]
    minutes = {datetime.fromisoformat(time) for time, _, _ in heard}
    assert len(heard) == len(minutes)
    assert summary["lost"] == 0
    first, last = min(minutes), max(minutes)
    assert first < platform.times[0] - timedelta(hours=23)  # what the loggers kept of the day before
    assert minutes == {first + timedelta(minutes=k) for k in range(round((last - first).total_seconds() / 60) + 1)}


def test_a_second_run_goes_on_where_the_first_stopped_with_the_same_devices(work: Path, tmp_path: Path) -> None:
    first, _ = live("village", folder("village", work, tmp_path), after(20))
    second, _ = live("village", folder("village", work, tmp_path), after(20))
    assert second.times[0] == first.times[-1] + timedelta(seconds=1)
    assert second.lines == first.lines


def test_devices_stay_the_same_under_another_seed(work: Path, tmp_path: Path) -> None:
    one, _ = live("village", folder("village", work, tmp_path), after(3), seed=1)
    other, _ = live("village", folder("village", work, tmp_path), after(3), seed=2)
    assert one.lines == other.lines


def test_the_same_cars_are_driven_again_without_control(work: Path, tmp_path: Path) -> None:
    own = folder("village", work, tmp_path)
    live("village", own, after(130))
    lines = compare(own)
    driven, again = (Record(own).lines(name) for name in ("traffic.jsonl", "fixed_time.jsonl"))
    assert lines == len(again) == len(driven) > 1
    assert [line["second"] for line in again] == [line["second"] for line in driven]
    assert again == driven  # the village has no signals: nothing to control


def test_a_terminated_sandbox_says_goodbye_and_a_wrong_extract_is_refused_in_words(work: Path, tmp_path: Path) -> None:
    async def command(*arguments: object) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        words = [sys.executable, "-m", "civium.sandbox", "--work", own, *arguments]
        return await asyncio.create_subprocess_exec(*map(str, words), stdout=pipe, stderr=pipe)

    async def run() -> None:
        wrong = await command("--osm", "nowhere.osm")
        _, said = await wrong.communicate()
        assert wrong.returncode == 1
        assert said.decode().strip().splitlines()[-1] == "no such file: nowhere.osm"
        platform = Platform()
        base = await platform.start()
        right = await command("--osm", locate_example("village"), "--base", base, "--mqtt", "127.0.0.1:1", "--seed", 4)
        await told(platform, 5)
        right.send_signal(signal.SIGTERM)
        summary, said = await right.communicate()
        assert right.returncode == 0, said.decode()
        assert "simulated_s" in summary.decode()
        assert "Traceback" not in said.decode()
        await platform.stop()

    own = folder("village", work, tmp_path)
    asyncio.run(run())
    assert Record(own).runs()[0].seed == 4
