"""The console: its built files, the tiles of the city model, and what its pages ask for."""

import asyncio
import gzip
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import AwareDatetime
from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from civium.core import InputRefused, from_datetime
from civium.engines.rights import Reach
from civium.web.desk import desk_of
from civium.web.doors import answer, caller_of, city_of
from civium.web.gaps import gaps_of
from civium.web.moments import listed_things, map_of, places_of, thing_of, values_of
from civium.web.past import MOST_POINTS, chart_of, past_of
from civium.web.practice import practice_of
from civium.web.relief import relief_of
from civium.web.state import practices_state
from civium.web.sun import sun_and_shadow
from civium.web.tiles import tiles_of, version_of
from civium.web.told import Told

router = APIRouter(prefix="/api", tags=["console"])
pages = APIRouter(include_in_schema=False)
BUILT = Path(__file__).with_name("console_built")
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}
_HEADERS = {  # MapLibre draws with style attributes of its own elements, and works in a worker of this host
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# The map fetches its tiles in a worker, which obeys the policy that came with its own script.
_OF_ASSETS = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_PACKED = (".js", ".mjs", ".css")
_MOST_ID = 2**53
Id = Annotated[int, InPath(ge=0, le=_MOST_ID)]
From = Annotated[AwareDatetime, Query(alias="from")]
To = Annotated[AwareDatetime, Query(alias="to")]


class Assets(StaticFiles):
    """Files whose names carry their content's digest: a browser may keep them for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if isinstance(response, FileResponse) and path.endswith(_PACKED) and "gzip" in accepted:
            packed = await asyncio.to_thread(_pack, str(response.path))
            response = Response(packed, headers={"Content-Encoding": "gzip"}, media_type=response.media_type)
        response.headers.update({**_KEEP, "Content-Security-Policy": _OF_ASSETS, "Vary": "Accept-Encoding"})
        return response


@lru_cache(maxsize=32)
def _pack(path: str) -> bytes:
    """A file compressed once for all: its name carries its content's digest."""
    return gzip.compress(Path(path).read_bytes(), 9)


@pages.get("/console")
@pages.get("/console/{path:path}")
async def console(path: str = "") -> Response:
    """The console's one page, whatever view is asked for; without a built console, the public page."""
    index = BUILT / "index.html"
    if not index.is_file():
        return RedirectResponse("/")
    return HTMLResponse(await asyncio.to_thread(index.read_text), headers=_HEADERS)


@pages.get("/tiles/{zoom}/{x}/{y}.mvt")
async def tile(request: Request, zoom: int, x: int, y: int) -> Response:
    """A vector tile of the city model, all layers."""
    twin = city_of(request).folder / "twin"
    version = version_of(twin)
    packed = await asyncio.to_thread(lambda: tiles_of(twin, version).tile(zoom, x, y))
    if not packed:
        return Response(status_code=204)
    keep = _KEEP if request.query_params.get("v") == version else {"Cache-Control": "no-cache"}
    headers = {"Content-Encoding": "gzip", **keep}
    return Response(packed, headers=headers, media_type="application/vnd.mapbox-vector-tile")


@pages.get("/tiles/terrain/{zoom}/{x}/{y}.png")
async def terrain(request: Request, zoom: int, x: int, y: int) -> Response:
    """A raster tile of the ground's height, where the city model has a terrain."""
    twin = city_of(request).folder / "twin"
    version = version_of(twin)
    image = await asyncio.to_thread(lambda: relief_of(twin, version).tile(zoom, x, y))
    keep = _KEEP if request.query_params.get("v") == version else {"Cache-Control": "no-cache"}
    return Response(image, headers=keep, media_type="image/png")


@router.get("/map")
async def city_map(request: Request) -> Response:
    """What a map begins with: bounds, layers of the city model, address of its tiles, kinds of things."""
    return answer(await asyncio.to_thread(map_of, city_of(request), told_to(request)))


@router.get("/map/places")
async def places(request: Request, kind: str) -> Response:
    """Where the things of a kind are, in columns."""
    return answer(await asyncio.to_thread(places_of, city_of(request), told_to(request), kind))


@router.get("/map/values")
async def values(request: Request, kind: str, property: str) -> Response:
    """The latest value of a property of each thing of a kind, in columns."""
    return answer(await asyncio.to_thread(values_of, city_of(request), reach_of(request), kind, property))


@router.get("/map/past")
async def past(
    request: Request,
    kind: str,
    property: str,
    start: From,
    end: To,
    step: Annotated[float, Query(ge=1, le=86_400)] = 10.0,
) -> Response:
    """What things of a kind told of a property at each step [s] of a past time."""
    city = city_of(request)
    await city.read_barrier()
    span = (from_datetime(start), from_datetime(end))
    return answer(await asyncio.to_thread(past_of, city, reach_of(request), kind, property, *span, step))


@router.get("/things")
async def things(
    request: Request,
    search: Annotated[str, Query(max_length=100)] = "",
    kind: str = "",
    after: Annotated[int, Query(ge=0, le=_MOST_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Things by id, some at a time: of a kind, or whose name or key holds some words."""
    return answer(
        await asyncio.to_thread(listed_things, city_of(request), told_to(request), search, kind, after, limit)
    )


@router.get("/things/{thing}")
async def thing(request: Request, thing: Id) -> Response:
    """One thing whole: facts, streams, actuators, the commands that touched it and why."""
    return answer(await asyncio.to_thread(thing_of, city_of(request), told_to(request), thing))


@router.get("/streams/{stream}/chart")
async def chart(
    request: Request, stream: Id, start: From, end: To, points: Annotated[int, Query(ge=1, le=MOST_POINTS)] = 400
) -> Any:
    """Readings of a stream between two instants, thinned to some points for a chart."""
    first, last = await _span(request, stream, start, end)
    return await asyncio.to_thread(chart_of, city_of(request), stream, first, last, points)


@router.get("/streams/{stream}/gaps")
async def gaps(request: Request, stream: Id, start: From, end: To) -> Any:
    """Where readings of a stream are missing between two instants, measured by its own rhythm."""
    first, last = await _span(request, stream, start, end)
    return await asyncio.to_thread(gaps_of, city_of(request), stream, first, last)


@router.get("/map/sun")
async def sun(request: Request, at: AwareDatetime) -> Response:
    """Where the sun stands at an instant, and the shadow of the buildings as GeoJSON."""
    twin = city_of(request).folder / "twin"
    return answer(await asyncio.to_thread(sun_and_shadow, twin, from_datetime(at)))


@router.get("/practices/{practice}")
async def practice(request: Request, practice: str) -> Response:
    """One practice whole: figures, register entry, freshness of its inputs, parameters, mandates, incidents."""
    city = city_of(request)
    detail = await asyncio.to_thread(practice_of, city, told_to(request), practice)
    (row,) = [one for one in await practices_state(city, told_to(request)) if one["id"] == practice]
    return answer({**row, **detail})


@router.get("/desk")
async def desk(request: Request) -> Response:
    """What needs a person now: commands that wait, troubles, held practices, silent streams, dead letters, notices."""
    return answer(await desk_of(city_of(request), told_to(request)))


async def _span(request: Request, stream: int, start: AwareDatetime, end: AwareDatetime) -> tuple[int, int]:
    """Two instants [us since epoch] between which the caller may read a stream, as it is known now."""
    first, last = from_datetime(start), from_datetime(end)
    if first >= last:
        raise InputRefused("the span would end before it begins")
    if not reach_of(request).holds(stream):
        raise InputRefused(f"there is no stream {stream} that you may read", status=404)
    await city_of(request).read_barrier()
    return first, last


def told_to(request: Request) -> Told:
    """What the caller is told."""
    return Told(city_of(request), caller_of(request))


def reach_of(request: Request) -> Reach:
    """The streams that whoever asks may read."""
    return city_of(request).rights.readable(caller_of(request))
