"""The city in a box: leads the clock, drives the streets, lets the devices speak, hear and obey."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from civium.core import to_datetime
from civium.sandbox.devices import GUARDED, ambulances, json_lines, registration, signal_key
from civium.sandbox.emergencies import Emergencies
from civium.sandbox.gateway import HttpGateway, Registered
from civium.sandbox.mqtt import MqttGateway
from civium.sandbox.parking import Parking
from civium.sandbox.readings import Readings
from civium.sandbox.record import Record, Run, minute
from civium.sandbox.street_facts import street_things
from civium.sandbox.sun import power
from civium.sandbox.town import Town, prepare
from civium.sandbox.traffic import Traffic

PATIENCE_S = 120.0  # with a platform that is still starting
_DEBT_S = 2.0  # of wall time that a slow stretch may be made up for
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """How a sandbox is run: ``speed`` in simulated seconds a second, ``wall`` [s] until it ends by itself."""

    base: str
    mqtt: tuple[str, int]
    extract: Path
    work: Path
    speed: float = 10.0
    seed: int = 1
    day: date = date(2026, 6, 10)  # a Wednesday
    hour: float = 8.0
    wall: float | None = None
    control: bool = True
    token: str = ""  # of an operator for devices.GUARDED; without it no ambulance drives and no reader hears
    readers_token: str = ""  # of the source that takes in what Bluetooth readers hear; empty: they are silent


class Sandbox:
    """One running city in a box."""

    def __init__(self, setting: Setting, say: Say = lambda _: None) -> None:
        """Builds the town and opens its streets at the hour asked for, or where the last run in the folder stopped."""
        self.setting = setting
        self._say = say
        self._record = Record(setting.work)
        self._stop = asyncio.Event()
        town = prepare(setting.extract, setting.work, setting.seed, setting.day, say)
        heard = setting.readers_token and setting.token
        self.town: Town = town if heard else replace(town, readers=(), links=())
        start = round(setting.hour * 3600)
        last = self._record.instant()
        if last is not None:
            start = max(start, self.town.second(last))
        say(f"filling the streets until {timedelta(seconds=start)}")
        self.traffic = Traffic(
            self.town.net, self.town.demand, start, setting.work, self.town.junctions, self.town.midnight
        )
        town = self.town
        self.parking = Parking(town.car_parks, town.parking_signs, town.demand, self.traffic.second // 60)
        streets = street_things(self.town.net) if setting.token else []
        self.emergencies = Emergencies(self.town, self.traffic, streets)
        self.refused_wishes = 0
        self.http = HttpGateway(setting.base)
        self.mqtt = MqttGateway(*setting.mqtt)

    def stop(self) -> None:
        """Ends the run after the present second."""
        self._stop.set()

    async def run(self) -> dict[str, Any]:
        """Lives until it is stopped or its wall time is over; returns what was done. Raises ``InputRefused``."""
        try:
            registered = await self._register()
            self.mqtt.start()
            return await self._live(registered)
        finally:
            await self.mqtt.stop()
            await self.http.close()
            self.traffic.close()

    async def _register(self) -> Registered:
        lines = registration(self.town, self.traffic.detectors, self.emergencies.streets)
        self._say(f"registering {len(lines)} things")
        anyones = [line for line in lines if line["kind"] not in GUARDED]
        registered = await self.http.register(json_lines(anyones), PATIENCE_S)
        if self.setting.token:
            guarded = [line for line in lines if line["kind"] in GUARDED] + ambulances()
            told = await self.http.register(json_lines(guarded), PATIENCE_S, self.setting.token)
            registered.streams.update(told.streams)
        return registered

    async def _live(self, registered: Registered) -> dict[str, Any]:
        setting, traffic, loop = self.setting, self.traffic, asyncio.get_running_loop()
        readings = Readings(self.town, traffic, self.parking, registered.streams, setting.readers_token)
        signals = {
            registered.actuators[signal_key(j.id)]: j.id
            for j in self.town.junctions
            if signal_key(j.id) in registered.actuators
        }
        signs = {registered.actuators[sign.key]: n for n, sign in enumerate(self.town.parking_signs)}
        run = self._record.begin(setting.extract, setting.seed, setting.day.isoformat(), traffic.second,
                                 setting.control, bool(setting.token))  # fmt: skip
        self._record.plants(self.town.plants)
        if run.number == 0:
            readings.backlog(self.http)
        began, first, due = loop.time(), traffic.second, loop.time()
        while not self._stop.is_set() and (setting.wall is None or loop.time() - began < setting.wall):
            if setting.control:
                self._obey(signals, signs)
            self.emergencies.enter()
            changed = traffic.step()
            told = self.emergencies.readings()
            self.http.put_results([registered.streams[key] for key in told], list(told.values()), traffic.now,
                                  setting.token)  # fmt: skip
            if traffic.second % 60 == 0:
                self.parking.step(traffic.second // 60, traffic.now)
            readings.leave(changed, self.http, self.mqtt)
            await self.http.flush()
            self._record.keep_instant(traffic.now)
            await self.http.tick(traffic.now)
            if traffic.second % 60 == 0:
                self._record.append("traffic.jsonl", minute(run.number, self.town, traffic.tally()))
            pace = (traffic.second - first) / max(loop.time() - began, 1e-3)
            if traffic.second % 10 == 0:
                self._say(self._state(pace))
            due = max(due + 1.0 / setting.speed, loop.time() - _DEBT_S)
            await asyncio.sleep(max(due - loop.time(), 0.0))
        return self._summary(run, traffic.second - first, loop.time() - began)

    def _obey(self, signals: dict[int, str], signs: dict[int, int]) -> None:
        for task in self.mqtt.take():
            if task.actuator in signs:
                told = self.parking.obey(signs[task.actuator], str(task.value), task.until, task.decision)
                self.refused_wishes += not told
            elif task.actuator in signals:
                head = self.traffic.heads[signals[task.actuator]]
                why = head.obey(task.id, task.value, task.until, self.traffic.now, task.decision)
                self.refused_wishes += bool(why)

    def _state(self, pace: float) -> str:
        local = timedelta(seconds=self.traffic.second)
        cars = self.traffic.sim.vehicle.getIDCount()
        obeying = sum(head.wish is not None for head in self.traffic.heads.values())
        sun = power(self.town.plants, self.town.weather, self.traffic.now).sum() / 1000
        away = "; platform away" if self.http.away else ""
        waits = f"; {self.http.buffered + self.mqtt.buffered} wait" if self.http.buffered + self.mqtt.buffered else ""
        return (
            f"{local} at {pace:.1f}x: {cars} cars, {obeying} of {len(self.traffic.heads)} signals follow a wish, "
            f"{len(self.town.plants)} plants give {sun:.0f} kW, {self.http.sent + self.mqtt.sent} readings sent"
            f"{waits}{away}"
        )

    def _summary(self, run: Run, seconds: int, wall: float) -> dict[str, Any]:
        tally = self.traffic.tally()
        return {
            "run": run.number,
            "until": to_datetime(self.traffic.now).isoformat(),
            "simulated_s": seconds,
            "wall_s": round(wall, 1),
            "speed": round(seconds / wall, 2) if wall else 0.0,
            "arrived": tally.arrived,
            "teleports": tally.teleports,
            "delay_s": round(tally.delay),
            "sent_http": self.http.sent,
            "sent_mqtt": self.mqtt.sent,
            "refused": self.http.refused,
            "refusal": self.http.refusal,
            "lost": self.http.lost,
            "emergencies": self.emergencies.begun,
            "refused_wishes": self.refused_wishes,
        }


def run_without_control(
    town: Town,
    work: Path,
    second: int,
    seconds: int,
    tell: Callable[[dict[str, Any]], None],
    run: int = 0,
    ambulances: bool = False,
) -> None:
    """Drives the same cars from ``second`` for ``seconds`` [s] under fixed-time signals, without a platform.

    As fast as it goes; ``tell`` gets a line of truth for each full minute, as in ``traffic.jsonl``. Needs a process in
    which no other SUMO runs.
    """
    traffic = Traffic(town.net, town.demand, second, work, town.junctions, town.midnight)
    try:
        emergencies = Emergencies(town, traffic, street_things(town.net) if ambulances else [])
        for _ in range(seconds):
            emergencies.enter()
            traffic.step()
            emergencies.readings()  # so that who has arrived is free again
            if traffic.second % 60 == 0:
                tell(minute(run, town, traffic.tally()))
    finally:
        traffic.close()
