"""Makes the table of ``emission.py`` with SUMO's own HBEFA 4 model: ``python -m civium.practices.travel_time.curves``.

Each class drives 500 m at each mean speed: up to 40 km/h as in a town, with one stop whose length makes up the mean
(acceleration 1.3 m/s^2, braking 1.5 m/s^2, at most 50 km/h between), from 50 km/h on without one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from civium.core.extras import require
from civium.practices.travel_time.emission import CLASSES, POLLUTANTS, SPEEDS_KMH

BLOCK_M = 500.0
CRUISE_M_S = 50 / 3.6
FREE_KMH = 50.0
_UP, _DOWN = 1.3, 1.5  # [m/s^2]
# Columns of SUMO's output after time, speed, acceleration and slope.
_COLUMNS = (
    "CO",
    "CO2",
    "HC",
    "PMx",
    "NOx",
    "fuel",
    "electricity",
)


def cycle(kmh: float) -> NDArray[np.float64]:
    """Speed [m/s] second by second over about ``BLOCK_M``, with the mean ``kmh``."""
    mean = kmh / 3.6
    if kmh >= FREE_KMH:
        return np.full(round(BLOCK_M / mean), mean)
    top = CRUISE_M_S
    while True:  # the highest speed that leaves the time for one stop
        up, down = np.arange(0.0, top, _UP), np.arange(top, 0.0, -_DOWN)
        cruise = max(BLOCK_M - up.sum() - down.sum(), 0.0) / top
        moving = len(up) + cruise + len(down)
        if moving <= BLOCK_M / mean or top < mean:
            break
        top *= 1.02
    stop = max(BLOCK_M / mean - moving, 0.0)
    return np.concatenate([np.zeros(round(stop)), up, np.full(round(cruise), top), down])


def emitted(emission_class: str, speed: NDArray[np.float64], folder: Path) -> dict[str, float]:
    """Grams per metre of each pollutant over a driving cycle, by SUMO's ``emissionsDrivingCycle``."""
    home = require("sumo", "mobility").SUMO_HOME
    given, told = folder / "cycle.csv", folder / "sums.csv"
    given.write_text("\n".join(f"{second};{v:.4f}" for second, v in enumerate(speed)))
    command = [
        str(Path(home, "bin", "emissionsDrivingCycle")),
        "-t",
        str(given),
        "-a",
        "-e",
        f"HBEFA4/{emission_class}",
    ]
    environment = {**os.environ, "SUMO_HOME": home}
    subprocess.run(  # noqa: S603 (a program of SUMO's wheel)
        [*command, "-e", f"HBEFA4/{emission_class}", "-o", str(told)], check=True, capture_output=True, env=environment
    )
    rows = np.array([[float(cell) for cell in line.split(";")] for line in told.read_text().splitlines() if line])
    grams = rows[:, 4 : 4 + len(_COLUMNS)].sum(axis=0) / 1000.0 / speed.sum()
    return {name: float(grams[_COLUMNS.index(name)]) for name in POLLUTANTS}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        for emission_class in CLASSES:
            curves = [emitted(emission_class, cycle(kmh), Path(name)) for kmh in SPEEDS_KMH]
            for pollutant in POLLUTANTS:
                values = ", ".join(f"{1000 * c[pollutant]:.3g}" for c in curves)
                sys.stdout.write(f'    ("{emission_class}", "{pollutant}"): ({values}),\n')


if __name__ == "__main__":
    main()
