"""The report's plots, each as SVG text that stands in the page."""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from civium.core.extras import require
from civium.report.solar import Fleet
from civium.report.traffic import Comparison

OURS, FIXED, TRUTH, INK, LINE = "#0f6f73", "#b5763a", "#8a8f96", "#3a3f45", "#ddd8cc"
_FAULTS = {"healthy": "#b9bfc6", "string": "#a3291d", "shading": "#7a4bb0", "soiling": "#b5763a", "unknown": "#000000"}
_STYLE = {
    "svg.fonttype": "none",  # words stay words: small, searchable, read aloud
    "font.family": "sans-serif", "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": LINE,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE, "grid.linewidth": 0.6, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip


def traffic(both: Comparison) -> str:
    """Delay summed up, mean speed, arrivals and teleports by the minute; ours and fixed time."""
    with _style():
        figure, axes = _figure(9.2, 4.6, 2, 2)
        panels: list[tuple[str, str, Callable[[Sequence[float]], list[float]]]] = [
            ("Delay so far [veh h]", "delay", lambda v: [x / 3600 for x in accumulate(v)]),
            ("Mean speed [km/h]", "mean_speed", lambda v: [x * 3.6 for x in v]),
            ("Cars that arrived, a minute", "arrived", list),
            ("Teleports so far", "teleports", lambda v: list(accumulate(v))),
        ]
        for panel, (title, name, shape) in zip(axes.flat, panels, strict=True):
            for run, colour, dash, label in (
                (both.fixed, FIXED, (0, (4, 2)), "fixed time"),
                (both.ours, OURS, "solid", "this run"),
            ):
                panel.plot(run.time, shape(run.value[name]), color=colour, linestyle=dash, lw=1.8, label=label)
            panel.set_title(title)
            panel.set_ylim(0, max(panel.get_ylim()[1], 1.0))
            _hours(panel)
        axes.flat[0].legend(loc="upper left")
        return _svg(figure, "traffic")


def solar_total(fleet: Fleet, truth: Sequence[Mapping[str, Any]]) -> str:
    """Power of all plants: measured, with and without their faults, and what the platform expected."""
    with _style():
        figure, axes = _figure(9.2, 3.0, 1, 1)
        panel = axes.flat[0]
        times = [datetime.fromisoformat(line["time"]) for line in truth]
        panel.plot(times, [line["pv_healthy_w"] / 1e3 for line in truth], color=TRUTH, lw=1.4, linestyle=(0, (1, 1.5)),
                   label="without faults (the sandbox's truth)")  # fmt: skip
        panel.plot(times, [line["pv_power_w"] / 1e3 for line in truth], color=TRUTH, lw=1.4,
                   label="with faults (the sandbox's truth)")  # fmt: skip
        for n, (begin, until) in enumerate(zip(fleet.begin, fleet.until, strict=True)):
            for value, colour, label in (
                (fleet.expected[n], FIXED, "expected by the platform"),
                (fleet.measured[n], OURS, "measured, mean of the interval"),
            ):
                panel.plot([begin, until], [value / 1e3] * 2, color=colour, lw=2.4, label=label if n == 0 else None)
        panel.set_title("Power of all plants [kW]")
        panel.set_ylim(bottom=0)
        panel.legend(loc="lower right", ncols=2)
        _hours(panel)
        return _svg(figure, "solar-total")


def solar_plants(fleet: Fleet) -> str:
    """Measured over expected of every plant, coloured by its true fault; those that the practice named are ringed."""
    rows = sorted((row for row in fleet.rows if row.ratio is not None), key=lambda row: row.ratio or 0.0)
    with _style():
        figure, axes = _figure(9.2, 2.8, 1, 1)
        panel = axes.flat[0]
        for fault in dict.fromkeys(row.fault for row in rows):
            own = [(n, row.ratio or 0.0) for n, row in enumerate(rows) if row.fault == fault]
            panel.bar(
                *zip(*own, strict=True), color=_FAULTS.get(fault, TRUTH), label=f"{fault} ({len(own)})", width=0.8
            )
        named = [(n, row.ratio or 0.0) for n, row in enumerate(rows) if row.said]
        if named:
            panel.scatter(
                *zip(*named, strict=True), s=40, facecolors="none", edgecolors=INK, label="named by the practice"
            )
        panel.axhline(1.0, color=INK, lw=0.8)
        panel.set_title("Measured over expected, plant by plant; colour: the truth")
        panel.set_xticks([])
        panel.grid(axis="x", visible=False)
        panel.legend(loc="upper left", ncols=5, bbox_to_anchor=(0, -0.04))
        return _svg(figure, "solar-plants")


def latencies(times: Mapping[str, Sequence[float]]) -> str:
    """Share of the decisions that took no longer than a time [ms], practice by practice."""
    with _style():
        figure, axes = _figure(9.2, 2.6, 1, 1)
        panel = axes.flat[0]
        for (name, values), colour in zip(sorted(times.items()), (OURS, FIXED, *_FAULTS.values()), strict=False):
            panel.ecdf(values, color=colour, lw=1.8, label=name)
        panel.set_xscale("log")
        ticker = require("matplotlib.ticker", "sandbox")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.set_title("Share of decisions on the record within a time [ms]")
        panel.legend(loc="lower right")
        return _svg(figure, "latencies")


def _style() -> Any:
    return require("matplotlib", "sandbox").rc_context(_STYLE)


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    figure = require("matplotlib.figure", "sandbox").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _hours(panel: Any) -> None:
    dates = require("matplotlib.dates", "sandbox")
    locator = dates.AutoDateLocator(minticks=3, maxticks=6)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))


def _svg(figure: Any, name: str) -> str:
    """The figure as an element; ``name`` keeps its inner ids apart from those of other figures."""
    with require("matplotlib", "sandbox").rc_context({"svg.hashsalt": name}):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = out.getvalue()
    return text[text.index("<svg") :]
