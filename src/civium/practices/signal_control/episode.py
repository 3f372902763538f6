"""One run of a scenario in SUMO: on its own fixed-time programs, or guided through detectors, View and heads."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from civium.core.extras import require
from civium.practices.signal_control.loop import TURN_S, GuidedStreets
from civium.practices.signal_control.noise import Noise, NoisyDetectors
from civium.practices.signal_control.params import SignalParams
from civium.sandbox.detectors import write_detectors
from civium.sandbox.junction import read_junctions
from civium.sandbox.other_sumo import OtherSumo, sumo_of
from civium.sandbox.scenario import Scenario, without_writers
from civium.sandbox.streets import projections, sumo_speaks

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


def run(
    scenario: Scenario,
    seed: int,
    guided: bool,
    params: SignalParams | None = None,
    *,
    noise: Noise | None = None,
    sumo: str = "",
    scale: float = 1.0,
) -> Run:
    """Runs a scenario with a seed, in the SUMO of the environment or in release ``sumo`` over TraCI.

    ``noise`` is what comes between its detectors and the city; ``scale`` multiplies its demand. Call it in a process of
    its own: libsumo keeps one simulation a process. ``ValueError`` for a scenario that gives nothing to control.
    """
    with tempfile.TemporaryDirectory() as name, sumo_speaks():
        folder = Path(name)
        trips = folder / "trips.xml"
        ours = folder / "civium-detectors.add.xml"
        junctions = read_junctions(scenario.net, scenario.additional)
        if not any(junction.controllable for junction in junctions):
            raise ValueError(f"{scenario.name} has no signal to control")
        detectors = write_detectors(scenario.net, junctions, ours, TURN_S)
        additional = [*(without_writers(f, folder) for f in scenario.additional), ours]
        options = ["--net-file", str(scenario.net), "--seed", str(seed)]
        options += [] if "time-to-teleport" in dict(scenario.options) else ["--time-to-teleport", "-1"]
        options += ["--scale", str(scale)] if scale != 1.0 else []
        if scenario.routes:
            options += ["--route-files", ",".join(map(str, scenario.routes))]
        options += ["--additional-files", ",".join(map(str, additional))]
        options += ["--begin", str(scenario.begin), "--end", str(scenario.end)]
        options += [part for option, value in scenario.options for part in (f"--{option}", value)]
        options += ["--tripinfo-output", str(trips), "--tripinfo-output.write-unfinished"]
        options += [] if sumo else ["--tripinfo-output.write-undeparted"]  # the same option up to SUMO 1.9
        options += ["--no-step-log", "--no-warnings", "--duration-log.disable"]
        sim = _opened(options, sumo, folder)
        try:
            spoil = NoisyDetectors(detectors, noise, seed, (scenario.end - scenario.begin) // TURN_S) if noise else dict
            city = GuidedStreets(sim, junctions, detectors, params or SignalParams(), spoil) if guided else None
            while (time := sim.simulation.getTime()) < scenario.end:
                if time > scenario.begin + SETTLE_S and sim.simulation.getMinExpectedNumber() == 0:
                    break
                sim.simulationStep()
                if city is not None:
                    city.step(sim.simulation.getTime())
        finally:
            sim.close()
        delays, unfinished = read_delays(trips)
    if not delays:
        raise ValueError(f"{scenario.name}: no vehicle departs; are its routes there, and between begin and end?")
    return Run(
        delay=float(np.mean(delays)),
        trips=len(delays),
        unfinished=unfinished,
        turn_ms=float(np.median(city.costs)) * 1e3 if city is not None and city.costs else 0.0,
        commands=city.commands if city is not None else 0,
        refused=city.refused if city is not None else 0,
    )


def _opened(options: Sequence[str], release: str, folder: Path) -> Any:
    if release:
        return OtherSumo(sumo_of(release), options, TURN_S, folder)
    with contextlib.redirect_stdout(io.StringIO()):  # libsumo prints advice about Arrow on import
        libsumo = require("libsumo", "mobility")
    with projections():
        libsumo.start(["sumo", *options])
    return libsumo


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
