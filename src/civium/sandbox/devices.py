"""Describes a town's devices as the lines that register them with the platform."""

from collections.abc import Sequence
from typing import Any

import msgspec

from civium.sandbox.detectors import Detector
from civium.sandbox.emergencies import AMBULANCES, STREAMS, ambulance_key
from civium.sandbox.parking import BAY_SENSORS, CarPark
from civium.sandbox.segments import MEASURES
from civium.sandbox.street_facts import StreetThing, street_key
from civium.sandbox.town import Town

STATION = "station/1"
TERMINALS = "terminals/1"
GUARDED = ("bluetooth_reader", "emergency_vehicle")  # kinds that tell what not everybody may read
UNITS = {"ghi": "W/m^2", "air_temperature": "K", "wind_speed": "m/s"}  # of the weather station
BAY_UNITS = {"bay_taken": "1"}
LAMP_UNITS = {"air_temperature": "degC", "rain_rate": "mm/h"}
STREET_UNITS = {"vehicle_speed": "m/s"}  # of a street with a segment's detector
_DETECTOR_UNITS = {"vehicle_speed": "m/s"}


def registration(town: Town, detectors: list[Detector], streets: Sequence[StreetThing] = ()) -> list[dict[str, Any]]:
    """One line a Thing: signals with their actuator, detectors, PV plants, lamp posts, a weather station, streets."""
    lines = []
    for junction in town.junctions:
        actuators = []
        if junction.controllable:
            actuators = [{"key": signal_key(junction.id), "name": junction.name, "protocol": "mqtt",
                          "facts": junction.actuator_facts()}]  # fmt: skip
        where = _point(junction.lon, junction.lat)
        units = {"signal_phase": "1"}
        lines.append(
            _line(signal_key(junction.id), "signal", junction.name, where, junction.facts(), units)
            | {"actuators": actuators}
        )
    for detector in detectors:
        units = {name: _DETECTOR_UNITS.get(name, "1") for name in detector.measures}
        where = _point(detector.lon, detector.lat)
        lines.append(_line(detector.key, "detector", detector.key, where, detector.facts(), units))
    for plant in town.plants:
        where = _point(plant.longitude, plant.latitude)
        lines.append(_line(plant.key, "pv_plant", f"PV plant {plant.key[3:]}", where, plant.facts(), {"ac_power": "W"}))
    for lamp in town.lamps:
        name = f"Lamp post {lamp.key[5:]}" + (f", {lamp.street}" if lamp.street else "")
        where = _point(lamp.longitude, lamp.latitude)
        lines.append(_line(lamp.key, "lamp_post", name, where, lamp.facts(), LAMP_UNITS))
    lines += [line for park in town.car_parks for line in _parking(park)]
    for sign in town.parking_signs:
        where = _point(sign.longitude, sign.latitude)
        name = f"Parking sign {sign.key.rpartition('/')[2]}"
        actuator = {
            "key": sign.key,
            "name": name,
            "protocol": "mqtt",
            "facts": {"choices": [park.key for park in town.car_parks]},
        }
        lines.append(_line(sign.key, "parking_guide", name, where, {}, {"sign_shows": "1"}) | {"actuators": [actuator]})
    measured = {street_key(segment.edge.id) for segment in town.segments}
    for street in streets:
        units = STREET_UNITS if street.key in measured else {}
        lines.append(_line(street.key, "street", street.name, _point(street.lon, street.lat), street.facts, units))
    for reader in town.readers:
        line = _line(reader.key, "bluetooth_reader", reader.name, _point(reader.lon, reader.lat),
                     {"reader": reader.key}, {"passage": "1"})  # fmt: skip
        line["streams"][0] |= {"access": "restricted", "personal": True}
        lines.append(line)
    lines += [_line(k.key, "road_link", k.name, _way(k.shape), k.facts(), {}) for k in town.links]
    for segment in town.segments:
        where = _point(segment.longitude, segment.latitude)
        lines.append(_line(segment.key, "street_segment", segment.name, where, segment.facts(), MEASURES))
    if town.segments:
        terminals = [{"key": TERMINALS, "name": "Drivers' terminals", "protocol": "mqtt", "facts": {}}]
        where = _point(*town.centre)
        lines.append(
            _line(TERMINALS, "driver_terminals", "Drivers' terminals", where, {}, {}) | {"actuators": terminals}
        )
    lines.append(_line(STATION, "weather_station", "Weather station", _point(*town.centre), {}, UNITS))
    return lines


def _parking(park: CarPark) -> list[dict[str, Any]]:
    """A car park with its counter, and its bays where they have sensors."""
    where = _point(park.longitude, park.latitude)
    lines = [_line(park.key, "car_park", park.name, where, park.facts(), {"parked_vehicles": "1"})]
    if park.capacity <= BAY_SENSORS:
        lines += [
            _line(f"{park.key}/{n}", "parking_bay", f"Bay {n}, {park.name}", where, {"car_park": park.key}, BAY_UNITS)
            for n in range(1, park.capacity + 1)
        ]
    return lines


def ambulances() -> list[dict[str, Any]]:
    """One line an ambulance; not everybody may read where it is and what it is called to."""
    lines = []
    for k in range(AMBULANCES):
        key = ambulance_key(k)
        told = [
            {"key": f"{key}/{name}", "property": name, "unit": unit, "type": kind, "access": "restricted"}
            for name, (unit, kind) in STREAMS.items()
        ]
        lines.append(_line(key, "emergency_vehicle", f"Ambulance {k + 1}", None, {}, {}) | {"streams": told})
    return lines


def json_lines(lines: list[dict[str, Any]]) -> bytes:
    """The body of a registration."""
    return b"\n".join(msgspec.json.encode(line) for line in lines)


def signal_key(signal: str) -> str:
    """Key of a signal's Thing, and of its actuator."""
    return f"signal/{signal}"


def _line(
    key: str, kind: str, name: str, where: dict[str, Any] | None, facts: dict[str, Any], units: dict[str, str]
) -> dict[str, Any]:
    streams = [{"key": f"{key}/{name}", "property": name, "unit": unit} for name, unit in units.items()]
    return {"key": key, "kind": kind, "name": name, "where": where, "facts": facts, "streams": streams}


def _way(shape: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [list(point) for point in shape]}


def _point(longitude: float | None, latitude: float | None) -> dict[str, Any] | None:
    if longitude is None or latitude is None:
        return None
    return {"type": "Point", "coordinates": [round(longitude, 7), round(latitude, 7)]}
