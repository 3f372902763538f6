"""Units at the doors: what a sender calls its unit becomes an SI unit and the line that converts to it.

Symbols are read as SensorThings and UCUM write them (``degC``, ``Cel``, ``W/m2``, ``W.m-2``, ``ug/m3``, ``%``); pint
knows the units, this module knows the spelling. Each SI unit has one spelling here, so that texts can be compared.
Quantities that share a dimension but must not be mixed (``Hz`` and counts per second, ``VA`` and ``W``, ``lx`` and
``cd/m^2``) keep their own unit. Levels and scales without a line to SI (``dB``, ``pH``) pass as they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from civium.core import InputRefused

if TYPE_CHECKING:
    from pint import UnitRegistry


@dataclass(frozen=True, slots=True)
class Unit:
    """``value in si_unit = given * factor + offset``."""

    si_unit: str
    factor: float = 1.0
    offset: float = 0.0


Dimensions = dict[str, int]

_OFFSETS = {
    "degC": Unit("K", 1.0, 273.15),
    "degF": Unit("K", 5 / 9, float(Fraction(45967, 100) * Fraction(5, 9))),
}
# Spellings that pint does not know, or reads as something else.
_SPELLINGS = {
    "°C": "degC", "℃": "degC", "Cel": "degC", "celsius": "degC", "degree_celsius": "degC", "degrees_celsius": "degC",
    "centigrade": "degC", "degree_centigrade": "degC", "°F": "degF", "[degF]": "degF", "fahrenheit": "degF",
    "degree_fahrenheit": "degF", "%": "percent", "%RH": "percent", "% RH": "percent", "[ppm]": "ppm", "[ppb]": "ppb",
    "Far": "degF", "°": "deg", "º": "deg", "[in_i]": "inch", "[ft_i]": "ft", "[mi_i]": "mi", "[kn_i]": "knot",
    "mm[Hg]": "mmHg", "VAr": "var", "kVAr": "kvar", "MVAr": "Mvar", "Ohm": "ohm", "lux": "lx", "lumen": "lm",
    "€": "EUR", "dBA": "dB(A)", "dB[A]": "dB(A)", "[pH]": "pH",
}  # fmt: skip
_LETTER_MEANS = {
    "C": {"celsius": "degC", "centigrade": "degC", "coulomb": "C"},
    "F": {"fahrenheit": "degF", "farad": "F"},
}
_AS_THEY_ARE = frozenset({"dB", "dB(A)", "dBm", "pH", "NTU", "FNU", "PSU"})
# What is counted; UCUM would write {vehicles}.
_COUNTED = frozenset(
    {
        "1", "count", "counts", "number", "#", "unitless", "dimensionless", "none", "ratio", "index", "level", "state",
        "bool", "boolean", "vehicle", "vehicles", "veh", "person", "persons", "people", "pedestrian", "pedestrians",
        "bicycle", "bicycles", "bike", "bikes", "cyclist", "cyclists", "trip", "trips", "unit", "units",
    }
)  # fmt: skip
_OWN: dict[str, Dimensions] = {
    "Hz": {"Hz": 1},
    "Bq": {"Bq": 1},
    "Sv": {"Sv": 1},
    "Gy": {"Gy": 1},
    "VA": {"VA": 1},
    "var": {"var": 1},
    "VAh": {"VA": 1, "s": 1},
    "varh": {"var": 1, "s": 1},
    "lm": {"lm": 1},
    "lx": {"lm": 1, "m": -2},
    "EUR": {"EUR": 1},
    "ppb": {},
}
_OWN_FACTORS = {"VAh": Fraction(3600), "varh": Fraction(3600), "ppb": Fraction(1, 10**9)}
_PREFIXES = {
    "": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12,
}  # fmt: skip
_BASES = {
    "meter": "m", "kilogram": "kg", "second": "s", "ampere": "A", "kelvin": "K", "mole": "mol", "candela": "cd",
    "radian": "rad", "bit": "bit",
}  # fmt: skip
_DERIVED: dict[str, Dimensions] = {
    "N": {"kg": 1, "m": 1, "s": -2},
    "Pa": {"kg": 1, "m": -1, "s": -2},
    "J": {"kg": 1, "m": 2, "s": -2},
    "W": {"kg": 1, "m": 2, "s": -3},
    "W/m": {"kg": 1, "m": 1, "s": -3},
    "W/m^2": {"kg": 1, "s": -3},
    "J/m^2": {"kg": 1, "s": -2},
    "W/(m^2*K)": {"kg": 1, "s": -3, "K": -1},
    "V": {"kg": 1, "m": 2, "s": -3, "A": -1},
    "V/m": {"kg": 1, "m": 1, "s": -3, "A": -1},
    "ohm": {"kg": 1, "m": 2, "s": -3, "A": -2},
    "S": {"kg": -1, "m": -2, "s": 3, "A": 2},
    "S/m": {"kg": -1, "m": -3, "s": 3, "A": 2},
    "H": {"kg": 1, "m": 2, "s": -2, "A": -2},
    "Wb": {"kg": 1, "m": 2, "s": -2, "A": -1},
    "T": {"kg": 1, "s": -2, "A": -1},
    "lx": {"lm": 1, "m": -2},
    "EUR/J": {"EUR": 1, "kg": -1, "m": -2, "s": 2},
    "kg/J": {"m": -2, "s": 2},
}
_NAME_OF = {frozenset(dimensions.items()): name for name, dimensions in _DERIVED.items()}
_ORDER = ("EUR", "bit", "lm", "cd", "VA", "var", "Hz", "Bq", "Sv", "Gy", "rad", "mol", "A", "K", "kg", "m", "s")
# Of one-letter names only these mean one thing: pint also reads c as the speed of light and e as a charge.
_LETTERS = frozenset("mgsAKWJNVFCTHShdtlLB")
# A ton has three sizes, a bare C or F two meanings (resolved by the unit's name, below).
_AMBIGUOUS = frozenset({"ton", "tons", "gal", "cal", "ppt"})
_PINT_PREFIXES = frozenset(
    {"", "nano", "micro", "milli", "centi", "deci", "hecto", "kilo", "mega", "giga", "tera", "kibi", "mebi"}
)
_PLAIN = str.maketrans("²³¹⁻µμ·⋅×−", "231-uu***-")
_TOKEN = re.compile(r"(?P<name>[A-Za-z°Ω_]+(?:\d*[A-Za-z])*)|(?P<number>[+-]?\d{1,2})|(?P<op>[/*.^() ])")
_LONGEST = 64


def to_si(symbol: str | None, name: str | None = "") -> Unit:
    """The SI unit of a unit of measurement, by its symbol, or by its name where the symbol is empty or ambiguous.

    No symbol and no name: without a unit. Raises ``InputRefused`` that names an unknown or ambiguous unit.
    """
    return _to_si((symbol or "").strip(), (name or "").strip())


def as_told(symbol: str | None, name: str | None = "") -> Unit:
    """The same for who may bring units of their own, as the standard allows: one that is not known is its own SI unit.

    Raises ``InputRefused`` where it is longer than 64 characters.
    """
    try:
        return to_si(symbol, name)
    except InputRefused:
        own = (symbol or "").strip() or (name or "").strip()
        if len(own) > _LONGEST:
            raise
        return Unit(own)


@cache
def _registry() -> "UnitRegistry[Fraction]":
    # Imported here: pint takes most of a second, and most commands never meet a unit. Fractions keep factors exact.
    from pint import UnitRegistry

    return UnitRegistry(non_int_type=Fraction, cache_folder=None)


@cache
def _pint_error() -> type[Exception]:
    from pint import PintError

    return PintError


# No `cache` on what strangers send: only units that were understood are kept.
_KNOWN: dict[tuple[str, str], Unit] = {}
_KEPT = 4096


def _to_si(symbol: str, name: str) -> Unit:
    known = _KNOWN.get((symbol, name))
    if known is None:
        known = _read(symbol, name)
        if len(_KNOWN) < _KEPT:
            _KNOWN[symbol, name] = known
    return known


def _read(symbol: str, name: str) -> Unit:
    text = symbol or re.sub(r"\s+", "_", name.lower())
    if symbol in ("C", "F"):
        text = _letter(symbol, name)
    if len(text) > _LONGEST:
        raise InputRefused(f"unknown unit '{text[:_LONGEST]}...'")
    text = re.sub(r"\{[^{}]*\}", "1", text.translate(_PLAIN).replace("**", "^")).strip()
    text = _SPELLINGS.get(text, text)
    if not text or text == "-" or text.lower() in _COUNTED:
        return Unit("1")
    if text in _OFFSETS:
        return _OFFSETS[text]
    if text in _AS_THEY_ARE:
        return Unit(text)
    try:
        factor, dimensions = _Product(text).read()
    except _Unknown as unknown:
        where = "" if str(unknown) == symbol else f" ('{unknown}')"
        raise InputRefused(f"unknown unit '{symbol or name}'{where}") from None
    return Unit(_canonical(dimensions), float(factor))


def _letter(symbol: str, name: str) -> str:
    """C is Celsius or coulomb, F is Fahrenheit or farad: the name must say which."""
    meanings = {
        "C": {"celsius": "degC", "centigrade": "degC", "coulomb": "C"},
        "F": {"fahrenheit": "degF", "farad": "F"},
    }
    for word, meaning in meanings[symbol].items():
        if word in name.lower():
            return meaning
    words = " or ".join(dict.fromkeys(meanings[symbol]))
    raise InputRefused(f"unit '{symbol}' is ambiguous: its name must say {words}")


def _canonical(dimensions: Dimensions) -> str:
    named = _NAME_OF.get(frozenset(dimensions.items()))
    if named:
        return named

    def product(sign: int) -> list[str]:
        powers = ((base, sign * dimensions[base]) for base in _ORDER if sign * dimensions.get(base, 0) > 0)
        return [base if power == 1 else f"{base}^{power}" for base, power in powers]

    above, below = product(1), product(-1)
    over = "*".join(above) or "1"
    if not below:
        return over
    return f"{over}/{below[0]}" if len(below) == 1 else f"{over}/({'*'.join(below)})"


class _Unknown(Exception):
    """A part of the text that is no unit."""


class _Product:
    """Reads ``kg.m2/(s3 K)``: products and quotients of powers of names, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text))
        self._at = 0

    def read(self) -> tuple[Fraction, Dimensions]:
        result = self._product()
        if self._at < len(self._tokens):
            raise _Unknown(self._text)
        return result[0], {base: power for base, power in result[1].items() if power}

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _Unknown(text[at:])
            kind = match.lastgroup
            assert kind is not None
            yield kind, match.group()
            at = match.end()

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _product(self) -> tuple[Fraction, Dimensions]:
        factor, dimensions = self._power()
        divided = False
        while self._peek()[1] in ("/", "*", ".", " ") and self._peek()[0] == "op":
            operator = self._take()[1]
            if operator == " " and divided:
                raise _Unknown(f"{self._text}: write brackets to say what is divided")
            divided |= operator == "/"
            sign = -1 if operator == "/" else 1
            more, powers = self._power()
            factor *= more**sign
            for base, power in powers.items():
                dimensions[base] = dimensions.get(base, 0) + sign * power
        return factor, dimensions

    def _power(self) -> tuple[Fraction, Dimensions]:
        kind, text = self._take()
        if kind == "name":
            factor, dimensions = _lookup(text)
        elif text == "1":
            factor, dimensions = Fraction(1), {}
        elif text == "(":
            factor, dimensions = self._product()
            if self._take()[1] != ")":
                raise _Unknown(self._text)
        else:
            raise _Unknown(text or self._text)
        hat = self._peek()[1] == "^"
        if hat:
            self._at += 1
        if self._peek()[0] == "number":
            power = int(self._take()[1])
            if abs(power) > 9 or text == "1":
                raise _Unknown(self._text)
            return factor**power, {base: power * own for base, own in dimensions.items()}
        if hat:
            raise _Unknown(self._text)
        return factor, dict(dimensions)


def _lookup(name: str) -> tuple[Fraction, Dimensions]:
    """Factor and SI dimensions of one unit's name."""
    name = _SPELLINGS.get(name, name)
    if name.lower() in _COUNTED:
        return Fraction(1), {}
    for own, dimensions in _OWN.items():
        prefix = name.removesuffix(own)
        if name.endswith(own) and prefix in _PREFIXES:
            return Fraction(10) ** _PREFIXES[prefix] * _OWN_FACTORS.get(own, 1), dimensions
    if name in _AMBIGUOUS or (len(name) == 1 and name not in _LETTERS):
        raise _Unknown(name)
    registry = _registry()
    try:
        if not any(prefix in _PINT_PREFIXES for prefix, _, _ in registry.parse_unit_name(name)):
            raise _Unknown(name)
        factor, base = registry.get_base_units(name, check_nonmult=False)
    except _pint_error():  # such as a thousandth of a degree Celsius, which has an offset
        raise _Unknown(name) from None
    powers: dict[str, Any] = dict(base._units)
    powers.pop("count", None)
    if any(unit not in _BASES or Fraction(power).denominator != 1 for unit, power in powers.items()):
        raise _Unknown(name)
    return Fraction(str(factor)), {_BASES[unit]: int(power) for unit, power in powers.items()}
