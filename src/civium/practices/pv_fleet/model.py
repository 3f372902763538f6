"""The physics of a PV plant, from sun and weather to AC power: the one file that uses pvlib.

Every function works on whole arrays; nothing here remembers anything. The plane of a plant enters linearly:

    P_dc / P_nominal = theta . basis
    theta = s [n_E, n_N, n_U, (1 + n_U) / 2, albedo (1 - n_U) / 2]
    basis = f_T / 1000 [K_b B s_E, K_b B s_N, K_b B s_U, (1 - A) DHI, GHI]

with n the normal of the plane, s the sun vector, B = DNI + A DHI / cos z, A = DNI / E0: the transposition of Hay and
Davies (1980) written as one scalar product, so that a plant's true size and orientation can be learned by least
squares from its own output.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from civium.core.extras import require

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]

TERMS = 5  # entries of theta
LOWEST_COSINE = 0.01745  # cos 89 deg, the floor that pvlib.irradiance.haydavies uses
STC = 1000.0  # [W/m^2]
NOMINAL_EFFICIENCY = 0.96  # of the inverter, as in PVWatts
DEFAULT_AIR_C = 15.0  # [degC] where no air temperature is measured
DEFAULT_WIND = 2.0  # [m/s] where no wind is measured


def pvlib(part: str) -> ModuleType:
    """A module of pvlib; where it is missing, ``ExtraMissing`` names ``pip install "civium[energy]"``."""
    return require(f"pvlib.{part}", "energy")


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun is: cosine of the apparent zenith, azimuth [rad], extraterrestrial normal irradiance [W/m^2]."""

    cosine: Floats
    azimuth: Floats
    extra: Floats

    @property
    def vector(self) -> Floats:
        """Unit vector to the sun (east, north, up) [..., 3]."""
        sine = np.sqrt(np.clip(1.0 - self.cosine**2, 0.0, 1.0))
        return np.stack([sine * np.sin(self.azimuth), sine * np.cos(self.azimuth), self.cosine], axis=-1)


def suns(instants: Instants, latitude: Floats, longitude: Floats, altitude: Floats) -> Sun:
    """The sun over places [P] (degrees, metres) at instants [us since epoch] [T]: arrays [P, T].

    One call for all: pvlib's ephemeris works element by element, its cost is in the call.
    """
    import pandas as pd

    shape = (len(latitude), len(instants))
    if 0 in shape:
        return Sun(*np.zeros((3, *shape)))
    times = pd.to_datetime(np.tile(instants, shape[0]), unit="us", utc=True)
    position = pvlib("solarposition").get_solarposition(
        times,
        np.repeat(latitude, shape[1]),
        np.repeat(longitude, shape[1]),
        altitude=np.repeat(altitude, shape[1]),
        method="ephemeris",
    )
    zenith = np.radians(position["apparent_zenith"].to_numpy(dtype=np.float64)).reshape(shape)
    azimuth = np.radians(position["azimuth"].to_numpy(dtype=np.float64)).reshape(shape)
    extra = np.asarray(pvlib("irradiance").get_extra_radiation(days_of_year(instants)), dtype=np.float64)
    return Sun(np.cos(zenith), azimuth, np.broadcast_to(extra, shape))


def days_of_year(instants: Instants) -> NDArray[np.int64]:
    """Day of the year, 1..366, of instants [us since epoch]."""
    days = instants.astype("datetime64[us]").astype("datetime64[D]")
    return np.asarray((days - days.astype("datetime64[Y]")).astype(np.int64) + 1, dtype=np.int64)


def complete(
    ghi: Floats, dni: Floats, dhi: Floats, cosine: Floats, extra: Floats, doy: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """DNI and DHI [W/m^2] where GHI is known ([N, T] arrays, NaN = not measured; ``doy`` [T] days of the year).

    Both measured and closing with GHI within 15 % and 30 W/m^2: kept. One measured: the other by closure. None, or
    no closure: split by Erbs, Klein and Duffie (1982).
    """
    up = np.maximum(cosine, LOWEST_COSINE)
    zenith = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    split = pvlib("irradiance").erbs(np.nan_to_num(ghi), zenith, doy)
    erbs_dni, erbs_dhi = np.asarray(split["dni"]), np.asarray(split["dhi"])
    beam = np.where(np.isnan(dni), np.clip(ghi - dhi, 0.0, None) / up, dni)
    diffuse = np.where(np.isnan(dhi), np.clip(ghi - dni * up, 0.0, None), dhi)
    closes = np.abs(ghi - beam * up - diffuse) <= 0.15 * ghi + 30.0
    use = closes & (beam <= 1.1 * extra) & (diffuse <= 1.1 * ghi + 10.0) & (cosine > 0.05)
    return np.where(use, beam, erbs_dni), np.where(use, diffuse, erbs_dhi)


def plane(tilt: Floats, azimuth: Floats, albedo: Floats) -> Floats:
    """theta [P, 5] of planes given by tilt and azimuth [deg, clockwise from north], with PVWatts' standard losses."""
    b, g = np.radians(tilt), np.radians(azimuth)
    up = np.cos(b)
    kept = 1.0 - float(pvlib("pvsystem").pvwatts_losses()) / 100.0
    parts = [np.sin(b) * np.sin(g), np.sin(b) * np.cos(g), up, (1 + up) / 2, albedo * (1 - up) / 2]
    return kept * np.stack(parts, axis=-1)


def normal(theta: Floats) -> Floats:
    """Unit normal [..., 3] of the plane that theta describes; straight up where theta has no direction."""
    size = np.linalg.norm(theta[..., :3], axis=-1, keepdims=True)
    return np.where(size > 1e-9, theta[..., :3] / np.maximum(size, 1e-9), np.array([0.0, 0.0, 1.0]))


@dataclass(frozen=True, slots=True)
class Sky:
    """What falls on a plant in each slot [P, S]: irradiances [W/m^2], air temperature [degC], wind [m/s]."""

    sun: Sun
    ghi: Floats
    dni: Floats
    dhi: Floats
    air: Floats
    wind: Floats


def basis(sky: Sky, theta: Floats, gamma: Floats) -> Floats:
    """The basis [P, S, 5] of the module's formula, for planes ``theta`` [P, 5], ``gamma`` [1/K] the power coefficient.

    Incidence-angle loss K_b: ASHRAE (Souka and Safwat 1966); cell temperature: Faiman (2008); power: PVWatts
    (Dobos 2014). ``theta`` enters only through K_b, the beam's being in front, and the cell temperature.
    """
    n = normal(theta)
    s = sky.sun.vector
    cosine = np.einsum("psk,pk->ps", s, n)
    up = sky.sun.cosine
    day = up > 0.0
    anisotropy = np.clip(sky.dni / sky.sun.extra, 0.0, 1.0)
    beam = np.where(day & (cosine > 0.0), sky.dni + anisotropy * sky.dhi / np.maximum(up, LOWEST_COSINE), 0.0)
    angle = np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0)))
    passed = np.asarray(pvlib("iam").ashrae(angle, b=0.05), dtype=np.float64)
    diffuse = np.where(day, (1.0 - anisotropy) * sky.dhi, 0.0)
    ghi = np.where(day, sky.ghi, 0.0)
    in_plane = beam * np.clip(cosine, 0.0, None) + diffuse * (1.0 + n[:, None, 2]) / 2.0
    cell = pvlib("temperature").faiman(in_plane, sky.air, sky.wind)
    warm = np.asarray(pvlib("pvsystem").pvwatts_dc(STC, cell, 1.0, gamma[:, None]), dtype=np.float64)
    scale = warm / STC
    return np.concatenate(
        [(scale * passed * beam)[..., None] * s, (scale * diffuse)[..., None], (scale * ghi)[..., None]], axis=-1
    )


def inverter(dc: Floats, limit: Floats) -> Floats:
    """AC power [P, S] of DC power, both per nominal power; ``limit`` [P] the inverter's AC rating (PVWatts)."""
    rating = np.broadcast_to((limit / NOMINAL_EFFICIENCY)[:, None], dc.shape)
    ac = pvlib("inverter").pvwatts(np.clip(dc, 0.0, None), rating, eta_inv_nom=NOMINAL_EFFICIENCY)
    return np.clip(np.asarray(ac, dtype=np.float64), 0.0, None)
