"""Findings in words: the keys and values of the notices that ``register.toml`` phrases."""

import numpy as np

from civium.core import Notice
from civium.practices.pv_fleet.faults import shade_profile
from civium.practices.pv_fleet.findings import Finding, FleetProfile
from civium.practices.pv_fleet.memory import CLIPPING, CLOCK, KINDS, SENSOR, SHADING, Memory
from civium.practices.pv_fleet.model import Floats
from civium.practices.pv_fleet.neighbours import StationFinding
from civium.practices.pv_fleet.readings import Bools, Plants
from civium.practices.pv_fleet.weather import Weather


def missing_facts(m: Memory, fleet: Plants) -> list[Notice]:
    """Say once which facts a plant lacks."""
    lacks = {
        "position": ~fleet.placed,
        "peak_power_w": np.isnan(fleet.peak),
        "tilt_deg": np.isnan(fleet.tilt),
        "azimuth_deg": np.isnan(fleet.azimuth),
    }
    said = []
    for i in np.flatnonzero(np.any(list(lacks.values()), axis=0) & (m["told"] == 0)):
        missing = ", ".join(name for name, lack in lacks.items() if lack[i])
        values = {"plant": str(fleet.name[i]), "missing": missing}
        said.append(Notice("owner", "info", "facts_missing", values, int(fleet.id[i])))
        m["told"][i] = 1
    return said


def found(m: Memory, fleet: Plants, one: Finding, stake: Floats, profile: FleetProfile) -> list[Notice]:
    """The notices of a finding."""
    said = []
    for i in one.rows:
        name, about = str(fleet.name[i]), int(fleet.id[i])
        if not one.began:
            said.append(Notice("desk", "info", "recovered", {"plant": name, "fault": KINDS[one.kind]}, about))
            continue
        share = float(np.nan_to_num(m["share"][i, one.kind]))
        energy = share * float(stake[i])
        if one.kind == CLIPPING:
            energy = float(m["clipped"][i]) * float(m["nominal"][i]) * 3600.0
        values: dict[str, object] = {"plant": name}
        if one.kind != SHADING:  # a shade shows in a profile of weeks, which does not tell its first day
            values["since"] = str(np.datetime64(int(m["since"][i, one.kind]), "D"))
        if one.kind == CLOCK:
            values["minutes"] = round(float(m["clock"][i]) / 60.0)
        elif one.kind == SENSOR:
            values["sign"] = one.detail
        else:
            values |= {
                "percent": round(100.0 * share),
                "energy": round(energy),
                "kwh_per_day": round(energy / 3.6e6, 1),
            }
        if one.kind == SHADING:
            values["hours"] = _hours(shade_profile(m, np.array([i]), profile)[1][0])
        if one.kind == CLIPPING:
            values["percent"] = round(100.0 * float(m["before"][i, CLIPPING]))
        said.append(Notice("desk", "warning", KINDS[one.kind], values, about))
    return said


def _hours(low: Bools) -> str:
    """First and last half hour of a shade, as solar time."""
    at = np.flatnonzero(low)
    first, last = (4 * 60 + 30 * int(k) for k in (at[0], at[-1] + 1)) if len(at) else (0, 0)
    return f"{first // 60:02d}:{first % 60:02d}-{last // 60:02d}:{last % 60:02d}"


def about_stations(air: Weather, findings: list[StationFinding]) -> list[Notice]:
    """The notices about weather stations."""
    said = []
    for one in findings:
        values: dict[str, object] = {"station": str(air.name[one.row])}
        if one.key == "station_off":
            values["percent"] = one.percent
        severity = "info" if one.key == "station_right" else "warning"
        said.append(Notice("desk", severity, one.key, values, int(air.id[one.row])))
    return said
