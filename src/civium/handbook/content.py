"""What the handbook says, in one language: headings, sentences, tables and advice, for page and paper alike."""

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from civium import __version__
from civium.core import to_datetime
from civium.handbook import plots
from civium.handbook.figures import Figures, Given, slow_links, top_flows
from civium.practices.travel_time.emission import CLASSES, POLLUTANTS
from civium.practices.travel_time.params import TravelTimeParams

LANGUAGES = ("en", "zh-Hans")
_MOST_LINKS, _MOST_FLOWS, _MOST_ADVICE = 12, 10, 5
_SHORT_KM = 1.0
_PEAK = 1 / 3  # share of the loss that one hour must have to be named


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what is said, a drawing (matplotlib), a table (first row: headings), and points."""

    title: str
    text: str
    drawing: Any = None
    table: tuple[tuple[str, ...], ...] = ()
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """The whole handbook in one language."""

    language: str
    title: str
    subtitle: str
    period: str
    keys: tuple[tuple[str, str], ...]  # figure and what it is
    sections: tuple[Section, ...]
    page: str


def words_of(language: str) -> dict[str, str]:
    """The catalogue of a language."""
    told: dict[str, str] = json.loads(files("civium.handbook").joinpath("words", f"{language}.json").read_text("utf-8"))
    return told


def content_of(given: Given, figures: Figures, zone: str, params: TravelTimeParams, language: str) -> Content:
    """All that is said; the drawings are made in ``plots.style()``."""
    words = words_of(language)
    emitted = {p: float(figures.emitted[p].sum()) for p in POLLUTANTS}
    extra = {p: emitted[p] - float(figures.at_free[p].sum()) for p in POLLUTANTS}
    weight = np.where(np.isnan(figures.mean), 0.0, figures.vehicles)
    seconds = float((np.nan_to_num(figures.mean) * weight).sum())
    speed = figures.vehicle_km * 3600 / seconds if seconds else float("nan")
    keys = (
        (_whole(figures.passages), words["passages"]),
        (_whole(float(weight.sum())), words["vehicles"]),
        (_whole(figures.vehicle_km), words["vehicle_km"]),
        (f"{speed:.1f}" if seconds else "-", words["mean_speed"]),
        (_whole(emitted["CO2"] / 1000), words["co2"]),
        (_whole(extra["CO2"] / 1000), words["lost"]),
    )
    summary = words["nothing"]
    if seconds:
        summary = words["short_all"].format(
            told=int(figures.told.sum()), links=len(figures.names), readers=len(figures.readers),
            vehicle_km=keys[2][0], speed=keys[3][0], co2=keys[4][0], lost=keys[5][0],
            share=f"{100 * extra['CO2'] / max(emitted['CO2'], 1e-9):.0f}",
        )  # fmt: skip
    sections = [Section(words["summary"], summary, points=_advice(figures, words, params) if seconds else ())]
    if seconds:
        sections += _measured(figures, words, params, emitted, extra)
    method = words["method_text"].format(fewest=params.fewest, penetration=f"{100 * params.penetration:g}")
    again = words["again"].format(digest=given.digest, version=__version__)
    sections.append(Section(words["method"], method, points=(again,)))
    return Content(
        language, words["title"], words["subtitle"].format(city=given.city),
        words["period"].format(
            first=_when(given.time.min(), zone), last=_when(given.time.max(), zone), zone=zone or "UTC"
        ),
        keys, tuple(sections), words["page"],
    )  # fmt: skip


def _measured(
    figures: Figures,
    words: dict[str, str],
    params: TravelTimeParams,
    emitted: dict[str, float],
    extra: dict[str, float],
) -> list[Section]:
    slow = slow_links(figures, _MOST_LINKS, params.slow)
    head = tuple(words[k] for k in ("street", "length", "free", "mean", "ratio", "worst", "hours_lost", "co2_lost"))
    rows = [
        (
            s.name, f"{s.length:.0f}", f"{s.free:.0f}", f"{s.mean:.0f}", f"{s.ratio:.2f}", f"{s.worst_hour:02d} h",
            f"{s.lost:.1f}", f"{s.co2_lost:.1f}",
        )
        for s in slow
    ]  # fmt: skip
    flows = [
        (f"{a + 1} {figures.readers[a]}", f"{b + 1} {figures.readers[b]}", _whole(n))
        for a, b, n in top_flows(figures, _MOST_FLOWS)
    ]
    units = [(p, f"{emitted[p] / 1000:.2f} kg", f"{extra[p] / 1000:.2f} kg") for p in POLLUTANTS]
    fleet = [(name, "", f"{100 * share:.0f} %") for name, share in CLASSES.items()]
    tell = words.__getitem__
    return [
        Section(words["slow_streets"], words["slow_streets_text"], plots.town(figures, tell), (head, *rows)),
        Section(words["slow_hours"], words["slow_hours_text"], plots.hours(figures, tell)),
        Section(words["heat"], "", plots.heat(figures, tell)),
        Section(
            words["flows"], words["flows_text"].format(fewest=params.fewest), plots.flows(figures, tell),
            ((words["from"], words["to"], words["journeys"]), *flows) if flows else (),
        ),
        Section(
            words["emissions"], words["emissions_text"], None,
            ((words["pollutant"], words["amount"], words["avoidable"]), *units,
             (words["fleet_class"], "", words["fleet_share"]), *fleet),
        ),
    ]  # fmt: skip


def _advice(figures: Figures, words: dict[str, str], params: TravelTimeParams) -> tuple[str, ...]:
    """What would help most: for the links that lose most, for the worst hour, for short journeys."""
    points = []
    for s in slow_links(figures, _MOST_ADVICE, params.slow):
        if s.slow_hours:
            told = {"street": s.name, "lost": f"{s.lost:.1f}", "co2": f"{s.co2_lost:.1f}", "ratio": f"{s.ratio:.2f}"}
            hours = ", ".join(f"{hour:02d} h" for hour in s.slow_hours)
            points.append(words["do_lane" if s.all_day else "do_signals"].format(hours=hours, **told))
    if not points:
        points.append(words["do_none"].format(limit=f"{params.slow:g}"))
    by_hour = (figures.emitted["CO2"] - figures.at_free["CO2"]).sum(axis=0)
    told_hours = int((~np.isnan(figures.ratio_of(0))).sum())
    if by_hour.sum() > 0 and told_hours > 3 and by_hour.max() / by_hour.sum() >= _PEAK:
        share = f"{100 * by_hour.max() / by_hour.sum():.0f}"
        points.append(words["do_spread"].format(hour=f"{int(by_hour.argmax()):02d} h", share=share))
    apart = _kilometres(figures)
    if figures.flows.sum() > 0:
        short = float(figures.flows[apart < _SHORT_KM].sum() / figures.flows.sum())
        if short >= 0.2:
            points.append(words["do_short"].format(share=f"{100 * short:.0f}", km=f"{_SHORT_KM:g}"))
    return tuple(points)


def _kilometres(figures: Figures) -> Any:
    """Distance between readers as the crow flies [km] (R, R)."""
    radians = np.radians(figures.places)
    dx = (radians[:, None, 0] - radians[None, :, 0]) * np.cos(radians[:, 1])[:, None]
    dy = radians[:, None, 1] - radians[None, :, 1]
    return np.nan_to_num(6371.0 * np.hypot(dx, dy), nan=np.inf)


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _when(instant: int, zone: str) -> str:
    when: datetime = to_datetime(int(instant))
    return f"{when.astimezone(ZoneInfo(zone or 'UTC')):%Y-%m-%d %H:%M}"
