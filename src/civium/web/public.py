"""The pages for everyone, without login and without script: the register of algorithms, questions and answers."""

import asyncio
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from starlette.responses import RedirectResponse, Response

from civium.cases import KINDS, LONGEST
from civium.city import City
from civium.core import InputRefused, to_datetime
from civium.engines.catalog.tables import MANDATES
from civium.ledger.projection import DECISIONS, INCIDENTS
from civium.publish.standards import STANDARDS, as_json
from civium.publish.tables import as_csv
from civium.web.doors import answer, body_of, caller_of, city_of
from civium.web.pages import page
from civium.web.scores import scores_of
from civium.web.state import practices_state
from civium.web.told import Told

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api", tags=["console"])
_LAST = 10
_MOST = 200
_FORM_BYTES = 64 * 1024


@router.get("/register")
async def register(request: Request) -> Response:
    """Every practice in a few words."""
    entries = await entries_of(request)
    return page(request, "register.html", entries=entries, standards=STANDARDS)


@router.get("/register/export/{standard}.{form}")
async def export(request: Request, standard: str, form: str) -> Response:
    """The register in another register's field set, as JSON or CSV."""
    wanted = STANDARDS.get(standard)
    if wanted is None or form not in ("json", "csv"):
        raise InputRefused(f"the register is given as {', '.join(STANDARDS)}, in .json or .csv", status=404)
    entries = await entries_of(request)
    told = as_json(wanted, entries)
    headers = {"Content-Disposition": f'attachment; filename="register-{standard}.{form}"'}
    if form == "json":
        return answer(told, headers=headers)
    return Response(as_csv(wanted.fields, told["entries"]), headers=headers, media_type="text/csv")


@router.get("/register/{practice}")
async def register_entry(request: Request, practice: str) -> Response:
    """The whole entry of a practice, with what came of it."""
    city = city_of(request)
    entries = await entries_of(request)
    found = next((entry for entry in entries if entry["id"] == practice), None)
    if found is None:
        return page(request, "missing.html", 404, why=f"no practice '{practice}' is installed")
    query = select(DECISIONS).where(DECISIONS.c.practice == practice).order_by(DECISIONS.c.seq.desc()).limit(_LAST)
    told = Told(city, caller_of(request))
    decisions = await asyncio.to_thread(lambda: told.rows(city.ledger.projection.rows(query)))
    answers = await asyncio.to_thread(city.cases.answered, practice, _LAST)
    scores = [one for one in await scores_of(request, practice) if one["n"]]
    return page(request, "entry.html", entry=found, decisions=decisions, answers=answers, scores=scores)


@router.get("/ask")
async def ask(request: Request, about: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The form to ask, object or correct; and the last answers."""
    answers = await asyncio.to_thread(city_of(request).cases.answered, "", _LAST)
    return page(request, "ask.html", kinds=KINDS, about=about, longest=LONGEST, answers=answers, wrong="")


@router.post("/ask")
async def open_case(request: Request) -> Response:
    """Open a case, and go to its page."""
    city = city_of(request)
    told = parse_qs((await body_of(request, _FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
    kind, about, words = (told.get(name, [""])[0] for name in ("kind", "about", "words"))
    try:
        key = await city.cases.open(kind, about.strip(), words)
    except InputRefused as error:
        kept = {"kinds": KINDS, "about": about, "longest": LONGEST, "answers": []}
        return page(request, "ask.html", error.status, **kept, wrong=str(error))
    return RedirectResponse(f"/cases/{quote(key)}", 303)


@router.get("/cases/{key}")
async def case(request: Request, key: str) -> Response:
    """One case: what was written, its clock and its answer."""
    city = city_of(request)
    try:
        told = await asyncio.to_thread(city.cases.one, key)
    except InputRefused as error:
        return page(request, "missing.html", error.status, why=str(error))
    return page(request, "case.html", case=told, late=told["answered"] is None and city.clock.now() > told["due"])


@interface.get("/cases")
async def cases(request: Request) -> Response:
    """The cases, those that wait longest first; instants in ms since epoch."""
    return answer([_told(one) for one in await asyncio.to_thread(city_of(request).cases.listed, _MOST)])


class Answer(BaseModel):
    """A public answer."""

    answer: str = Field(max_length=LONGEST)
    who: str = Field("", max_length=100)


@interface.post("/cases/{key}/answer")
async def answer_case(request: Request, key: str, told: Answer) -> dict[str, str]:
    """Answer a case, for everyone to read."""
    await city_of(request).cases.answer(key, told.answer, caller_of(request).signed(told.who))
    return {"case": key}


async def entries_of(request: Request) -> list[dict[str, Any]]:
    """The register as it is at this moment: what each practice says of itself, and what came of it."""
    city, address = city_of(request), str(request.base_url).rstrip("/")
    states = {row["id"]: row for row in await practices_state(city, Told(city, caller_of(request)))}
    return [await asyncio.to_thread(_entry, city, states[name], address) for name in city.turns.practices.found]


def _entry(city: City, state: dict[str, Any], address: str) -> dict[str, Any]:
    practice = city.turns.practices.found[state["id"]]
    rows = city.ledger.projection.rows
    (first,) = rows(select(func.min(DECISIONS.c.tick).label("at")).where(DECISIONS.c.practice == practice.id))
    query = select(func.count().label("n")).where(INCIDENTS.c.practice == practice.id, INCIDENTS.c.what != "resumed")
    (held,) = rows(query)
    with city.catalog.engine.connect() as connection:
        changed = connection.scalar(select(func.max(MANDATES.c.at)).where(MANDATES.c.practice == practice.id))
    begun = _day(first["at"])
    own = {
        name: "; ".join(map(str, told)) if isinstance(told, list) else str(told).strip()
        for name, told in city.turns.register(practice).items()
        if isinstance(told, str | list)
    }
    register = city.settings.register
    return {
        **state,
        "own": own,
        "address": address,
        "inputs": sorted({f"{need.property} of {need.kind}" for need in practice.needs if not need.layer}),
        "held": held["n"],
        "first": begun,
        "changed": _day(changed) or begun,
        "since": changed,
        "city": {
            "organization": register.organization or city.settings.name,
            "contact_email": register.contact_email,
            "area": register.area or city.settings.name,
        },
    }


def _day(instant: int | None) -> str:
    return to_datetime(instant).date().isoformat() if instant else ""


def _told(case: dict[str, Any]) -> dict[str, Any]:
    instants = {name: case[name] // 1000 if case[name] else None for name in ("opened", "due", "answered")}
    return {**case, **instants}
