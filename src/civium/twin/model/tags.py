"""Reads the values that people type into OpenStreetMap tags: speeds, lanes, lengths, levels, counts, directions.

Every parser returns None for what it cannot read without a guess; the caller then falls back and marks the value so.
Meaning of the tags: https://wiki.openstreetmap.org/wiki/Key:maxspeed, Key:lanes, Key:height, Key:oneway.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

Tags = Mapping[str, str]

KMH = 1 / 3.6
MPH = 0.44704
KNOT = 1852 / 3600
FOOT = 0.3048
INCH = 0.0254

WALKING_SPEED = 5 * KMH
"""What ``maxspeed=walk`` allows [m/s]."""

FASTEST = 140 * KMH
"""No road for the public is signed faster [m/s] (Poland's and Bulgaria's motorways); above, a tag is a typing error."""

TALLEST = 1000.0
"""A height above this [m] is a typing error (the tallest building stands 828 m high)."""

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_SPEED = re.compile(rf"^{_NUMBER}\s*(km/?h|kmph|kph|mph|knots?|kn)?$")
_METRIC = re.compile(rf"^{_NUMBER}\s*(mm|cm|dm|m|metres?|meters?|km|mi|ft|feet|foot|in|inch|inches)?\.?$")
_FEET_INCHES = re.compile(rf"^{_NUMBER}\s*(?:'|ft|feet|foot)(?:\s*{_NUMBER}\s*(?:\"|''|in|inch|inches)?)?$")
_INCHES = re.compile(rf"^{_NUMBER}\s*\"$")
_ZONE = re.compile(r"(?:^|:)zone:?\s*(\d+)$")
_COUNTRY_NUMBER = re.compile(r"^[a-z]{2}(?:-[a-z]+)?:(\d+)$")
_COUNTRY_TYPE = re.compile(r"^([a-z]{2})(?:-[a-z]+)?:([a-z_]+)$")

_SPEED_UNITS = {"mph": MPH, "knot": KNOT, "knots": KNOT, "kn": KNOT}
_LENGTH_UNITS = {
    "mm": 0.001,
    "cm": 0.01,
    "dm": 0.1,
    "km": 1000.0,
    "mi": 1609.344,
    "ft": FOOT,
    "feet": FOOT,
    "foot": FOOT,
    "in": INCH,
    "inch": INCH,
    "inches": INCH,
}

# Statutory limits [km/h] behind values such as "RO:urban" (wiki: Default speed limits, passenger cars). The first
# table is what most of the world does; the second names the countries that differ.
_STATUTORY: dict[str, float] = {
    "urban": 50,
    "rural": 90,
    "trunk": 100,
    "motorway": 120,
    "living_street": 20,
    "bicycle_road": 30,
    "school": 30,
    "walk": 5,
}
_STATUTORY_BY_COUNTRY: dict[tuple[str, str], float] = {
    ("at", "rural"): 100,
    ("at", "motorway"): 130,
    ("be", "rural"): 70,
    ("ch", "rural"): 80,
    ("cz", "motorway"): 130,
    ("de", "rural"): 100,
    ("de", "living_street"): 7,
    ("dk", "rural"): 80,
    ("dk", "motorway"): 130,
    ("es", "rural"): 90,
    ("fi", "rural"): 80,
    ("fr", "rural"): 80,
    ("fr", "motorway"): 130,
    ("gb", "nsl_restricted"): 30 * 1.609344,
    ("gb", "nsl_single"): 60 * 1.609344,
    ("gb", "nsl_dual"): 70 * 1.609344,
    ("gb", "motorway"): 70 * 1.609344,
    ("hu", "motorway"): 130,
    ("it", "motorway"): 130,
    ("nl", "rural"): 80,
    ("nl", "living_street"): 15,
    ("nl", "motorway"): 100,
    ("no", "rural"): 80,
    ("pl", "motorway"): 140,
    ("pt", "rural"): 90,
    ("ro", "motorway"): 130,
    ("ru", "urban"): 60,
    ("ru", "motorway"): 110,
    ("se", "rural"): 70,
    ("se", "motorway"): 110,
    ("si", "motorway"): 130,
    ("ua", "motorway"): 130,
    ("us", "urban"): 25 * 1.609344,
    ("us", "rural"): 55 * 1.609344,
}


def _decimal(text: str) -> float:
    return float(text.replace(",", "."))


def _parts(text: str) -> list[str]:
    """The members of a semicolon list, lower case, without blanks around them."""
    return [part.strip().lower() for part in text.split(";") if part.strip()]


def _one_speed(text: str) -> float | None:
    if match := _SPEED.match(text):
        speed = _decimal(match[1]) * _SPEED_UNITS.get(match[2] or "", KMH)
    elif text == "walk":
        speed = WALKING_SPEED
    elif match := _ZONE.search(text) or _COUNTRY_NUMBER.match(text):
        speed = float(match[1]) * (MPH if text.startswith(("gb:", "us:")) else KMH)
    elif match := _COUNTRY_TYPE.match(text):
        limit = _STATUTORY_BY_COUNTRY.get((match[1], match[2]), _STATUTORY.get(match[2]))
        if limit is None:
            return None
        speed = limit * KMH
    else:
        return None
    return speed if 0 < speed <= FASTEST + 1e-9 else None


@lru_cache(maxsize=4096)  # a town has a few dozen different texts on ten thousand ways
def parse_speed(text: str) -> float | None:
    """A speed limit [m/s], or None.

    Reads numbers in km/h, mph and knots, ``walk``, zones (``DE:zone:30``) and statutory limits (``RO:urban``). Of a
    list (``50;30``) the lowest counts; one unreadable member makes the whole unreadable. ``none``, ``signals`` and
    ``variable`` name no figure and give None.
    """
    speeds = [_one_speed(part) for part in _parts(text)]
    known = [speed for speed in speeds if speed is not None]
    return min(known) if known and len(known) == len(speeds) else None


def parse_lanes(text: str) -> int | None:
    """A number of lanes (1 to 20), or None. Of ``2;3`` the lowest counts; ``1.5`` (a narrow two) is 1."""
    counts = []
    for part in _parts(text):
        if not re.fullmatch(r"\d+(\.\d+)?", part):
            return None
        counts.append(int(float(part)))
    return min(counts) if counts and min(counts) >= 1 and max(counts) <= 20 else None


def parse_length(text: str) -> float | None:
    """A length or height [m] from ``12``, ``12 m``, ``12,5``, ``40'``, ``40 ft``, ``5'6"``, ``0.5 km``, or None."""
    plain = text.strip().lower().replace("′", "'").replace("’", "'").replace("″", '"').replace("”", '"')
    if match := _METRIC.match(plain):
        return _decimal(match[1]) * _LENGTH_UNITS.get(match[2] or "", 1.0)
    if match := _FEET_INCHES.match(plain):
        return _decimal(match[1]) * FOOT + (_decimal(match[2]) * INCH if match[2] else 0.0)
    if match := _INCHES.match(plain):
        return _decimal(match[1]) * INCH
    return None


def parse_height(text: str) -> float | None:
    """The height of something that stands [m]: a length above 0 and below the tallest building, or None."""
    height = parse_length(text)
    return height if height is not None and 0 < height <= TALLEST else None


def parse_levels(text: str) -> float | None:
    """Floors above the ground (0 to 200, halves allowed; the highest of a list), or None."""
    counts = []
    for part in _parts(text):
        if not re.fullmatch(r"\d+([.,]\d+)?", part):
            return None
        counts.append(_decimal(part))
    return max(counts) if counts and max(counts) <= 200 else None


def parse_count(text: str) -> int | None:
    """A whole number of things (a capacity), or None. Thousands may be set apart by blanks."""
    plain = text.strip().replace(" ", "")
    return int(plain) if re.fullmatch(r"\d{1,6}", plain) else None


def parse_flag(text: str | None) -> bool:
    """Whether a tag says yes: anything but absence and the words for no."""
    return text is not None and text.strip().lower() not in {"", "no", "false", "0", "none"}


Direction = Literal["both", "forward", "backward"]


def parse_oneway(tags: Tags) -> Direction:
    """In which direction of its nodes vehicles may use a way.

    Roundabouts and motorways are one-way unless ``oneway=no`` says otherwise. ``reversible`` and ``alternating``
    streets change direction with time: both directions exist.
    """
    text = tags.get("oneway", "").strip().lower()
    if text in {"yes", "true", "1"}:
        return "forward"
    if text in {"-1", "reverse"}:
        return "backward"
    if text in {"no", "false", "0", "reversible", "alternating"}:
        return "both"
    implied = tags.get("junction") in {"roundabout", "circular"} or tags.get("highway") in {"motorway", "motorway_link"}
    return "forward" if implied else "both"


def text_of(tags: Tags, *keys: str) -> str | None:
    """The first of the tags that is present and not blank."""
    for key in keys:
        value = tags.get(key, "").strip()
        if value:
            return value
    return None


def round_half_up(value: float) -> int:
    """The nearest whole number, halves upward (Python's own rounding sends 2.5 to 2)."""
    return math.floor(value + 0.5)
