"""The drawings of the handbook, each as SVG for the page and as PNG for the paper; no date and no chance in them."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from civium.core.extras import require
from civium.handbook.figures import HOURS, Figures

INK, LINE, QUIET, FREE = "#23303a", "#dfe3e0", "#9aa5ab", "#c9d8d2"
SLOW_TO_FREE = ("#8c1d18", "#d1603d", "#e9b44c", "#8fb996", "#2f7f79")
_STYLE = {
    "svg.fonttype": "none", "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": LINE,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "grid.color": LINE, "grid.linewidth": 0.6, "axes.titlesize": 10,
    "axes.titlelocation": "left", "legend.frameon": False, "figure.facecolor": "white", "axes.facecolor": "white",
}  # fmt: skip
_DPI = 200
_MOST_ROWS = 18
Words = Callable[[str], str]


def font() -> Path:
    """The font that has Latin and Chinese letters."""
    return Path(require("pylopdf_fonts_zh_cn", "handbook").__file__ or "").parent / "NotoSansSC-Regular.otf"


@cache
def _family() -> str:
    manager = require("matplotlib.font_manager", "handbook")
    manager.fontManager.addfont(str(font()))
    return str(manager.FontProperties(fname=str(font())).get_name())


def town(figures: Figures, words: Words) -> Any:
    """The map: links by their speed share, readers as numbered dots."""
    figure, panel = _figure(7.2, 5.4)
    ratio = figures.ratio_of(1)
    colours = _colours()
    wide = np.sqrt(np.maximum(figures.vehicles.sum(axis=1), 1.0))
    wide = 1.2 + 3.6 * wide / wide.max() if len(wide) else wide
    for n in np.argsort(-np.nan_to_num(ratio, nan=2.0)).tolist():  # the slow ones on top
        shape = figures.shapes[n]
        side = _aside(shape)
        told = not np.isnan(ratio[n])
        panel.plot(
            *side.T, color=colours(ratio[n]) if told else LINE, lw=wide[n] if told else 0.8, solid_capstyle="round",
            zorder=3 if told else 2,
        )  # fmt: skip
    panel.scatter(*figures.places.T, s=46, color="white", edgecolors=INK, linewidths=0.8, zorder=5)
    for n, (x, y) in enumerate(figures.places):
        if np.isfinite(x) and np.isfinite(y):
            panel.annotate(str(n + 1), (x, y), ha="center", va="center", fontsize=5.5, zorder=6)
    panel.set_aspect(1 / np.cos(np.radians(np.nanmean(figures.places[:, 1]))))
    panel.axis("off")
    _bar(figure, panel, words("map"))
    return figure


def _aside(shape: Any) -> Any:
    """A street drawn a little to its right, so that both directions are seen."""
    along = np.gradient(shape, axis=0)
    scale = np.cos(np.radians(shape[:, 1].mean()))
    right = np.column_stack([along[:, 1] / scale, -along[:, 0] * scale])
    size = np.hypot(right[:, 0] * scale, right[:, 1])[:, None]
    return shape + 1.1e-4 * right / np.maximum(size, 1e-12)


def hours(figures: Figures, words: Words) -> Any:
    """Speed share and carbon dioxide by the hour."""
    figure, (upper, lower) = _figure(7.2, 3.9, 2)
    ratio = figures.ratio_of(0)
    at = np.arange(HOURS)
    upper.bar(at, np.nan_to_num(ratio), color=[_colours()(r) if np.isfinite(r) else LINE for r in ratio], width=0.82)
    upper.set_ylim(0, 1.05)
    upper.set_title(words("speed_share"))
    emitted, free = (of["CO2"].sum(axis=0) / 1000 for of in (figures.emitted, figures.at_free))
    lower.bar(at, emitted, color=SLOW_TO_FREE[1], width=0.82, label=words("co2_hour"))
    lower.bar(at, free, color=FREE, width=0.82, label=words("co2_free"))
    lower.set_title(words("co2_hour"))
    lower.set_ylim(0, 1.35 * max(float(emitted.max()), 1e-9))  # room for the legend
    lower.legend(loc="upper left", ncols=2)
    lower.set_xlabel(words("hour"))
    for panel in (upper, lower):
        panel.grid(axis="y")
        panel.set_xlim(-0.7, HOURS - 0.3)
        panel.set_xticks(range(0, HOURS, 2))
    return figure


def heat(figures: Figures, words: Words) -> Any:
    """Speed share of the links by the hour, those that lose most on top."""
    lost = figures.lost.sum(axis=1)
    rows = [n for n in np.argsort(-lost, kind="stable")[:_MOST_ROWS].tolist() if figures.told[n]]
    figure, panel = _figure(7.2, 0.8 + 0.2 * max(len(rows), 2))
    panel.imshow(figures.ratio_of(None)[rows], aspect="auto", cmap=_map(), vmin=0, vmax=1, interpolation="none")
    panel.set_yticks(range(len(rows)), [_short(figures, n) for n in rows], fontsize=7)
    panel.set_xticks(range(0, HOURS, 2))
    panel.set_xlabel(words("hour"))
    panel.tick_params(length=0)
    return figure


def flows(figures: Figures, words: Words) -> Any:
    """Journeys from reader to reader."""
    figure, panel = _figure(5.2, 4.6)
    size = len(figures.readers)
    picture = panel.imshow(np.where(figures.flows > 0, figures.flows, np.nan), cmap="YlGnBu", interpolation="none")
    step = max(1, size // 12)
    for axis, label in ((panel.xaxis, words("to")), (panel.yaxis, words("from"))):
        axis.set_ticks(range(0, size, step), [str(n + 1) for n in range(0, size, step)], fontsize=7)
        axis.set_label_text(label)
    figure.colorbar(picture, ax=panel, shrink=0.8, label=words("journeys"))
    return figure


def svg(figure: Any, name: str) -> str:
    """A drawing as an element of a page; ``name`` keeps its inner ids apart from those of others."""
    with _matplotlib().rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = out.getvalue()
    return text[text.index("<svg") :]


def png(figure: Any) -> bytes:
    """A drawing as a picture."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def style() -> Any:
    """The context in which all is drawn."""
    return _matplotlib().rc_context({**_STYLE, "font.family": _family()})


def _matplotlib() -> Any:
    return require("matplotlib", "handbook")


def _figure(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    figure = require("matplotlib.figure", "handbook").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=rows > 1)


@cache
def _map() -> Any:
    colours = require("matplotlib.colors", "handbook")
    return colours.LinearSegmentedColormap.from_list("speed", SLOW_TO_FREE).with_extremes(bad="#f4f5f3")


def _colours() -> Callable[[float], Any]:
    return lambda ratio: _map()(min(max(ratio, 0.0), 1.0))


def _bar(figure: Any, panel: Any, label: str) -> None:
    scale = require("matplotlib.cm", "handbook").ScalarMappable(cmap=_map())
    scale.set_clim(0, 1)
    figure.colorbar(scale, ax=panel, orientation="horizontal", shrink=0.5, aspect=36, pad=0.02, label=label)


def _short(figures: Figures, n: int) -> str:
    ends = f"{int(figures.network.start[n]) + 1}>{int(figures.network.end[n]) + 1}"
    return f"{figures.names[n][:30]}  {ends}"
