"""Puts PV plants on the roofs of a town and says what they deliver, the faults of some included.

Their physics is told otherwise than the platform's practice tells it (isotropic sky, nominal cell temperature, an
inverter curve of three losses), so that what is learned there is not what is written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from civium.sandbox.places import Places
from civium.sandbox.streets import Streets
from civium.sandbox.weather import Floats, Weather

SHARE_OF_ROOFS = 0.15
FEWEST, MOST = 8, 200
SHARE_OF_FAULTS = 0.2
HEALTHY, STRING, SHADING, SOILING = "healthy", "string", "shading", "soiling"
_ALBEDO = 0.2
_MODULE_W_PER_M2 = 200.0
_PER_KELVIN = -0.0038  # of power, crystalline silicon
_NOCT_RISE_K = 26.0  # of the cells over the air at 800 W/m^2 and 1 m/s


@dataclass(frozen=True, slots=True)
class Plant:
    """One PV plant. ``fault`` and ``loss`` are the truth that only the sandbox knows.

    ``loss``: share of power lost by a dead string or by dirt; of a shaded plant, the sun's azimuth [rad] from which
    on the shade falls, over half a radian and below 35 degrees of elevation.
    """

    key: str
    xy: tuple[float, float]
    longitude: float
    latitude: float
    peak_power_w: float
    inverter_ac_w: float
    tilt_deg: float
    azimuth_deg: float
    fault: str
    loss: float
    quality: float  # modules and wires against the name plate

    def facts(self) -> dict[str, Any]:
        """What its owner has registered."""
        return {
            "peak_power_w": round(self.peak_power_w),
            "inverter_ac_w": round(self.inverter_ac_w),
            "tilt_deg": round(self.tilt_deg, 1),
            "azimuth_deg": round(self.azimuth_deg, 1),
            "latitude": round(self.latitude, 6),
            "longitude": round(self.longitude, 6),
            "altitude_m": 0.0,
        }


def place_plants(places: Places, streets: Streets, seed: int) -> list[Plant]:
    """A seeded choice of roofs, each with a plant that fits on it."""
    rng = np.random.default_rng([seed, 0x50])
    roofs = np.flatnonzero((places.footprint > 40) & (places.floor.sum(axis=1) > 0))
    n = min(len(roofs), MOST, max(FEWEST, round(SHARE_OF_ROOFS * len(roofs))))
    chosen = np.sort(rng.choice(roofs, n, replace=False)) if n else np.empty(0, dtype=np.int64)
    lonlat = streets.to_lonlat(places.xy[chosen]) if n else np.empty((0, 2))
    plants = []
    for number, (roof, (longitude, latitude)) in enumerate(zip(chosen, lonlat, strict=True)):
        peak = float(np.clip(places.footprint[roof] * rng.uniform(0.15, 0.4) * _MODULE_W_PER_M2, 3e3, 100e3))
        towards = 180.0 if latitude >= 0 else 0.0
        fault = str(rng.choice([STRING, SHADING, SOILING])) if rng.random() < SHARE_OF_FAULTS else HEALTHY
        plants.append(
            Plant(
                key=f"pv/{number + 1}",
                xy=(float(places.xy[roof, 0]), float(places.xy[roof, 1])),
                longitude=float(longitude),
                latitude=float(latitude),
                peak_power_w=peak,
                inverter_ac_w=peak * rng.uniform(0.8, 1.0),
                tilt_deg=rng.uniform(8, 40),
                azimuth_deg=float((towards + rng.normal(0, 35)) % 360),
                fault=fault,
                loss=_loss(fault, latitude, rng),
                quality=rng.uniform(0.9, 0.98),
            )
        )
    return plants


def _loss(fault: str, latitude: float, rng: np.random.Generator) -> float:
    if fault == STRING:
        return float(1 / rng.integers(2, 5))
    if fault == SOILING:
        return float(rng.uniform(0.1, 0.25))
    if fault == SHADING:
        morning = rng.random() < 0.5
        east, west = np.radians(75.0), np.radians(245.0 if latitude >= 0 else 255.0)
        return float(east if morning else west)
    return 0.0


def power(plants: Sequence[Plant], weather: Weather, instant: int, healthy: bool = False) -> Floats:
    """Electric power [W] that each plant delivers at an instant [us]; ``healthy`` leaves the faults out."""
    if not plants:
        return np.empty(0)
    xy = np.array([p.xy for p in plants])
    tilt, facing = (np.radians([getattr(p, name) for p in plants]) for name in ("tilt_deg", "azimuth_deg"))
    peak, rating, quality = (
        np.array([getattr(p, name) for p in plants]) for name in ("peak_power_w", "inverter_ac_w", "quality")
    )
    elevation, azimuth = weather.sun(instant)
    direct, diffuse = weather.irradiance(instant, xy)
    if not healthy:
        direct = direct * np.array([_unshaded(p, elevation, azimuth) for p in plants])
    cosine = np.sin(elevation) * np.cos(tilt) + np.cos(elevation) * np.sin(tilt) * np.cos(azimuth - facing)
    facing_sun = np.clip(cosine, 0.0, 1.0)
    glass = np.clip(1 - 0.05 * (1 / np.maximum(facing_sun, 0.05) - 1), 0.0, 1.0)  # ASHRAE incidence angle modifier
    ground = _ALBEDO * (direct * np.sin(max(elevation, 0.0)) + diffuse) * (1 - np.cos(tilt)) / 2
    in_plane = direct * facing_sun * glass + 0.95 * diffuse * (1 + np.cos(tilt)) / 2 + ground
    cells = weather.temperature(instant, xy) - 273.15 + _NOCT_RISE_K * in_plane / 800 * (
        1.6 / (0.6 + weather.wind(instant, xy))
    ).clip(0.4, 1.4)  # fmt: skip
    dc = peak * quality * in_plane / 1000 * (1 + _PER_KELVIN * (cells - 25))
    if not healthy:
        dc = dc * np.array([1 - p.loss if p.fault in (STRING, SOILING) else 1.0 for p in plants])
    load = dc / rating
    ac = rating * (load - 0.006 - 0.012 * load - 0.012 * load**2)  # own use, diodes, resistance
    delivered: Floats = np.clip(ac, 0.0, rating)
    return delivered


def _unshaded(plant: Plant, elevation: float, azimuth: float) -> float:
    if plant.fault != SHADING:
        return 1.0
    behind = plant.loss <= azimuth <= plant.loss + 0.5 and elevation < np.radians(35)
    return 0.1 if behind else 1.0
