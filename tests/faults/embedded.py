"""A round with the embedded column: a city of one process, a load on its doors, faults, and the verdict."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import httpx
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from civium.city_folder import token
from civium.core import CiviumError, from_datetime
from civium.engines.lakes import attach_local
from civium.engines.nats_server import free_port
from tests.city.conftest import CityProcess
from tests.faults import aged, grounds
from tests.faults.faults import FAULTS, Struck
from tests.faults.grounds import Ground
from tests.faults.load import ACCEPTED, Spec, read_notes
from tests.faults.verdict import STORED, Tally, as_of, check_answers, check_readings, check_record

ROOT = Path(__file__).resolve().parents[2]
OPEN_AGAIN_S = 5.0  # from the start of the process to the first accepted write
MOST_MEMORY_MB = 1500.0  # resident, of the city's own process
_LAMPS = 5
_DECIDES_S = 180.0  # a worker that starts beside a load on two processors takes its time
_MENDED_S = 60.0  # after a fault: until nothing is amiss any more
_READINGS = f"""
SELECT stream, CAST(value AS BIGINT) AS number FROM lake.observations
WHERE parent IS NULL AND stream < {aged.FIRST_STREAM}
"""
_ESTIMATES = "SELECT parent, stream, count(*) FROM lake.observations WHERE parent IS NOT NULL GROUP BY ALL"


@dataclass
class Outcome:
    """What a round showed."""

    complaints: list[str] = field(default_factory=list)
    tally: Tally | None = None
    opened_s: list[float] = field(default_factory=list)  # each start: until the first accepted write
    memory_mb: float = 0.0
    rate: float = 0.0  # accepted readings/s over the whole load, faults included
    decisions: int = 0
    answers: dict[int, int] = field(default_factory=dict)


class Watch(threading.Thread):
    """Looks at a running city now and then: its memory, and the decisions that it shows."""

    def __init__(self, city: CityProcess) -> None:
        super().__init__(daemon=True)
        self._city, self._ending = city, threading.Event()
        self.memory_mb = 0.0
        self.seen: set[str] = set()

    def run(self) -> None:
        with httpx.Client(timeout=5.0) as http:
            while not self._ending.wait(0.5):
                try:
                    self.memory_mb = max(self.memory_mb, psutil.Process(self._city.pid).memory_info().rss / 1e6)
                    headers = {"Authorization": f"Bearer {token(self._city.folder)}"}
                    shown = http.get(f"{self._city.url}/api/decisions", params={"limit": 50}, headers=headers)
                    if shown.is_success:
                        self.seen |= {decision["id"] for decision in shown.json()}
                except (AssertionError, psutil.Error, httpx.HTTPError, OSError, ValueError):
                    continue

    def sees_another(self, seconds: float = _DECIDES_S) -> bool:
        """Whether a decision is shown, within a time, that was not there before."""
        before, deadline = len(self.seen), time.monotonic() + seconds
        while len(self.seen) == before and time.monotonic() < deadline:
            time.sleep(0.2)
        return len(self.seen) > before

    def end(self) -> None:
        self._ending.set()
        self.join()


class Embedded:
    """One city on one ground, from round to round; ``first`` is the next number of every stream."""

    def __init__(self, ground: Ground, rate: float, open_again_s: float = OPEN_AGAIN_S) -> None:
        ports = {door: f"127.0.0.1:{free_port()}" for door in ("HTTP", "MQTT")}
        doors = {f"CIVIUM_DOORS_{door}": address for door, address in ports.items()}
        self.city = CityProcess(ground.city, False, {**doors, **ground.environment})
        self.ground = ground
        self._busy = 0.0  # processes that want a processor, for each there is: a start takes as many times as long
        self._open_again_s = open_again_s
        self._rate, self._first, self._seen = rate, 1, set[str]()
        self._ports = ports
        self._notes: list[pa.Table] = []
        self._streams: list[int] = []
        self._lamps: list[int] = []

    def found(self) -> None:
        """Start it for the first time and register what the load speaks for."""
        self.city.start()
        wanted = sum(Spec([], [], "", [], [], 1.0, "").clients.values())
        lines = [
            {"key": f"meter/{n}", "kind": "meter", "streams": [{"property": "power", "unit": "W"}]}
            for n in range(wanted)
        ]
        lines += [
            {
                "key": f"lamp/{n}",
                "kind": "lamp_post",
                "where": {"type": "Point", "coordinates": [24.94, 60.17]},
                "streams": [{"property": "air_temperature", "unit": "K"}],
                "actuators": [{"key": f"lamp/{n}/dimmer", "facts": {"minimum": 0, "maximum": 100}}],
            }
            for n in range(_LAMPS)
        ]
        told = self.city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
        self._streams = [told["streams"][f"meter/{n}/power"] for n in range(wanted)]
        self._lamps = [told["streams"][f"lamp/{n}/air_temperature"] for n in range(_LAMPS)]
        self.city.client.post("/api/practices/dimmer/mandate", mandate="act", why="the harness")
        self.city.stop()
        if self.ground.aged:
            aged.age(self.city.folder)

    def round(self, faults: Sequence[str], seed: int, seconds: float, calm: float) -> Outcome:
        """One load with some faults in a row, at moments by a ``seed``; ``seconds`` a blocked part stays blocked,
        ``calm`` between faults.

        The city is stopped at its end.
        """
        outcome, chance = Outcome(), Random(seed)
        with self._load() as notes_of:
            starts = [self._start()]
            watch = Watch(self.city)
            watch.start()
            if not watch.sees_another():
                outcome.complaints.append("nothing was decided before the fault")
            began = time.monotonic()
            cut = Struck()
            for name in faults:
                time.sleep(calm * chance.uniform(0.5, 1.5))
                struck = FAULTS[name].strike(self.city, self.ground, chance, seconds)
                cut = struck if struck.cut else cut
                if struck.down:
                    time.sleep(chance.uniform(0.0, 1.0))
                    starts.append(self._start())
            time.sleep(calm)
            lasted = time.monotonic() - began
            if FAULTS[faults[-1]].decides_after and not watch.sees_another():
                outcome.complaints.append("nothing was decided any more after the fault")
        notes = notes_of()
        watch.end()
        self._notes.append(notes)
        self._seen |= watch.seen
        outcome.memory_mb, outcome.answers = watch.memory_mb, dict(Counter(notes["status"].to_pylist()))
        accepted = notes.filter(pc.equal(notes["outcome"], ACCEPTED))
        outcome.rate = (pc.sum(accepted["count"]).as_py() or 0) / lasted
        outcome.complaints += check_answers(notes)
        for start in starts:
            opened = pc.min(accepted.filter(pc.greater(accepted["at"], start))["at"]).as_py()
            outcome.opened_s.append(opened - start if opened else float("inf"))
        if max(outcome.opened_s) > self._open_again_s * max(1.0, self._busy):
            outcome.complaints.append(f"the way in was open only {max(outcome.opened_s):.1f} s after a start")
        if watch.memory_mb > MOST_MEMORY_MB:
            outcome.complaints.append(f"the city took {watch.memory_mb:.0f} MB")
        outcome.tally, outcome.decisions, complaints = self._judge(self.city, pa.concat_tables(self._notes))
        outcome.complaints += complaints
        if cut.cut is not None:
            outcome.complaints += self._judge_cut(cut.cut, cut.at)
        return outcome

    def _start(self) -> float:
        """Start the city; the moment at which its process was made [s, CLOCK_MONOTONIC]."""
        at = time.monotonic()
        self.city.start()
        self._busy = max(self._busy, os.getloadavg()[0] / (os.cpu_count() or 1))
        return at

    @contextmanager
    def _load(self) -> Iterator[Any]:
        """The load beside the body; yields what gives its notes afterwards."""
        self.city.folder.mkdir(parents=True, exist_ok=True)
        base = self.ground.city.parent if self.ground.mount is None else self.ground.mount.parent
        notes, spec = base / "notes.arrow", base / "spec.json"
        turns = int(self._rate * 1000)  # more than any client can send in a round
        addresses = [self._ports["HTTP"]], [self._ports["MQTT"]]
        Spec(*addresses, token(self.city.folder), self._streams, self._lamps, self._rate, str(notes), self._first).save(
            spec
        )
        self._first += turns
        process = subprocess.Popen([sys.executable, "-m", "tests.faults.load", str(spec)], cwd=ROOT)
        try:
            yield lambda: read_notes(notes)
        finally:
            process.terminate()
            process.wait(180)
        if process.returncode:
            raise RuntimeError("the load broke: its own words are above")

    def _judge(self, city: CityProcess, notes: pa.Table) -> tuple[Tally, int, list[str]]:
        """Everything of a running city; it is stopped at the end."""
        complaints = _lasting_troubles(city)
        city.stop()
        city.idle = True  # no clock ticks: the record stands still while it is looked at
        try:
            city.start()
            lines = list(city.client.ledger())
            complaints += _carried_out(city, lines)
            replay = city.run("replay")
            if replay.returncode:
                complaints.append(f"replay: {(replay.stdout + replay.stderr)[-500:]}")
            city.stop()
        finally:
            city.idle = False
        stored, estimates = _stored(city.folder)
        if self.ground.aged:
            complaints += aged.check(city.folder)
        tally, wrong = check_readings(notes, stored)
        decisions, doubtful = check_record(lines, self._seen, estimates)
        return tally, decisions, complaints + wrong + doubtful

    def _judge_cut(self, image: Path, at: float) -> list[str]:
        """Start from what a power cut left: all that was accepted before it must be there."""
        with grounds.mounted_copy(image, image.parent) as mount:
            city = CityProcess(mount / "city", True, self.city.environment)
            city.start()
            lines = list(city.client.ledger())
            complaints = _carried_out(city, lines)
            replay = city.run("replay")
            if replay.returncode:
                complaints.append(f"replay: {(replay.stdout + replay.stderr)[-500:]}")
            city.stop()
            stored, estimates = _stored(city.folder)
        notes = as_of(pa.concat_tables(self._notes), at)
        _, wrong = check_readings(notes, stored)
        _, doubtful = check_record(lines, set(), estimates)
        return [f"after the power cut: {complaint}" for complaint in complaints + wrong + doubtful]


def _lasting_troubles(city: CityProcess) -> list[str]:
    """Troubles that the city still has some time after the last fault."""
    deadline = time.monotonic() + _MENDED_S
    while True:
        try:
            troubles = city.client.get("/api/status")["troubles"]
        except (CiviumError, httpx.HTTPError) as error:
            troubles = {"status": f"{type(error).__name__}: {error}"}
        if not troubles:
            return []
        if time.monotonic() > deadline:
            return [f"trouble that does not end: {name}: {why}" for name, why in troubles.items()]
        time.sleep(0.5)


def _carried_out(city: CityProcess, lines: Sequence[tuple[int, bytes]]) -> list[str]:
    """Wait until the outbox has carried out the last decision of the record: its estimates can be read."""
    ticks = [entry["tick"] for _, raw in lines if (entry := json.loads(raw))["type"] == "turn"]
    deadline = time.monotonic() + _MENDED_S
    while ticks:
        found = city.client.get("/api/latest", kind="lamp_post", property="mean_temperature")["features"]
        times = [from_datetime(datetime.fromisoformat(f["properties"]["time"])) for f in found]
        if len(times) == _LAMPS and min(times) >= ticks[-1]:
            break
        if time.monotonic() > deadline:
            return [f"the estimates of the last decision, at {ticks[-1]}, are not written: {times}"]
        time.sleep(0.1)
    return []


def _stored(folder: Path) -> tuple[pa.Table, dict[tuple[str, int], int]]:
    """The readings in the lake of a stopped city, and its estimates, counted by decision and thing."""
    with duckdb.connect() as connection, sqlite3.connect(folder / "catalog.db") as catalog:
        attach_local(connection, folder / "lake")
        readings = connection.execute(_READINGS).to_arrow_table().cast(STORED)
        thing = dict(catalog.execute("SELECT id, thing FROM datastreams").fetchall())
        estimates = connection.execute(_ESTIMATES).fetchall()
    return readings, {(parent, thing[stream]): count for parent, stream, count in estimates}
