"""Rules of units: each spelling means one SI unit, there and back is the same number, a guess is refused."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.core.properties import PROPERTIES
from civium.sources.units import Unit, as_told, to_si

KNOWN = {
    "degC": ("K", 1, 273.15),
    "°C": ("K", 1, 273.15),
    "Cel": ("K", 1, 273.15),
    "℃": ("K", 1, 273.15),
    "K": ("K", 1, 0),
    "degF": ("K", 5 / 9, 459.67 * 5 / 9),
    "%": ("1", 0.01, 0),
    "ppm": ("1", 1e-6, 0),
    "ppb": ("1", 1e-9, 0),
    "km/h": ("m/s", 1 / 3.6, 0),
    "m/s": ("m/s", 1, 0),
    "m.s-1": ("m/s", 1, 0),
    "m s-1": ("m/s", 1, 0),
    "W/m2": ("W/m^2", 1, 0),
    "W/m^2": ("W/m^2", 1, 0),
    "W.m-2": ("W/m^2", 1, 0),
    "W/m²": ("W/m^2", 1, 0),
    "kW/m**2": ("W/m^2", 1000, 0),
    "J/(m2 s)": ("W/m^2", 1, 0),
    "ug/m3": ("kg/m^3", 1e-9, 0),
    "µg/m³": ("kg/m^3", 1e-9, 0),
    "hPa": ("Pa", 100, 0),
    "mbar": ("Pa", 100, 0),
    "N/m2": ("Pa", 1, 0),
    "mm/h": ("m/s", 1 / 3.6e6, 0),
    "l/m2": ("m", 0.001, 0),
    "kWh": ("J", 3.6e6, 0),
    "Wh/m2": ("J/m^2", 3600, 0),
    "J/s": ("W", 1, 0),
    "kW": ("W", 1000, 0),
    "V.A": ("W", 1, 0),
    "kVA": ("VA", 1000, 0),
    "kvar": ("var", 1000, 0),
    "1": ("1", 1, 0),
    "": ("1", 1, 0),
    "count": ("1", 1, 0),
    "{vehicles}": ("1", 1, 0),
    "veh/h": ("1/s", 1 / 3600, 0),
    "{vehicles}/h": ("1/s", 1 / 3600, 0),
    "dB": ("dB", 1, 0),
    "dBA": ("dB(A)", 1, 0),
    "pH": ("pH", 1, 0),
    "lx": ("lx", 1, 0),
    "klx": ("lx", 1000, 0),
    "lm/m2": ("lx", 1, 0),
    "cd/m2": ("cd/m^2", 1, 0),
    "Hz": ("Hz", 1, 0),
    "deg": ("rad", math.pi / 180, 0),
    "°": ("rad", math.pi / 180, 0),
    "m3/s": ("m^3/s", 1, 0),
    "l/s": ("m^3/s", 0.001, 0),
    "mS/cm": ("S/m", 0.1, 0),
    "uS/cm": ("S/m", 1e-4, 0),
    "W/(m2.K)": ("W/(m^2*K)", 1, 0),
    "EUR/MWh": ("EUR/J", 1 / 3.6e9, 0),
    "mmH2O": ("Pa", 9.80665, 0),
    "mg/L": ("kg/m^3", 0.001, 0),
    "V": ("V", 1, 0),
    "mA": ("A", 0.001, 0),
    "min": ("s", 60, 0),
    "kg/kWh": ("kg/J", 1 / 3.6e6, 0),
    "s": ("s", 1, 0),
}


@pytest.mark.parametrize("symbol", KNOWN)
def test_a_spelling_means_one_si_unit(symbol: str) -> None:
    si_unit, factor, offset = KNOWN[symbol]
    unit = to_si(symbol, "")
    assert unit.si_unit == si_unit
    assert math.isclose(unit.factor, factor, rel_tol=4e-16)
    assert math.isclose(unit.offset, offset, rel_tol=4e-16)


@given(st.sampled_from(sorted(KNOWN)), st.floats(-1e9, 1e9))
@settings(deadline=None)
def test_there_and_back_is_the_same_number_to_12_digits(symbol: str, given: float) -> None:
    unit = to_si(symbol, "")
    back = ((given * unit.factor + unit.offset) - unit.offset) / unit.factor
    assert math.isclose(back, given, rel_tol=1e-12, abs_tol=1e-12 * max(1.0, abs(unit.offset / unit.factor)))


@pytest.mark.parametrize(
    "symbol", sorted({unit for unit, _ in PROPERTIES.values()} | {u for u, _, _ in KNOWN.values()})
)
def test_an_si_unit_is_its_own_si_unit(symbol: str) -> None:
    assert to_si(symbol, "") == Unit(symbol)


@pytest.mark.parametrize(
    ("symbol", "name", "si_unit"),
    [
        (None, None, "1"),
        ("", "degree Celsius", "K"),
        (None, "percent", "1"),
        (None, "meter", "m"),
        ("C", "Centigrade", "K"),
        ("C", "degree Celsius", "K"),
        ("C", "Coulomb", "A*s"),
        ("F", "Fahrenheit", "K"),
        ("lm", "Lumen", "lm"),
    ],
)
def test_the_name_helps_where_the_symbol_does_not_say(symbol: str | None, name: str | None, si_unit: str) -> None:
    assert to_si(symbol, name).si_unit == si_unit


@pytest.mark.parametrize(
    "symbol",
    [
        *("furlongs per fortnight", "C", "F", "c", "e", "PA", "pa", "ton", "xyz", "W/m2 K", "degC/m/", "m//s", "2"),
        *("m^", "m^99", "(m", "m)", "m/2", "()", "/", "\x00", "(" * 60, "a" * 1000, "10**10**10**10", "m**(9**9)"),
        "__import__('os')",
        "m°C",
        "kdegC",
    ],
)
def test_what_would_be_a_guess_is_refused_by_name(symbol: str) -> None:
    with pytest.raises(InputRefused, match="unit"):
        to_si(symbol, "")


def test_a_unit_of_somebodys_own_is_its_own_si_unit_where_the_standard_allows_it() -> None:
    assert as_told("smoots") == Unit("smoots")
    assert as_told(None, "Fahrten je Tag") == Unit("Fahrten je Tag")
    assert as_told(" degC ") == to_si("degC")
    with pytest.raises(InputRefused, match="unknown unit"):
        as_told("smoots" * 11)


@settings(deadline=None)
@given(st.text(max_size=20) | st.text("mskgWJh/*.^()23- °C{}%", max_size=20))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    try:
        unit = to_si(text, "")
    except InputRefused:
        return
    assert unit.factor > 0
    assert to_si(unit.si_unit, "") == Unit(unit.si_unit)
