"""The low-carbon traffic handbook of a city, from what its roadside readers heard: HTML and PDF, in two languages.

The same passages and links give the same bytes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from civium.client import CityClient
from civium.core import MICROSECONDS, InputRefused, from_datetime, to_datetime
from civium.core.extras import require
from civium.handbook import plots
from civium.handbook.content import LANGUAGES, Content, content_of
from civium.handbook.figures import Given, figures_of
from civium.handbook.paper import paper
from civium.practices.travel_time import PRACTICE
from civium.practices.travel_time.params import TravelTimeParams

_PAGE = 200_000  # rows of one answer
_TURN = round(PRACTICE.every * MICROSECONDS)
_DAYS = 7.0


def write_handbook(
    client: CityClient, out: Path, start: int | None, end: int | None, zone: str, say: Callable[[str], None]
) -> list[Path]:
    """Write the handbook of a city into a folder; the files, in both languages.

    ``start`` and ``end`` [us since epoch] bound the passages, by default the last seven days of the city's clock.
    Raises ``InputRefused`` where there are none, ``NeedUnmet`` where no link is known.
    """
    for module in ("matplotlib", "fpdf", "pylopdf_fonts_zh_cn"):
        require(module, "handbook")
    say("reading the passages")
    given = gather(client, start, end)
    say("counting")
    pages = render(given, zone, params_of(client), say)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, data in pages.items():
        (out / name).write_bytes(data)
        written.append(out / name)
    return written


def params_of(client: CityClient) -> TravelTimeParams:
    """The parameters of travel_time that are in force in a city."""
    told = client.get("/api/practices/travel_time")["params"]
    return TravelTimeParams(**{one["name"]: one["value"] for one in told})


def gather(client: CityClient, start: int | None, end: int | None) -> Given:
    """The things and passages of a city. Raises ``InputRefused`` where there are no passages."""
    status = client.get("/api/status")
    now = from_datetime(datetime.fromisoformat(status["now"]))
    last = now if end is None else end
    first = last - round(timedelta(days=_DAYS) / timedelta(microseconds=1)) if start is None else start
    if first >= last:
        raise InputRefused("the handbook would end before it begins; look at --from and --to")
    things = client.past(PRACTICE.id, now // _TURN * _TURN, "all").things
    columns: list[tuple[Any, Any, Any]] = []
    since = first
    while True:
        told = client.get(
            "/api/series", kind="bluetooth_reader", property="passage", limit=_PAGE,
            **{"from": to_datetime(since).isoformat(), "to": to_datetime(last).isoformat()},
        )  # fmt: skip
        time = [from_datetime(datetime.fromisoformat(text)) for text in told["time"]]
        columns.append((told["thing"], time, [np.nan if v is None else v for v in told["value"]]))
        if not told["more"] or not time:
            break
        since = time[-1]  # those of this instant come twice, which changes nothing
    things_of, times, devices = (
        np.concatenate([np.asarray(c[n], kind) for c in columns])
        for n, kind in enumerate((np.int64, np.int64, np.float64))
    )
    if len(times) == 0:
        raise InputRefused(
            "no reader of kind 'bluetooth_reader' heard anything in this time: look at --from and --to, at the source, "
            "and at your rights, for passages are personal",
            status=404,
        )
    order = np.lexsort((devices, things_of, times))
    return Given(status["name"], first, last, things, things_of[order], times[order], devices[order])


def render(
    given: Given, zone: str, params: TravelTimeParams, say: Callable[[str], None] = lambda _: None
) -> dict[str, bytes]:
    """The files of a handbook by name. Raises ``NeedUnmet`` where no link can be used."""
    figures = figures_of(given, zone, params)
    pages: dict[str, bytes] = {}
    for language in LANGUAGES:
        say(f"writing: {language}")
        with plots.style():
            content = content_of(given, figures, zone, params, language)
            pages[f"handbook.{language}.html"] = _page(content).encode()
            pages[f"handbook.{language}.pdf"] = paper(content, to_datetime(given.last))
    return pages


def _page(content: Content) -> str:
    drawn = [
        (section, plots.svg(section.drawing, f"{content.language}{n}") if section.drawing is not None else "")
        for n, section in enumerate(content.sections)
    ]
    return _TEMPLATES.get_template("handbook.html").render(c=content, sections=drawn)


_TEMPLATES = Environment(
    loader=PackageLoader("civium.handbook", ""),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
