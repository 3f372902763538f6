"""Recorded weather for the bench: a year of hours from an EPW, TMY3, TM2 or CSV file, set against the sun."""

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from civium.core import MICROSECONDS

Floats = NDArray[np.float64]
HOUR = 3600 * MICROSECONDS
YEAR_START = 1_672_531_200 * MICROSECONDS  # 2023-01-01: typical years have no year of their own
BUILT_IN = ("723170TYA.CSV", "12839.tm2", "703165TY.csv")  # Greensboro, Miami, Sand Point (Alaska)


@dataclass(frozen=True, slots=True)
class Year:
    """Means over hours [H] that begin at ``YEAR_START`` + k hours UTC: irradiances [W/m^2], air [degC], wind [m/s],
    rain [mm] (NaN throughout where the file has none)."""

    name: str
    latitude: float
    longitude: float
    altitude: float
    ghi: Floats
    dni: Floats
    dhi: Floats
    air: Floats
    wind: Floats
    rain: Floats


def built_in() -> tuple[Path, ...]:
    """The weather files that pvlib brings along."""
    folder = resources.files("pvlib") / "data"
    return tuple(Path(str(folder / name)) for name in BUILT_IN)


def read(path: Path) -> Year:
    """Read a weather file by its ending and content; ``ValueError`` says what is wrong with it.

    CSV: comment lines ``# latitude=..``, ``# longitude=..``, ``# altitude=..`` (one each or on one line), then columns
    ``time`` (ISO 8601 with offset, beginning of the hour), ``ghi`` and optionally ``dni dhi air_temperature`` [K]
    ``wind_speed rain`` [m].
    """
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise ValueError(f"cannot read the weather file {path.name}: {error.strerror}") from error
    lines = text.splitlines()
    if not lines:
        raise ValueError(f"{path.name} is empty")
    try:
        site, data = _parse(path, lines)
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} is no EPW, TMY3, TM2 or CSV weather file that can be read: {error}") from error
    return _finish(path.stem, site, data)


def _parse(path: Path, lines: list[str]) -> "tuple[Site, Floats]":
    if lines[0].upper().startswith("LOCATION,"):
        return _epw(lines)
    if path.suffix.lower() == ".tm2":
        return _tm2(lines)
    if len(lines) > 1 and "GHI (W/m^2)" in lines[1]:
        return _tmy3(lines)
    return _plain(lines)


Site = tuple[float, float, float, float]  # latitude, longitude, altitude [m], offset of the file's hours from UTC [h]


def _number(text: str, missing: float = 9990.0) -> float:
    try:
        value = float(text)
    except ValueError:
        return np.nan
    return np.nan if abs(value) >= missing else value


def _epw(lines: list[str]) -> tuple[Site, Floats]:
    head = lines[0].split(",")
    site = (float(head[6]), float(head[7]), max(float(head[9]), 0.0), float(head[8]))
    rows = [line.split(",") for line in lines[8:] if line.count(",") >= 21]
    data = np.full((len(rows), 6), np.nan)
    for k, row in enumerate(rows):
        data[k, :5] = [_number(row[c]) for c in (13, 14, 15, 6, 21)]
        data[k, 5] = _number(row[33], 900.0) if len(row) > 33 else np.nan
    return site, data


def _tmy3(lines: list[str]) -> tuple[Site, Floats]:
    head = next(csv.reader(lines[:1]))
    site = (float(head[4]), float(head[5]), float(head[6]), float(head[3]))
    table = csv.DictReader(lines[1:])
    names = ("GHI (W/m^2)", "DNI (W/m^2)", "DHI (W/m^2)", "Dry-bulb (C)", "Wspd (m/s)", "Lprecip depth (mm)")
    data = np.array([[_number(row[name], 9890.0) for name in names] for row in table])
    data[:, 5] *= 0.1  # the files that pvlib brings hold hundredths of an inch in tenths of a millimetre
    return site, data


def _tm2(lines: list[str]) -> tuple[Site, Floats]:
    found = re.search(r"(-?\d+)\s+([NS])\s+(\d+)\s+(\d+)\s+([EW])\s+(\d+)\s+(\d+)\s+(-?\d+)\s*$", lines[0])
    if found is None:
        raise KeyError("its first line names no place")
    zone, north, degree, minute, east, meridian, second, height = found.groups()
    latitude = (float(degree) + float(minute) / 60) * (1 if north == "N" else -1)
    longitude = (float(meridian) + float(second) / 60) * (1 if east == "E" else -1)
    site = (latitude, longitude, float(height), float(zone))
    rows = []
    for line in lines[1:]:
        ghi, dni, dhi = float(line[17:21]), float(line[23:27]), float(line[29:33])
        rows.append([ghi, dni, dhi, float(line[67:71]) / 10, float(line[95:98]) / 10, np.nan])
    return site, np.array(rows)


def _plain(lines: list[str]) -> tuple[Site, Floats]:
    told = dict(
        part.split("=", 1)
        for line in lines
        if line.startswith("#")
        for part in line.strip("# \t").replace(",", " ").split()
        if "=" in part
    )
    site = (float(told["latitude"]), float(told["longitude"]), float(told.get("altitude", "0")), 0.0)
    table = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    names = ("ghi", "dni", "dhi", "air_temperature", "wind_speed", "rain")
    data = np.array([[_number(row.get(name) or "nan", 1e9) for name in names] for row in table])
    when = np.array([np.datetime64(_utc(row["time"])) for row in table], dtype="datetime64[us]").astype(np.int64)
    year = when.astype("datetime64[us]").astype("datetime64[Y]").astype("datetime64[us]").astype(np.int64)
    hour = (when - year) // HOUR
    out = np.full((8760, 6), np.nan)
    for k in range(6):
        known = np.isfinite(data[:, k]) & (hour < 8760)
        count = np.bincount(hour[known], minlength=8760)
        total = np.bincount(hour[known], weights=data[known, k], minlength=8760)
        out[:, k] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    out[:, 3] -= 273.15
    out[:, 5] *= 1000.0
    return site, out


def _utc(text: str) -> str:
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if when.tzinfo is None:
        raise KeyError(f"time {text} has no offset")
    return when.astimezone(UTC).replace(tzinfo=None).isoformat()


def _finish(name: str, site: Site, data: Floats) -> Year:
    """Fill gaps, turn the file's hours to UTC and check them against the sun."""
    latitude, longitude, altitude, offset = site
    if len(data) < 8760:
        raise ValueError(f"{name} holds {len(data)} hours; a year of 8,760 is needed")
    data = data[:8760].copy()
    known = int(np.isfinite(data[:, 0]).sum())
    if known < 8000:
        raise ValueError(f"{name} has global horizontal irradiance for {known} hours; a year is needed")
    for column in range(5):
        data[:, column] = _filled(data[:, column])
    ghi = np.clip(data[:, 0], 0.0, 1400.0)
    # Some files say one zone and mean another: the shift under which the year's irradiance fits the sun best is used.
    top = np.clip(sun_vector(YEAR_START + (np.arange(8760) * HOUR) + HOUR // 2, latitude, longitude)[2], 0, None)
    fits = [float(np.dot(np.roll(ghi, -k), top)) for k in range(-14, 15)]
    turn = int(np.argmax(fits)) - 14
    if abs(turn - round(offset)) <= 1:
        turn = round(offset)
    data = np.roll(data, -turn, axis=0)
    ghi = np.clip(data[:, 0], 0.0, 1400.0)
    dni, dhi = data[:, 1], data[:, 2]
    if not np.isfinite(dni).all() or not np.isfinite(dhi).all():
        dni, dhi = _split(ghi, top)
    air = np.where(np.isfinite(data[:, 3]), data[:, 3], 12.0)
    wind = np.where(np.isfinite(data[:, 4]), data[:, 4], 2.5)
    return Year(
        name, latitude, longitude, altitude, ghi, np.clip(dni, 0, 1200), np.clip(dhi, 0, 900), air, wind, data[:, 5]
    )


def _filled(values: Floats) -> Floats:
    """Gaps take the value of the same hour on the nearest earlier (or else later) day."""
    days = values.reshape(-1, 24).copy()
    for order in (range(1, len(days)), range(len(days) - 2, -1, -1)):
        for k in order:
            near = days[k - 1] if order.step > 0 else days[k + 1]
            days[k] = np.where(np.isnan(days[k]), near, days[k])
    return days.reshape(-1)


def _split(ghi: Floats, top: Floats) -> tuple[Floats, Floats]:
    """DNI and DHI from GHI by Orgill and Hollands (1977); ``top`` is the cosine of the zenith."""
    kt = np.clip(ghi / np.maximum(1361.0 * top, 30.0), 0.0, 1.0)
    part = np.where(kt < 0.35, 1 - 0.249 * kt, np.where(kt < 0.75, 1.557 - 1.84 * kt, 0.177))
    dhi = ghi * part
    return np.where(top > 0.05, (ghi - dhi) / np.maximum(top, 0.05), 0.0), dhi


def sun_vector(instants: NDArray[np.int64], latitude: float, longitude: float) -> tuple[Floats, Floats, Floats]:
    """Unit vector to the sun (east, north, up) by Spencer's (1971) series, good to about 0.3 deg; no refraction."""
    days = (instants - YEAR_START) / (24 * HOUR)
    g = 2 * np.pi * (days % 365.0) / 365.0
    declination = (
        0.006918 - 0.399912 * np.cos(g) + 0.070257 * np.sin(g) - 0.006758 * np.cos(2 * g) + 0.000907 * np.sin(2 * g)
        - 0.002697 * np.cos(3 * g) + 0.00148 * np.sin(3 * g)
    )  # fmt: skip
    equation = 229.18 * (
        0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g) - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
    )
    minutes = (days % 1.0) * 1440 + equation + 4 * longitude
    hour = np.radians(minutes / 4 - 180)
    phi = np.radians(latitude)
    east = -np.cos(declination) * np.sin(hour)
    north = np.sin(declination) * np.cos(phi) - np.cos(declination) * np.sin(phi) * np.cos(hour)
    up = np.sin(declination) * np.sin(phi) + np.cos(declination) * np.cos(phi) * np.cos(hour)
    return east, north, up
