"""Alarms over HTTP: what is open, what became of it, rules, who is on call, maintenance; see docs/alarms.md."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request
from msgspec import to_builtins
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from civium.alarms.alarm import Alarm
from civium.city import City
from civium.core import InputRefused, from_datetime, to_datetime
from civium.core.observations import MAX_ID
from civium.engines.catalog import orders
from civium.engines.catalog.tables import DATASTREAMS, THINGS
from civium.web.alarm_sight import AlarmSight
from civium.web.doors import answer, caller_of, city_of
from civium.web.interface import Why

router = APIRouter(prefix="/api", tags=["alarms"])
Identity = Annotated[int, Path(ge=0, le=MAX_ID)]
_SHOWN = 20  # streams of an alarm that are told with their latest reading
_ORDER = {"critical": 0, "warning": 1, "info": 2}


class ShelveWish(Why):
    """Put an alarm aside, with a reason and an end."""

    until: AwareDatetime


class RuleWish(Why):
    """A rule under its key: what is watched, when it is an alarm, and who is told."""

    id: str = Field(max_length=100)
    rule: dict[str, Any]


class OnCallWish(Why):
    """A list under its name: steps, and how often they are told again."""

    name: str = Field("default", max_length=100)
    steps: list[dict[str, Any]]
    repeat_s: float = 300.0


class UpkeepWish(Why):
    """A thing, or an area (GeoJSON), that is being worked on."""

    thing: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    area: dict[str, Any] | None = None
    until: AwareDatetime


class CalibrationWish(Why):
    """How a stream is corrected when it is read."""

    datastream: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    stream: str = Field("", max_length=1000)  # or its key
    gain: float = 1.0
    offset: float = 0.0
    since: AwareDatetime = Field(alias="from")


class Keys(BaseModel):
    """The keys of a browser."""

    p256dh: str = Field(max_length=200)
    auth: str = Field(max_length=100)


class Browser(BaseModel):
    """A ``PushSubscription``, as browsers give it as JSON."""

    endpoint: str = Field(max_length=2000)
    keys: Keys


class PushWish(Why):
    """Tell a person by this browser: ``push:WHO`` in an on-call list."""

    subscription: Browser


@router.get("/alarms")
async def alarms(
    request: Request,
    state: Literal["open", "history", "all"] = "open",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    before: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
) -> Response:
    """Alarms that are not over, the worst and newest first; or those that are, newest first (``before`` an id)."""
    book, sight = city_of(request).watch.book, _sight(request)

    def seen(some: Iterable[Alarm]) -> list[Alarm]:
        return [one for one in map(sight.of, some) if one is not None]

    now = await asyncio.to_thread(seen, list(book.open.values()))
    if state == "open":
        found = sorted(now, key=lambda alarm: (_ORDER[alarm.severity], -alarm.id))[:limit]
    else:
        past = await asyncio.to_thread(book.history, limit=limit, before=before, cleared=state == "history")
        found = await asyncio.to_thread(seen, past)
    return answer({"alarms": [_told(alarm) for alarm in found], "counts": _counts(now)})


@router.get("/alarms/rules")
async def rules(request: Request) -> Response:
    """The rules that are in force, but those all of whose streams are hidden."""
    return answer(
        {"rules": await asyncio.to_thread(_sight(request).rules, _orders(city_of(request), orders.RULE, "rule"))}
    )


@router.post("/alarms/rules")
async def set_rule(request: Request, wish: RuleWish) -> Response:
    """Give a rule, or change the one under this key; levels may be in ``when.unit``, and are kept in SI."""
    sight = _sight(request)
    given = await asyncio.to_thread(sight.by_number, wish.rule)
    rule = await city_of(request).watch.set_rule(wish.id, given, _who(request, wish), wish.why, sight.reach)
    return answer({"id": wish.id, "rule": to_builtins(rule)})


@router.delete("/alarms/rules/{key}")
async def withdraw_rule(request: Request, key: str, wish: Annotated[Why, Depends()]) -> Response:
    """Withdraw a rule; its alarms are over."""
    city_of(request).watch.may_change_rule(key, _sight(request).reach)
    await city_of(request).watch.withdraw(orders.RULE, key, _who(request, wish), wish.why)
    return answer({"id": key, "rule": None})


@router.get("/alarms/on-call")
async def on_call(request: Request) -> Response:
    """Who is on call, by list."""
    return answer({"lists": _orders(city_of(request), orders.ON_CALL, "list")})


@router.post("/alarms/on-call")
async def set_on_call(request: Request, wish: OnCallWish) -> Response:
    """Say who is on call: ``steps`` of ``who``, ``ways`` and ``after_s``."""
    body = {"steps": wish.steps, "repeat_s": wish.repeat_s}
    await city_of(request).watch.set_on_call(wish.name, body, _who(request, wish), wish.why)
    return answer({"id": wish.name, "list": body})


@router.delete("/alarms/on-call/{name}")
async def withdraw_on_call(request: Request, name: str, wish: Annotated[Why, Depends()]) -> Response:
    """Withdraw a list: nobody on it is told any more."""
    await city_of(request).watch.withdraw(orders.ON_CALL, name, _who(request, wish), wish.why)
    return answer({"id": name, "list": None})


@router.get("/alarms/push")
async def push_key(request: Request) -> Response:
    """The city's key, with which a browser subscribes (``applicationServerKey``), and who has subscribed."""
    city = city_of(request)
    browsers = [
        {"id": key, "who": order.body["who"], "at": _instant(order.at)}
        for key, order in orders.in_force(city.catalog, orders.PUSH).items()
    ]
    return answer({"key": city.watch.key.public, "browsers": browsers})


@router.post("/alarms/push")
async def subscribe(request: Request, wish: PushWish) -> Response:
    """Let a browser be told as ``push:WHO``."""
    body = {
        "who": wish.who or caller_of(request).name,
        "endpoint": wish.subscription.endpoint,
        **wish.subscription.keys.model_dump(),
    }
    return answer({"id": await city_of(request).watch.subscribe(body, _who(request, wish))})


@router.delete("/alarms/push/{key}")
async def unsubscribe(request: Request, key: str, wish: Annotated[Why, Depends()]) -> Response:
    """Tell a browser no more."""
    await city_of(request).watch.withdraw(orders.PUSH, key, _who(request, wish), wish.why)
    return answer({"id": key})


@router.get("/alarms/{identity}")
async def alarm(request: Request, identity: Identity) -> Response:
    """One alarm: how it stands, its first streams with their latest readings, and all that became of it."""
    city = city_of(request)
    sight = _sight(request)
    found = await asyncio.to_thread(sight.find, identity)
    story = await asyncio.to_thread(sight.story, found)
    told = [{**event, "at": _instant(event["at"]), **_until(event)} for event in story]
    return answer({**_told(found), "readings": await asyncio.to_thread(_readings, city, found), "history": told})


@router.post("/alarms/{identity}/ack")
async def acknowledge(request: Request, identity: Identity, wish: Why) -> Response:
    """Say that somebody acts: nobody is told of it any more."""
    city = await _seen(request, identity)
    await city.watch.desk.acknowledge(identity, _who(request, wish), wish.why, city.clock.now())
    return await _as_seen(request, identity)


@router.post("/alarms/{identity}/shelve")
async def shelve(request: Request, identity: Identity, wish: ShelveWish) -> Response:
    """Put it aside until an end, with a reason; an alarm of the same rule and group is shelved too until then."""
    city, until = await _seen(request, identity), from_datetime(wish.until)
    await city.watch.desk.shelve(identity, until, _who(request, wish), wish.why, city.clock.now())
    return await _as_seen(request, identity)


@router.post("/alarms/{identity}/unshelve")
async def unshelve(request: Request, identity: Identity, wish: Why) -> Response:
    """Take it from the shelf before its end."""
    city = await _seen(request, identity)
    await city.watch.desk.unshelve(identity, _who(request, wish), wish.why, city.clock.now())
    return await _as_seen(request, identity)


@router.post("/alarms/{identity}/clear")
async def clear(request: Request, identity: Identity, wish: Why) -> Response:
    """End a latched alarm; 409 while its condition holds."""
    city = await _seen(request, identity)
    await city.watch.desk.clear(identity, _who(request, wish), wish.why, city.clock.now())
    return await _as_seen(request, identity)


@router.get("/maintenance")
async def maintenance(request: Request) -> Response:
    """What is under maintenance now."""
    city = city_of(request)
    sight = _sight(request)
    found = await asyncio.to_thread(city.watch.maintenance.in_force, city.clock.now())
    return answer({
        "maintenance": [
            {"id": key, "thing": upkeep.thing or None, "area": upkeep.area, "from": _instant(order.at),
             "until": _instant(upkeep.until), "who": order.who, "why": order.why}
            for key, (order, upkeep) in found.items() if sight.thing(upkeep.thing or None)
        ]
    })  # fmt: skip


@router.post("/maintenance")
async def begin_maintenance(request: Request, wish: UpkeepWish) -> Response:
    """Put a thing or an area under maintenance: its alarms are silent, its commands refused, until the end."""
    if not _sight(request).thing(wish.thing):
        raise InputRefused(f"there is no Thing {wish.thing}", status=404)
    body: dict[str, Any] = {"until": from_datetime(wish.until)}
    body |= {name: word for name, word in (("thing", wish.thing), ("area", wish.area)) if word is not None}
    return answer({"id": await city_of(request).watch.begin_upkeep(body, _who(request, wish), wish.why)})


@router.post("/maintenance/{key}/end")
async def end_maintenance(request: Request, key: str, wish: Why) -> Response:
    """End maintenance before its time."""
    await asyncio.to_thread(_sight(request).may_end_maintenance, key)
    await city_of(request).watch.withdraw(orders.MAINTENANCE, key, _who(request, wish), wish.why)
    return answer({"id": key})


@router.get("/calibrations")
async def calibrations(request: Request) -> Response:
    """The calibrations that are in force: gain and offset in the unit of the stream."""
    city = city_of(request)
    reach, found = _sight(request).reach, await asyncio.to_thread(orders.in_force, city.catalog, orders.CALIBRATION)
    found = {key: order for key, order in found.items() if reach.holds(order.body["datastream"])}
    ids = [order.body["datastream"] for order in found.values()]
    streams = await asyncio.to_thread(city.catalog.last, DATASTREAMS.name, ids)
    return answer({
        "calibrations": [
            {"id": key, "datastream": order.body["datastream"], "stream": streams[order.body["datastream"]]["key"],
             "from": _instant(order.body["since"]),
             "gain": order.body["gain"], "offset": order.body["offset"], "who": order.who, "why": order.why,
             "at": _instant(order.at)}
            for key, order in found.items()
        ]
    })  # fmt: skip


@router.post("/calibrations")
async def calibrate(request: Request, wish: CalibrationWish) -> Response:
    """From an instant on (a whole quarter of an hour), what a stream reads is raw * gain + offset, in its unit."""
    city, stream = city_of(request), wish.datastream
    if stream is None:
        known = await asyncio.to_thread(city.catalog.ids_by_key, DATASTREAMS.name, [wish.stream])
        stream = known.get(wish.stream, 0)
    _sight(request).may_calibrate(stream)
    given = (stream, from_datetime(wish.since), wish.gain, wish.offset)
    return answer({"id": await city.watch.calibrate(*given, _who(request, wish), wish.why)})


@router.delete("/calibrations/{key}")
async def withdraw_calibration(request: Request, key: str, wish: Annotated[Why, Depends()]) -> Response:
    """Withdraw a calibration: what was read raw before is so again."""
    _sight(request).may_withdraw_calibration(key)
    await city_of(request).watch.withdraw(orders.CALIBRATION, key, _who(request, wish), wish.why)
    return answer({"id": key})


@router.delete("/calibrations")
async def withdraw_calibration_of(
    request: Request, stream: str, start: Annotated[AwareDatetime, Query(alias="from")], wish: Annotated[Why, Depends()]
) -> Response:
    """Withdraw the calibration of a stream (its key) that begins at an instant."""
    city = city_of(request)
    known = await asyncio.to_thread(city.catalog.ids_by_key, DATASTREAMS.name, [stream])
    key = f"{known.get(stream, 0)}@{from_datetime(start)}"
    _sight(request).may_withdraw_calibration(key)
    await city.watch.withdraw(orders.CALIBRATION, key, _who(request, wish), wish.why)
    return answer({"id": key})


async def _seen(request: Request, identity: int) -> City:
    """The city, if its caller may know of an alarm; raises InputRefused (404)."""
    await asyncio.to_thread(_sight(request).find, identity)
    return city_of(request)


async def _as_seen(request: Request, identity: int) -> Response:
    return answer(_told(await asyncio.to_thread(_sight(request).find, identity)))


def _who(request: Request, wish: Why) -> str:
    """Who orders this, as it goes on the record."""
    return caller_of(request).signed(wish.who)


def _told(alarm: Alarm) -> dict[str, Any]:
    kind, _, name = alarm.group.partition(":")
    acknowledged = {"at": _instant(alarm.acknowledged), "who": alarm.acknowledged_by}
    shelved = {"until": _instant(alarm.shelved_until), "who": alarm.shelved_by, "why": alarm.shelved_why}
    cleared = {"at": _instant(alarm.cleared), "who": alarm.cleared_by, "why": alarm.cleared_why}
    return {
        "id": alarm.id,
        "state": alarm.state,
        "severity": alarm.severity,
        "rule": alarm.rule,
        "title": alarm.title,
        "said": alarm.said,
        "group": {"by": kind, "key": name, "name": alarm.name},
        "raised": _instant(alarm.raised),
        "holds": alarm.holds,
        "latched": alarm.latched,
        "streams": alarm.size,
        "practice": alarm.practice or None,
        "on_call": alarm.on_call,
        "step": alarm.step,
        "acknowledged": acknowledged if alarm.acknowledged else None,
        "shelved": shelved if alarm.shelved_until else None,
        "cleared": cleared if alarm.cleared else None,
    }


def _counts(some: Any) -> dict[str, int]:
    counts = {"open": 0, "acknowledged": 0, "shelved": 0, "critical": 0, "warning": 0, "info": 0}
    for alarm in some:
        counts[alarm.state] += 1
        counts[alarm.severity] += 1
    return counts


def _readings(city: City, alarm: Alarm) -> list[dict[str, Any]]:
    """The first streams of an alarm: of what thing, and what they read last; values in SI."""
    streams = alarm.streams[:_SHOWN]
    rows = city.catalog.last(DATASTREAMS.name, streams.tolist())
    things = city.catalog.last(THINGS.name, [row["thing"] for row in rows.values()])
    identity, time, value = city.follower.live.latest(streams)
    found = []
    for n, stream in enumerate(streams.tolist()):
        row = rows.get(stream)
        if row is None:
            continue
        thing = things.get(row["thing"], {})
        none = identity[n] == 0
        found.append({
            "datastream": stream, "key": row["key"], "name": row["name"], "unit": row["si_unit"],
            "thing": row["thing"], "thing_name": thing.get("name", ""),
            "lon": thing.get("lon"), "lat": thing.get("lat"),
            "time": None if none else _instant(int(time[n])),
            "value": None if none or np.isnan(value[n]) else float(value[n]),
        })  # fmt: skip
    return found


def _orders(city: City, kind: str, name: str) -> list[dict[str, Any]]:
    found = orders.in_force(city.catalog, kind)
    return [
        {"id": key, name: order.body, "who": order.who, "why": order.why, "at": _instant(order.at)}
        for key, order in found.items()
    ]


def _until(event: dict[str, Any]) -> dict[str, str]:
    return {name: _instant(event[name]) for name in ("until", "shelved_until") if event.get(name)}


def _instant(instant: int) -> str:
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def _sight(request: Request) -> AlarmSight:
    return AlarmSight(city_of(request), caller_of(request))
