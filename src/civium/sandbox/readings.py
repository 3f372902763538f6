"""What the devices of a town read, when, and through which door it leaves.

Detectors every 5 s as a SensorThings dataArray; signal heads every 5 s and at each change, plants, car parks and the
weather station every minute, as Arrow; Bluetooth readers every 5 s as JSON to their source; lamp posts one after the
other, each every five minutes, over MQTT.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from civium.core import MICROSECONDS
from civium.sandbox.detectors import read_detectors
from civium.sandbox.devices import BAY_UNITS, LAMP_UNITS, STATION, STREET_UNITS, UNITS, signal_key
from civium.sandbox.gateway import HttpGateway
from civium.sandbox.lamps import measure
from civium.sandbox.mqtt import MqttGateway
from civium.sandbox.parking import NOBODY, Parking
from civium.sandbox.readers import Listening
from civium.sandbox.segments import SAMPLE_S, SegmentDetectors
from civium.sandbox.street_facts import street_key
from civium.sandbox.sun import power
from civium.sandbox.town import Town
from civium.sandbox.traffic import Traffic
from civium.sandbox.weather import Floats

DETECTORS_EVERY_S = 5
PLANTS_EVERY_S = 60
LAMPS_EVERY_S = 300
BACKLOG_S = 86_400
_METER_ERROR = 0.01  # of a plant's meter, standard deviation
_PYRANOMETER_ERROR = 0.02


class Readings:
    """The streams of a town's devices, by the ids that the platform gave them."""

    def __init__(
        self, town: Town, traffic: Traffic, parking: Parking, streams: Mapping[str, int], token: str = ""
    ) -> None:
        """``token`` is for the source that takes in what Bluetooth readers hear."""
        self._token = token
        self._listening = Listening(town.readers, town.streets, town.demand.seed)
        self._answers: list[dict[str, str]] = []
        self._town = town
        self._traffic = traffic
        self._parking = parking
        self._detector = {
            measured: np.array([streams.get(f"{d.key}/{measured}", 0) for d in traffic.detectors], dtype=np.int64)
            for measured in {m for d in traffic.detectors for m in d.measures}
        }
        self._phase = {j.id: streams[f"{signal_key(j.id)}/signal_phase"] for j in town.junctions}
        self._plant = np.array([streams[f"{p.key}/ac_power"] for p in town.plants], dtype=np.int64)
        self._station = np.array([streams[f"{STATION}/{name}"] for name in UNITS], dtype=np.int64)
        self._lamp = [[streams[f"{lamp.key}/{name}"] for name in LAMP_UNITS] for lamp in town.lamps]
        self._park = np.array([streams[f"{park.key}/parked_vehicles"] for park in town.car_parks], dtype=np.int64)
        with_bays = [park for park in town.car_parks[parking.bay_park :][:1] if parking.bay_park != NOBODY]
        (bay_property,) = BAY_UNITS
        self._bay = np.array(
            [streams[f"{park.key}/{n}/{bay_property}"] for park in with_bays for n in range(1, park.capacity + 1)],
            dtype=np.int64,
        )
        self._segments = SegmentDetectors(town.segments, traffic.sim)
        self._speed, self._flow = (
            np.array([streams[f"{segment.key}/{name}"] for segment in town.segments], dtype=np.int64)
            for name in ("vehicle_speed", "vehicle_flow")
        )
        (speed,) = STREET_UNITS
        self._street = np.array(  # 0 where no emergency vehicle may drive
            [streams.get(f"{street_key(segment.edge.id)}/{speed}", 0) for segment in town.segments], dtype=np.int64
        )
        self._sign = np.array([streams[f"{sign.key}/sign_shows"] for sign in town.parking_signs], dtype=np.int64)
        self._here = np.zeros((1, 2)) if not len(town.places.xy) else town.places.xy.mean(axis=0, keepdims=True)

    def leave(self, changed: Sequence[str], http: HttpGateway, mqtt: MqttGateway) -> None:
        """Hands over all that is due at the present second; ``changed`` are signals whose lamps changed in it."""
        second, now = self._traffic.second, self._traffic.now
        due = second % DETECTORS_EVERY_S == 0
        if due:
            self._detectors(now, http)
        self._answers += self._listening.listen(self._traffic.sim, second, now)
        if due:
            http.put_passages(self._answers, self._token)
            self._answers = []
        self._signals(now, self._traffic.heads if due else changed, http)
        if second % SAMPLE_S == 0:
            self._segments.sample()
        if second % PLANTS_EVERY_S == 0:
            http.put_arrow(self._plant, self.plants(now), now)
            http.put_arrow(self._station, self.station(now), now)
            self._places(now, http)
            self._streets(now, http)
        for number in range(second * 7 % LAMPS_EVERY_S, len(self._lamp), LAMPS_EVERY_S):
            warmth, rain = measure([self._town.lamps[number]], self._town.weather, now)
            for stream, value in zip(self._lamp[number], (*warmth, *rain), strict=True):
                mqtt.put(stream, float(value), now)

    def backlog(self, http: HttpGateway) -> None:
        """Hands over what the loggers of plants and station kept on the day before the town began."""
        # Up to the start itself: the first reading of the run is the one of the minute after it.
        last = self._traffic.now - self._traffic.second % PLANTS_EVERY_S * MICROSECONDS
        before = last + np.arange(PLANTS_EVERY_S - BACKLOG_S, 1, PLANTS_EVERY_S) * MICROSECONDS
        for streams, read in ((self._plant, self.plants), (self._station, self.station)):
            values = np.concatenate([read(int(instant)) for instant in before])
            http.put_arrow(np.tile(streams, len(before)), values, np.repeat(before, len(streams)))

    def _detectors(self, now: int, http: HttpGateway) -> None:
        if not self._traffic.detectors:
            return
        columns = read_detectors(self._traffic.sim, self._traffic.detectors)
        streams = np.concatenate([self._detector[name][column.detector] for name, column in columns.items()])
        values = np.concatenate([column.value for column in columns.values()])
        known = np.isfinite(values) & (streams > 0)
        http.put_array(streams[known], values[known], now)

    def _signals(self, now: int, signals: Sequence[str] | Mapping[str, Any], http: HttpGateway) -> None:
        shown = [self._traffic.heads[key].reading(now) for key in signals]
        streams = np.array([self._phase[r.signal] for r in shown], dtype=np.int64)
        http.put_arrow(streams, np.array([float(r.stage) for r in shown]), now, [r.parent for r in shown])

    def _streets(self, now: int, http: HttpGateway) -> None:
        speed, flow = self._segments.take()
        streams = np.concatenate([self._speed, self._flow, self._street])
        values = np.concatenate([speed, flow, speed])
        known = np.isfinite(values) & (streams > 0)
        http.put_arrow(streams[known], values[known], now)

    def _places(self, now: int, http: HttpGateway) -> None:
        parking = self._parking
        streams = np.concatenate([self._park, self._bay])
        http.put_arrow(streams, np.concatenate([parking.count, parking.bays]).astype(np.float64), now)
        shown = [parking.shown(sign, now) for sign in range(len(self._sign))]
        http.put_arrow(self._sign, np.array([float(park) for park, _ in shown]), now, [whose for _, whose in shown])

    def plants(self, now: int) -> Floats:
        """Power [W] as the plants' meters tell it: never negative, zero at night."""
        delivered = power(self._town.plants, self._town.weather, now)
        rng = np.random.default_rng([self._town.demand.seed, now // 1_000_000, 1])
        metered: Floats = np.round(delivered * np.clip(rng.normal(1.0, _METER_ERROR, len(delivered)), 0.9, 1.1))
        return metered

    def station(self, now: int) -> Floats:
        """Global irradiance [W/m^2], air temperature [K] and wind speed [m/s] at the weather station."""
        weather = self._town.weather
        rng = np.random.default_rng([self._town.demand.seed, now // 1_000_000, 2])
        ghi = float(weather.ghi(now, self._here)[0]) * (1 + _PYRANOMETER_ERROR * float(rng.standard_normal()))
        warmth = float(weather.temperature(now, self._here)[0]) + 0.1 * float(rng.standard_normal())
        return np.round([max(ghi, 0.0), warmth, float(weather.wind(now, self._here)[0])], 2)
