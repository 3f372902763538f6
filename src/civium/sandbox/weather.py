"""Makes the weather over a town: sun, moving clouds, temperature, wind and rain, as pure functions of time and place.

Clouds and wetness are stationary Gaussian fields, drawn as sums of random waves that drift with the wind: neighbours
see the same cloud, one a little later than the other, and any instant can be asked for without the ones before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from civium.core import MICROSECONDS

Floats = NDArray[np.float64]
_J2000 = 946_728_000 * MICROSECONDS  # 2000-01-01T12:00Z [us]
_DAY_S = 86_400.0
_WAVES = 48


def sun_position(instant: int, longitude: float, latitude: float) -> tuple[float, float]:
    """Elevation and azimuth (east of north) of the sun [rad], to about 0.02 degrees and without refraction.

    Low-precision formulas of the Astronomical Almanac, page C24.
    """
    days = (instant - _J2000) / (MICROSECONDS * _DAY_S)
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal = np.radians(280.46062 + 360.98564737 * days + longitude)
    hour_angle, phi = sidereal - right_ascension, np.radians(latitude)
    sine = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(hour_angle)
    return float(np.arcsin(np.clip(sine, -1, 1))), float(np.arctan2(east, north) % (2 * np.pi))


def clear_sky(instant: int, elevation: float) -> tuple[float, float]:
    """Direct normal and diffuse horizontal irradiance [W/m^2] without clouds; the sun's ``elevation`` in [rad].

    ASHRAE clear-sky model: a yearly cosine through its monthly table (A 1088 to 1230, B 0.142 to 0.207, C 0.058 to
    0.136); the solstice stands for the year's phase on both hemispheres, as in the table.
    """
    if elevation <= 0:
        return 0.0, 0.0
    year = np.cos(
        2 * np.pi * ((instant - _J2000) / (MICROSECONDS * _DAY_S) + 11.0) / 365.25
    )  # 1 at the December solstice
    direct = (1159.0 + 71.0 * year) * np.exp(-(0.1745 - 0.0325 * year) / max(np.sin(elevation), 0.01))
    return float(direct), float((0.097 - 0.039 * year) * direct)


@dataclass(frozen=True, slots=True)
class Waves:
    """A stationary Gaussian field of mean 0 and variance 1 over the plane [m] and time [s]."""

    number: Floats  # (k, 2) [rad/m]
    frequency: Floats  # (k,) [rad/s]
    phase: Floats  # (k,) [rad]

    def at(self, seconds: float, xy: Floats) -> Floats:
        """The field at points (n, 2)."""
        angle = xy @ self.number.T + self.frequency * seconds + self.phase
        summed: Floats = np.cos(angle).sum(axis=1)
        return summed * float(np.sqrt(2.0 / len(self.phase)))


def _waves(rng: np.random.Generator, length: float, duration: float, drift: Floats) -> Waves:
    """Waves of a correlation ``length`` [m] and ``duration`` [s] that drift at a velocity [m/s]."""
    number = rng.standard_t(4, (_WAVES, 2)) / length
    return Waves(number, rng.normal(0, 1 / duration, _WAVES) - number @ drift, rng.uniform(0, 2 * np.pi, _WAVES))


class Weather:
    """The weather of one town under one seed; places are points (n, 2) of the town's plane [m], instants in [us]."""

    def __init__(self, seed: int, longitude: float, latitude: float) -> None:
        rng = np.random.default_rng([seed, 0x5C1])
        self.longitude = longitude
        self.latitude = latitude
        direction = rng.uniform(0, 2 * np.pi)
        drift = rng.uniform(5.0, 11.0) * np.array([np.cos(direction), np.sin(direction)])
        still = np.zeros(2)
        self._clouds = _waves(rng, 900.0, 1500.0, drift)
        self._cover = _waves(rng, 60_000.0, 5 * 3600.0, drift)
        self._warmth = _waves(rng, 80_000.0, 40 * 3600.0, still)
        self._breeze = _waves(rng, 20_000.0, 1200.0, drift)
        self._patches = _waves(rng, 400.0, 86_400.0, still)

    def sun(self, instant: int) -> tuple[float, float]:
        """Elevation and azimuth of the sun [rad]."""
        return sun_position(instant, self.longitude, self.latitude)

    def cover(self, instant: int) -> float:
        """Share of the sky under clouds (0..1), slowly changing."""
        return float(1 / (1 + np.exp(0.6 - 1.6 * self._cover.at(instant / MICROSECONDS, np.zeros((1, 2)))[0])))

    def irradiance(self, instant: int, xy: Floats) -> tuple[Floats, Floats]:
        """Direct normal and diffuse horizontal irradiance [W/m^2] under the clouds at points (n, 2)."""
        elevation, _ = self.sun(instant)
        direct, diffuse = clear_sky(instant, elevation)
        opaque = self._opaque(instant, xy)
        passed = np.exp(-3.0 * opaque)
        scattered = 0.25 * (1 - passed) * direct * np.sin(max(elevation, 0.0))
        return direct * passed, diffuse * (1 - 0.3 * opaque) + scattered

    def ghi(self, instant: int, xy: Floats) -> Floats:
        """Global horizontal irradiance [W/m^2]."""
        direct, diffuse = self.irradiance(instant, xy)
        return direct * float(np.sin(max(self.sun(instant)[0], 0.0))) + diffuse

    def _opaque(self, instant: int, xy: Floats) -> Floats:
        """How thick the clouds stand before the sun (0..1)."""
        threshold = 3.0 * (0.5 - self.cover(instant))
        thickness: Floats = np.clip((self._clouds.at(instant / MICROSECONDS, xy) - threshold) / 0.8, 0.0, 1.0)
        return thickness

    def temperature(self, instant: int, xy: Floats) -> Floats:
        """Air temperature [K]: season and latitude, time of day, weather of the days, and warm and cool streets."""
        solar_hour = (instant / (MICROSECONDS * 3600) + self.longitude / 15) % 24
        season = -np.cos(2 * np.pi * ((instant - _J2000) / (MICROSECONDS * _DAY_S) - 20) / 365.25)  # -1 in late January
        season *= np.sign(self.latitude)
        mean = 273.15 + 26.0 * np.cos(np.radians(self.latitude)) ** 1.6 + 0.19 * abs(self.latitude) * season
        daily = (5.0 - 3.0 * self.cover(instant)) * np.cos(2 * np.pi * (solar_hour - 15) / 24)
        return float(mean + daily) + 2.5 * self._warmth.at(instant / MICROSECONDS, xy) + 0.7 * self._patches.at(0.0, xy)

    def wind(self, instant: int, xy: Floats) -> Floats:
        """Wind speed [m/s]."""
        return np.asarray(3.2 * np.exp(0.35 * self._breeze.at(instant / MICROSECONDS, xy)))

    def rain(self, instant: int, xy: Floats) -> Floats:
        """Rain rate [m/s], out of the thickest clouds of a sky that is mostly covered; up to some 10 mm/h."""
        wet: Floats = max(self.cover(instant) - 0.7, 0.0) * np.clip(self._opaque(instant, xy) - 0.6, 0.0, None)
        return wet * (80.0 / 1000 / 3600)
