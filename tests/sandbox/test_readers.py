"""Where a town's readers stand, which streets lead between them, and what they hear."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from civium.core.extras import require
from civium.sandbox.bluetooth import ANSWER_S, Stays, heard
from civium.sandbox.devices import registration
from civium.sandbox.gateway import HttpGateway
from civium.sandbox.junction import read_junctions
from civium.sandbox.readers import APART_M, LONGEST_M, PENETRATION, Listening, place_readers
from tests.sandbox.conftest import Ground, Platform


def test_links_lead_from_reader_to_reader_along_the_streets(ground: Callable[[str], Ground]) -> None:
    streets = ground("helsinki").streets
    readers, links = place_readers(streets, read_junctions(streets.file))
    assert len(readers) > 5
    for n, one in enumerate(readers):
        assert all(np.hypot(one.x - o.x, one.y - o.y) >= APART_M for o in readers[:n])
    at = {reader.key: reader for reader in readers}
    assert len(links) > len(readers)
    geod = require("pyproj", "sandbox").Geod(ellps="WGS84")
    for link in links:
        start, end = at[link.start], at[link.end]
        _, _, apart = geod.inv(start.lon, start.lat, end.lon, end.lat)
        assert apart * 0.8 - 60 <= link.length <= LONGEST_M
        assert 3.0 < link.free_speed < 40.0
        assert geod.inv(*link.shape[0], start.lon, start.lat)[2] < 80
        assert geod.inv(*link.shape[-1], end.lon, end.lat)[2] < 80
    assert (readers, links) == place_readers(streets, read_junctions(streets.file))


def test_a_reader_hears_some_cars_within_its_range_and_never_another(ground: Callable[[str], Ground]) -> None:
    streets = ground("helsinki").streets
    readers, _ = place_readers(streets, read_junctions(streets.file))
    edge = max(readers[0].edges, key=lambda e: streets.edges[e].length)
    cars = [f"car{n}" for n in range(400)]
    position = {car: streets.edges[edge].length - (10 if n % 2 else 90) for n, car in enumerate(cars)}
    sim = SimpleNamespace(
        edge=SimpleNamespace(getLastStepVehicleIDs=lambda e: cars if e == edge else []),
        vehicle=SimpleNamespace(getLanePosition=position.__getitem__),
    )
    told: list[dict[str, str]] = []
    for second in range(60):
        told += Listening(readers, streets, 1).listen(sim, second, second * 1_000_000)
    near = streets.edges[edge].length > 100
    devices = {one["address"] for one in told}
    assert len(devices) == pytest.approx(PENETRATION * 200, rel=0.35) if near else len(devices) > 50
    assert len(told) == pytest.approx(len(devices) * 60 / ANSWER_S, rel=0.15)
    assert {one["reader"] for one in told} == {readers[0].key}
    assert all(len(one["address"]) == 17 for one in told)


def test_who_passes_quickly_is_missed_more_often_than_who_waits() -> None:
    vehicle = np.arange(20_000)
    quick = Stays(vehicle, np.zeros_like(vehicle), vehicle * 1.0, vehicle + 4.0)
    slow = Stays(vehicle, np.zeros_like(vehicle), vehicle * 1.0, vehicle + 40.0)
    found = [len(np.unique(heard(stays, 20_000, 1, 0.3, np.random.default_rng(3)).address)) for stays in (quick, slow)]
    assert found[1] == pytest.approx(20_000 * 0.3 * 1.08, rel=0.03)
    assert found[0] == pytest.approx(found[1] * (1 - np.exp(-1)), rel=0.03)


def test_passages_are_personal_and_go_to_their_own_door(town: Callable[..., Any]) -> None:
    lines = registration(town("helsinki"), [])
    readers = [line for line in lines if line["kind"] == "bluetooth_reader"]
    assert readers
    assert all(s["personal"] and s["access"] == "restricted" for line in readers for s in line["streams"])
    links = [line for line in lines if line["kind"] == "road_link"]
    names = {line["facts"]["reader"] for line in readers}
    assert links
    assert all({line["facts"]["from"], line["facts"]["to"]} <= names for line in links)


async def _post(base: str) -> None:
    gateway = HttpGateway(base)
    gateway.away = False
    gateway.put_passages([{"reader": "bluetooth/1", "at": "2026-06-10T08:00:00+00:00", "address": "00:00"}], "secret")
    gateway.put_passages([], "secret")
    await gateway.flush()
    await gateway.close()


def test_nothing_is_posted_when_nothing_was_heard() -> None:
    import asyncio

    async def run() -> list[tuple[str, str, bytes]]:
        platform = Platform()
        await _post(await platform.start())
        await platform.stop()
        return platform.requests

    (request,) = asyncio.run(run())
    assert request[0] == "/sources/bluetooth"
    assert json.loads(request[2])[0]["reader"] == "bluetooth/1"
