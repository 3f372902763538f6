"""Freezes a tiny city of the installed release: ``python tests/frozen/make.py`` writes ``tests/frozen/VERSION.tar.xz``.

Run it once for each release, from the release's own checkout, and never again: later releases must open what it left.
The archive holds the city's folder and ``expected.json``: what the city said of itself before it was stopped.
"""

import asyncio
import json
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import civium  # noqa: E402 (behind the path)
from tests.city.conftest import CityProcess  # noqa: E402 (likewise)
from tests.city.test_spine import decide_some, register, wait_for  # noqa: E402 (likewise)

_LEFT_OUT = ("run", "lock", "said.txt", "nats.log", "nats.pid", "nats.conf")


def main() -> None:
    """Make the city, ask it, stop it, pack it."""
    to = HERE / f"{civium.__version__}.tar.xz"
    if to.exists():
        sys.exit(f"{to} is there already; a frozen city is never made again")
    with tempfile.TemporaryDirectory() as folder:
        city = CityProcess(Path(folder) / "city", False, {}).start()
        try:
            ids = live(city)
            time.sleep(3)
        finally:
            city.stop()
        city = CityProcess(city.folder, True, {}).start()  # without a clock: nothing changes any more
        try:
            told = {**expected(city), "ids": ids}
        finally:
            city.stop()
        (city.folder / "expected.json").write_text(json.dumps(told))
        with tarfile.open(to, "w:xz", preset=9) as archive:
            for path in sorted(city.folder.rglob("*")):
                if path.is_file() and not set(path.relative_to(city.folder).parts) & set(_LEFT_OUT):
                    archive.add(path, path.relative_to(city.folder))
    sys.stdout.write(f"{to}: {to.stat().st_size / 1000:.0f} kB\n")


def live(city: CityProcess) -> dict[str, int]:
    """A little of everything: decisions that act, estimates, parameters, MQTT, text, a dead letter. Ids of streams."""
    streams = register(city)["streams"]
    decide_some(city, streams, 1)
    city.client.post("/api/practices/dimmer/mandate", mandate="act", who="someone", why="to freeze it")
    city.client.post("/api/practices/dimmer/parameters", params={"cold": 270.0}, who="someone", why="to freeze it")
    decide_some(city, streams, 4)
    text = {"key": "sign/1", "kind": "sign", "streams": [{"property": "message", "type": "text"}]}
    sign = city.client.post("/api/register", content=json.dumps(text).encode())["streams"]["sign/1/message"]
    said = {"result": "Achtung, Glätte", "phenomenonTime": datetime.now(UTC).isoformat(), "parameters": {"by": "hand"}}
    city.client.http.post(f"/v1.1/Datastreams({sign})/Observations", json=said).raise_for_status()

    async def devices() -> None:
        async with aiomqtt.Client(*city.mqtt, identifier="frozen", timeout=60) as device:
            topic = "v1.1/Datastreams({})/Observations"
            await device.publish(topic.format(streams["lamp/0/level"]), b'{"result": 30}', qos=1)
            await device.publish(topic.format(9999), b'{"result": 1, "phenomenonTime": "2026-06-01T12:00:00Z"}', qos=1)

    asyncio.run(devices())
    wait_for(lambda: city.client.get("/api/status")["dead_letters"])
    return streams


def expected(city: CityProcess) -> dict[str, Any]:
    """What a later release must find again."""
    wanted = {
        "things": "/v1.1/Things?$orderby=id&$top=1000",
        "streams": "/v1.1/Datastreams?$orderby=id&$top=1000",
        "observations": "/v1.1/Observations?$orderby=id&$top=10000",
    }
    told = {name: plain(city.client.get(path)["value"]) for name, path in wanted.items()}
    told["ledger"] = [raw.decode() for _, raw in city.client.ledger()]
    told["letters"] = [{"topic": t["topic"], "body": t["body"]} for t in city.client.get("/api/dead-letters")]
    told["mandates"] = {row["id"]: row["mandate"] for row in city.client.get("/api/practices")}
    return told


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entities without their links, which name the port."""
    return [{name: value for name, value in row.items() if "Link" not in name} for row in rows]


if __name__ == "__main__":
    main()
