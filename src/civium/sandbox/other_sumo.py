"""Another release of SUMO in an environment of its own, spoken to over TraCI.

Published figures hold for the release that they were made with. Releases up to 1.9 do not tell what a loop counted in
its last interval: it is added up here, step by step.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from civium.core import InputRefused
from civium.core.extras import require
from civium.sandbox.scenario import cache

_PASSAGES, _OCCUPANCY = 0x17, 0x13  # TraCI's LAST_STEP_VEHICLE_DATA and LAST_STEP_OCCUPANCY
_INSIDE = -1.0  # the time at which a vehicle left, while it has not


def sumo_of(version: str) -> Path:
    """SUMO_HOME of ``eclipse-sumo==version`` in a virtual environment in the user's cache, which is made once.

    Raises ``InputRefused`` when pip cannot install that version.
    """
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise InputRefused(f"'{version}' is no release of SUMO; write numbers, such as 1.9.2")
    folder = cache() / f"sumo-{version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            made = Path(name, "wheel")
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            install += ["--only-binary", ":all:", "--target", str(made), f"eclipse-sumo=={version}"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)  # noqa: S603 (our interpreter)
            if done.returncode:
                raise InputRefused(f"pip could not install eclipse-sumo {version}: {done.stderr.strip()[-400:]}")
            made.rename(folder)
    return folder / "sumo"


class OtherSumo:
    """A simulation of the SUMO in ``home``: what the sandbox and the benches use of libsumo, with the same names."""

    def __init__(self, home: Path, options: Sequence[str], interval: int, folder: Path) -> None:
        """Starts with ``options`` (without the program); loops add up over intervals [s] that end at multiples."""
        traci = require("traci", "mobility")
        # A SUMO of another release than the client's would warn about its schemas.
        os.environ["SUMO_HOME"] = str(home)
        log = folder / "sumo.log"
        with log.open("w") as out, contextlib.redirect_stdout(out):  # it tells how often it had to knock
            traci.start([str(home / "bin" / "sumo"), *options], label=str(folder), stdout=out)
        self._connection: Any = traci.getConnection(str(folder))
        self._interval = interval
        self._loops: tuple[str, ...] = self._connection.inductionloop.getIDList()
        self._counting = dict.fromkeys(self._loops, (0, 0.0, 0))  # passages, occupancy [%] and steps so far
        self._counted = dict.fromkeys(self._loops, (0, 0.0))
        for loop in self._loops:
            self._connection.inductionloop.subscribe(loop, (_PASSAGES, _OCCUPANCY))
        self.inductionloop = self

    def __getattr__(self, domain: str) -> Any:
        return getattr(self._connection, domain)

    def simulationStep(self) -> None:  # noqa: N802 (as libsumo calls it)
        """One step on."""
        self._connection.simulationStep()
        ends = round(self._connection.simulation.getTime() * 1000) % (self._interval * 1000) == 0
        told = self._connection.inductionloop.getAllSubscriptionResults()
        for loop, values in told.items():
            passed, occupied, steps = self._counting[loop]
            passed += sum(vehicle[3] != _INSIDE for vehicle in values[_PASSAGES])
            occupied, steps = occupied + values[_OCCUPANCY], steps + 1
            if ends:
                self._counted[loop] = (passed, occupied / steps)
                passed, occupied, steps = 0, 0.0, 0
            self._counting[loop] = (passed, occupied, steps)

    def getLastIntervalVehicleNumber(self, loop: str) -> int:  # noqa: N802
        """Vehicles that passed a loop in its last interval."""
        return self._counted[loop][0]

    def getLastIntervalOccupancy(self, loop: str) -> float:  # noqa: N802
        """Share of its last interval during which a vehicle stood over a loop [%]."""
        return self._counted[loop][1]

    def getLastIntervalMeanSpeed(self, loop: str) -> float:  # noqa: N802
        """Not known of these releases."""
        return -1.0
