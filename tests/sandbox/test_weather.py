"""The sun stands where it stands, clouds move, and plants deliver what sun, clouds and their faults allow."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pvlib
import pytest

from civium.sandbox.sun import HEALTHY, SHADING, SOILING, STRING, Plant, place_plants, power
from civium.sandbox.weather import Weather, clear_sky, sun_position

from .conftest import Ground, hours

HELSINKI = (24.94, 60.17)
HERE = np.zeros((1, 2))


@pytest.mark.parametrize(("longitude", "latitude"), [HELSINKI, (-51.2, -30.0), (0.0, 0.0)])
def test_the_sun_stands_where_pvlib_sees_it(longitude: float, latitude: float) -> None:
    times = pd.date_range("2026-01-01", "2026-12-31", periods=200, tz="UTC")
    seen = pvlib.solarposition.get_solarposition(times, latitude, longitude)
    for time, elevation, azimuth in zip(times, seen.elevation, seen.azimuth, strict=True):
        ours = np.degrees(sun_position(int(time.timestamp() * 1e6), longitude, latitude))
        assert ours[0] == pytest.approx(elevation, abs=0.05)
        if elevation < 80:
            assert abs((ours[1] - azimuth + 180) % 360 - 180) < 0.15


def test_a_clear_noon_is_within_a_tenth_of_another_model() -> None:
    noon = pd.Timestamp("2026-06-10T10:20Z")
    other = pvlib.location.Location(*HELSINKI[::-1]).get_clearsky(pd.DatetimeIndex([noon])).iloc[0]
    instant = int(noon.timestamp() * 1e6)
    elevation, _ = sun_position(instant, *HELSINKI)
    direct, diffuse = clear_sky(instant, elevation)
    assert direct * np.sin(elevation) + diffuse == pytest.approx(other.ghi, rel=0.1)


def test_weather_is_the_same_for_the_same_seed_whenever_it_is_asked() -> None:
    one, other = Weather(1, *HELSINKI), Weather(1, *HELSINKI)
    one.ghi(hours(9), HERE)
    assert one.ghi(hours(10), HERE) == other.ghi(hours(10), HERE)
    days = [hours(10 + 24 * d) for d in range(10)]
    assert [one.ghi(t, HERE) for t in days] != [Weather(2, *HELSINKI).ghi(t, HERE) for t in days]


def test_neighbours_share_a_cloud_and_strangers_do_not() -> None:
    weather = Weather(1, *HELSINKI)
    spots = np.array([[0.0, 0.0], [60.0, 0.0], [9000.0, 9000.0]])
    series = np.array([weather.irradiance(hours(10) + k * 20_000_000, spots)[0] for k in range(2000)])
    together = np.corrcoef(series.T)
    assert together[0, 1] > 0.9
    assert together[0, 2] < 0.6


def test_ghi_lies_between_darkness_and_the_clear_sky_and_clouds_matter() -> None:
    weather = Weather(3, *HELSINKI)
    shares = []
    for k in range(24 * 30):
        instant = hours(k)
        elevation, _ = weather.sun(instant)
        direct, diffuse = clear_sky(instant, elevation)
        clear = direct * np.sin(max(elevation, 0)) + diffuse
        ghi = weather.ghi(instant, HERE)[0]
        assert 0 <= ghi <= 1.3 * clear
        if elevation > 0.3:
            shares.append(ghi / clear)
    assert min(shares) < 0.5
    assert max(shares) > 0.95


def test_rain_falls_at_times_and_temperature_is_that_of_a_june() -> None:
    weather = Weather(1, *HELSINKI)
    rain = np.array([weather.rain(hours(k), HERE)[0] for k in range(24 * 60)])
    warmth = np.array([weather.temperature(hours(k), HERE)[0] for k in range(24 * 10)])
    assert (rain >= 0).all()
    assert 0.005 < (rain > 0).mean() < 0.4
    assert rain.max() < 50 / 1000 / 3600
    assert 275 < warmth.min() < warmth.max() < 305


def plants_of(ground: Callable[[str], Ground]) -> list[Plant]:
    town = ground("helsinki")
    return place_plants(town.places, town.streets, 1)


def test_power_is_never_negative_and_zero_at_night(ground: Callable[[str], Ground]) -> None:
    plants = plants_of(ground)
    weather = Weather(1, *HELSINKI)
    nights = 0
    for k in range(96):
        delivered = power(plants, weather, hours(k / 2))
        assert (delivered >= 0).all()
        assert (delivered <= [p.inverter_ac_w for p in plants]).all()
        if weather.sun(hours(k / 2))[0] <= 0:
            nights += 1
            assert (delivered == 0).all()
    assert nights > 5
    assert power(plants, weather, hours(10)).sum() > 0


def test_a_fault_costs_energy_and_health_costs_none(ground: Callable[[str], Ground]) -> None:
    plants = [p for seed in range(6) for p in _seeded(ground, seed)]
    weather = Weather(1, *HELSINKI)
    times = [hours(k / 2) for k in range(5, 40)]
    with_faults = sum(power(plants, weather, t) for t in times)
    without = sum(power(plants, weather, t, healthy=True) for t in times)
    lost = 1 - with_faults / without
    kinds = np.array([p.fault for p in plants])
    assert (lost[kinds == HEALTHY] == 0).all()
    assert (lost[kinds == STRING] > 0.15).all()
    assert (lost[kinds == SOILING] > 0.07).all()
    assert (lost[kinds == SHADING] >= 0).all()
    assert lost[kinds == SHADING].max() > 0.02
    assert 0.1 < (kinds != HEALTHY).mean() < 0.35


def _seeded(ground: Callable[[str], Ground], seed: int) -> list[Plant]:
    town = ground("helsinki")
    return place_plants(town.places, town.streets, seed)
