"""One run of a scenario in SUMO: on its own fixed-time programs, or guided through detectors, View and heads."""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from civium.core.extras import require
from civium.practices.signal_control.loop import TURN_S, GuidedStreets
from civium.practices.signal_control.params import SignalParams
from civium.sandbox.detectors import write_detectors
from civium.sandbox.junction import read_junctions
from civium.sandbox.scenario import Scenario, without_writers
from civium.sandbox.streets import projections

SETTLE_S = 60  # before this an empty street does not mean that all have arrived


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave: mean delay as RESCO defines it [s] over ``trips``, of which ``unfinished`` never arrived."""

    delay: float
    trips: int
    unfinished: int
    turn_ms: float
    commands: int
    refused: int


def run(scenario: Scenario, seed: int, guided: bool, params: SignalParams | None = None) -> Run:
    """Runs a scenario with a seed. Call it in a process of its own: libsumo keeps one simulation a process."""
    with contextlib.redirect_stdout(io.StringIO()):  # libsumo prints advice about Arrow on import
        libsumo = require("libsumo", "mobility")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trips = folder / "trips.xml"
        ours = folder / "civium-detectors.add.xml"
        junctions = read_junctions(scenario.net, scenario.additional)
        detectors = write_detectors(scenario.net, junctions, ours, TURN_S)
        additional = [*(without_writers(f, folder) for f in scenario.additional), ours]
        options = ["sumo", "--net-file", str(scenario.net), "--seed", str(seed), "--time-to-teleport", "-1"]
        if scenario.routes:
            options += ["--route-files", ",".join(map(str, scenario.routes))]
        options += ["--additional-files", ",".join(map(str, additional))]
        options += ["--begin", str(scenario.begin), "--end", str(scenario.end)]
        options += [part for option, value in scenario.options for part in (f"--{option}", value)]
        options += ["--tripinfo-output", str(trips), "--tripinfo-output.write-unfinished"]
        options += ["--tripinfo-output.write-undeparted", "--no-step-log", "--no-warnings", "--duration-log.disable"]
        with projections():
            libsumo.start(options)
        try:
            city = GuidedStreets(libsumo, junctions, detectors, params or SignalParams()) if guided else None
            while (time := libsumo.simulation.getTime()) < scenario.end:
                if time > scenario.begin + SETTLE_S and libsumo.simulation.getMinExpectedNumber() == 0:
                    break
                libsumo.simulationStep()
                if city is not None:
                    city.step(libsumo.simulation.getTime())
        finally:
            libsumo.close()
        delays, unfinished = read_delays(trips)
    return Run(
        delay=float(np.mean(delays)) if delays else float("nan"),
        trips=len(delays),
        unfinished=unfinished,
        turn_ms=float(np.median(city.costs)) * 1e3 if city is not None and city.costs else 0.0,
        commands=city.commands if city is not None else 0,
        refused=city.refused if city is not None else 0,
    )


def read_delays(trips: Path) -> tuple[list[float], int]:
    """Delay of each trip [s]: time lost on the way and before departure (RESCO ``readXML.py``); who has not arrived, or
    not even departed, counts until the end. Also how many of them there are."""
    delays: list[float] = []
    unfinished = 0
    for _, element in ET.iterparse(trips):  # noqa: S314 (written by SUMO a moment ago)
        if element.tag == "tripinfo":
            lost, late = float(element.get("timeLoss", "0")), float(element.get("departDelay", "0"))
            delays.append(max(lost, 0.0) + max(late, 0.0))
            unfinished += float(element.get("arrival", "-1")) < 0
            element.clear()
    return delays, unfinished
