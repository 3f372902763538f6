"""The physics against pvlib's own functions, and what happens where pvlib is missing."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pvlib import inverter as pvlib_inverter
from pvlib import irradiance, solarposition

from civium.core.extras import ExtraMissing
from civium.practices.pv_fleet import model
from civium.practices.pv_fleet.model import Sky, Sun, basis, complete, days_of_year, normal, plane, suns

JUNE = 1_687_348_800_000_000  # 2023-06-21T12:00Z [us]


@given(
    tilt=st.floats(0, 89),
    azimuth=st.floats(0, 359),
    height=st.floats(5, 85),
    bearing=st.floats(0, 359),
    dni=st.floats(0, 900),
    dhi=st.floats(0, 400),
)
@settings(max_examples=60, deadline=None)
def test_the_scalar_product_is_the_transposition_of_hay_and_davies(
    tilt: float, azimuth: float, height: float, bearing: float, dni: float, dhi: float
) -> None:
    up = np.sin(np.radians(height))
    ghi = dni * up + dhi
    theirs = irradiance.get_total_irradiance(
        tilt, azimuth, 90 - height, bearing, dni, ghi, dhi, dni_extra=1361.0, albedo=0.25, model="haydavies"
    )
    cell = np.array([[1.0]])
    sky = Sky(
        Sun(cell * up, cell * np.radians(bearing), cell * 1361.0),
        cell * ghi,
        cell * dni,
        cell * dhi,
        cell * 20,
        cell * 1e6,
    )
    theta = plane(np.array([tilt]), np.array([azimuth]), np.array([0.25]))
    kept = np.linalg.norm(theta[0, :3])
    terms = basis(sky, theta, np.array([0.0]))[0, 0]
    cosine = float(Sun(cell * up, cell * np.radians(bearing), cell).vector[0, 0] @ normal(theta)[0])
    beam_loss = 1.0 if cosine <= 0 else float(1 - 0.05 * (1 / max(cosine, 1e-9) - 1))
    beam = float(terms[:3] @ theta[0, :3])
    rest = float(terms[3:] @ theta[0, 3:])
    whole = (beam / max(beam_loss, 1e-9) if beam_loss > 0.01 else beam) + rest
    if cosine > 0.1 or cosine <= 0:
        assert whole * 1000 / kept == pytest.approx(float(theirs["poa_global"]), rel=1e-6, abs=1e-6)


def test_many_places_at_once_have_the_sun_that_each_has_alone() -> None:
    times = JUNE + np.arange(0, 24, dtype=np.int64) * 3_600_000_000
    places = np.array([60.2, -33.9, 0.0]), np.array([24.9, 151.2, -78.5]), np.array([20.0, 0.0, 2800.0])
    found = suns(times, *places)
    import pandas as pd

    index = pd.to_datetime(times, unit="us", utc=True)
    for k in range(3):
        alone = solarposition.get_solarposition(index, places[0][k], places[1][k], altitude=places[2][k])
        assert np.degrees(np.arccos(found.cosine[k])) == pytest.approx(alone["apparent_zenith"].to_numpy(), abs=0.6)


@given(ghi=st.floats(0, 1100), cosine=st.floats(-1, 1))
@settings(max_examples=60, deadline=None)
def test_what_is_not_measured_is_split_so_that_it_adds_up(ghi: float, cosine: float) -> None:
    one = np.array([[ghi]]), np.array([[np.nan]]), np.array([[np.nan]]), np.array([[cosine]]), np.array([[1361.0]])
    dni, dhi = complete(*one, np.array([172]))
    assert dni[0, 0] >= 0
    assert dhi[0, 0] >= -1e-9
    if cosine > 0.1:
        assert dni[0, 0] * cosine + dhi[0, 0] == pytest.approx(ghi, abs=1e-6)


def test_parts_that_contradict_each_other_are_not_used() -> None:
    one = np.array([[800.0]]), np.array([[100.0]]), np.array([[50.0]]), np.array([[0.8]]), np.array([[1361.0]])
    dni, _ = complete(*one, np.array([172]))
    assert dni[0, 0] > 300.0


def test_the_inverter_is_that_of_pvwatts_and_never_above_its_rating() -> None:
    dc = np.linspace(0, 1.5, 40)[None, :]
    ours = model.inverter(dc, np.array([0.9]))
    assert ours[0] == pytest.approx(pvlib_inverter.pvwatts(dc[0], 0.9 / 0.96), abs=1e-12)
    assert ours.max() <= 0.9 + 1e-12


def test_the_day_of_the_year_counts_from_one() -> None:
    assert days_of_year(np.array([1_672_531_200_000_000, JUNE])).tolist() == [1, 172]


def test_where_pvlib_is_missing_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pvlib", None)
    for name in [n for n in sys.modules if n.startswith("pvlib.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[energy\]"'):
        model.pvlib("irradiance")
