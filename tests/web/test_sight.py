"""What is not open is seen by nobody who may not read it: not in a list, a count, a link, a filter or a figure."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import select

from civium.core import WallClock
from civium.core.rights import Caller, Role, Scope
from civium.engines.catalog import Catalog, Change
from civium.engines.catalog.tables import DATASTREAMS, THINGS
from civium.engines.rights import Rights, readable_sql, thing_sql
from tests.city.conftest import CityProcess, city

__all__ = ["city"]
ACCESS = {
    "open": {},
    "internal": {"access": "internal"},
    "restricted": {"access": "restricted"},
    "personal": {"personal": True},
}
# Who reads what of ``ACCESS``, by the scope of its token.
CALLERS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "public": ("", {}, {"open"}),
    "device": ("device", {"kinds": ["k_restricted"]}, {"open", "restricted"}),
    "operator": ("operator", {}, {"open", "internal"}),
    "department": ("department", {"kinds": ["k_personal"]}, {"open", "personal"}),
    "everything": ("operator", {"kinds": ["*"]}, set(ACCESS)),
    "administrator": ("administrator", {}, set(ACCESS)),
}
Ask = Callable[..., httpx.Response]


class World:
    """Four things, one for each access, each with a stream, a place, a sensor, a property and an Observation of its
    own whose names and values tell which it is."""

    def __init__(self, city: CityProcess) -> None:
        self.city = city
        self.http = httpx.Client(base_url=city.url, timeout=60)
        lines = []
        for n, (name, how) in enumerate(ACCESS.items()):
            stream = {"key": f"s_{name}", "property": f"p_{name}", "unit": "1", **how}
            where = {"type": "Point", "coordinates": [20 + n, 60]}
            lines.append(
                {"key": f"t_{name}", "kind": f"k_{name}", "name": f"n_{name}", "where": where, "streams": [stream],
                 "actuators": [{"key": f"a_{name}", "name": f"act_{name}", "protocol": "mqtt", "facts": {}}]}
            )  # fmt: skip
        told = city.client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
        self.streams = {name: told["streams"][f"s_{name}"] for name in ACCESS}
        self.things = {name: told["things"][f"t_{name}"] for name in ACCESS}
        self.tokens = {"public": ""}
        for name, (role, scopes, _) in CALLERS.items():
            if role:
                self.tokens[name] = city.client.post("/api/tokens", name=name, role=role, scopes=scopes)["token"]
        for n, (name, stream) in enumerate(self.streams.items()):
            body = {"result": 1000 + n, "phenomenonTime": "2026-06-01T12:00:00Z", "parameters": {"says": f"o_{name}"}}
            feature = {"name": f"f_{name}", "description": "", "encodingType": "application/geo+json",
                       "feature": {"type": "Point", "coordinates": [20 + n, 60]}}  # fmt: skip
            made = city.client.http.post(
                f"/v1.1/Datastreams({stream})/Observations", json={**body, "FeatureOfInterest": feature}
            )
            assert made.status_code == 201, made.text
        self.observations = {
            name: city.client.get(f"/v1.1/Datastreams({stream})/Observations")["value"][0]["@iot.id"]
            for name, stream in self.streams.items()
        }

    def ask(self, caller: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        token = self.tokens[caller]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.request(method, path, headers=headers, **more)

    @staticmethod
    def marks(name: str) -> list[str]:
        """What tells of one of the things."""
        return [f"{letter}_{name}" for letter in "stkpnof"] + [f"act_{name}"]


@pytest.fixture(scope="module")
def world(city: CityProcess) -> World:
    return World(city)


READS = [
    "/v1.1/Things",
    "/v1.1/Things?$count=true&$expand=Datastreams($expand=Observations,ObservedProperty,Sensor),Locations",
    "/v1.1/Things?$filter=Datastreams/Observations/result ge 1000",
    "/v1.1/Things?$filter=Datastreams/any(d:d/name ne 'x')",
    "/v1.1/Datastreams",
    "/v1.1/Datastreams?$expand=Observations($expand=FeatureOfInterest;$count=true),Thing/Locations",
    "/v1.1/Datastreams?$expand=Observations($top=1;$orderby=phenomenonTime desc)",
    "/v1.1/Datastreams?$resultFormat=CSV",
    "/v1.1/Datastreams?$resultFormat=GeoJSON&$expand=Thing($expand=Locations)",
    "/v1.1/Datastreams?$orderby=Observations/result",
    "/v1.1/Observations",
    "/v1.1/Observations?$expand=Datastream($expand=Thing),FeatureOfInterest",
    "/v1.1/Observations?$resultFormat=dataArray&$select=id,result,parameters",
    "/v1.1/Observations?$resultFormat=CSV",
    "/v1.1/Observations?$filter=Datastream/Thing/name ne 'x'&$orderby=Datastream/name",
    "/v1.1/Sensors?$expand=Datastreams",
    "/v1.1/ObservedProperties?$expand=Datastreams($expand=Observations)",
    "/v1.1/FeaturesOfInterest?$expand=Observations",
    "/v1.1/Locations?$expand=Things($expand=Datastreams),HistoricalLocations",
    "/v1.1/HistoricalLocations?$expand=Thing,Locations",
    "/v1.1/TaskingCapabilities?$expand=Thing",
    "/v1.1/Actuators?$expand=TaskingCapabilities",
    "/api/status",
    "/api/things?limit=200",
    "/api/map",
    "/api/desk",
    "/metrics",
    "/",
]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("path", READS)
def test_a_read_tells_of_what_the_caller_may_know_and_of_nothing_else(world: World, caller: str, path: str) -> None:
    answer = world.ask(caller, path)
    if "$orderby=Observations" in path:
        assert answer.status_code in (200, 400, 501)
    elif (path, caller) == ("/metrics", "device"):
        assert answer.status_code == 403  # it is for staff, and for who is on this machine
    else:
        assert answer.status_code == 200, answer.text
    told = answer.text
    for name in ACCESS:
        if name not in CALLERS[caller][2]:
            assert [mark for mark in world.marks(name) if mark in told] == []
            if path.startswith("/v1.1"):  # elsewhere a count or an instant may happen to hold these digits
                assert f"{1000 + list(ACCESS).index(name)}" not in told


@pytest.mark.parametrize("caller", CALLERS)
def test_what_the_caller_may_know_is_there(world: World, caller: str) -> None:
    seen = {f"n_{name}" for name in CALLERS[caller][2]}
    things = world.ask(caller, "/v1.1/Things?$count=true&$top=1").json()
    assert things["@iot.count"] == len(seen)
    assert {one["name"] for one in world.ask(caller, "/v1.1/Things").json()["value"]} == seen
    for plural in ("Datastreams", "Observations", "FeaturesOfInterest", "ObservedProperties", "Actuators"):
        told = world.ask(caller, f"/v1.1/{plural}?$count=true&$top=1&$filter=id gt 0").json()
        assert told["@iot.count"] == len(seen), plural
        assert world.ask(caller, f"/v1.1/{plural}?$count=true&$top=0").json()["@iot.count"] == len(seen), plural
        links = world.ask(caller, f"/v1.1/{plural}/$ref").json()["value"]
        assert len(links) == len(seen)
    status = world.ask(caller, "/api/status").json()
    assert status["streams"] == status["streams_heard"] == status["observations"] == len(seen)
    assert status["things"] == {f"k_{name}": 1 for name in CALLERS[caller][2]}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
def test_an_address_leads_to_what_the_caller_may_know(world: World, caller: str, name: str) -> None:
    stream, thing, observation = world.streams[name], world.things[name], world.observations[name]
    paths = [
        f"/v1.1/Things({thing})", f"/v1.1/Things({thing})/name/$value", f"/v1.1/Datastreams({stream})",
        f"/v1.1/Datastreams({stream})/Observations", f"/v1.1/Datastreams({stream})/phenomenonTime",
        f"/v1.1/Datastreams({stream})/observedArea", f"/v1.1/Datastreams({stream})/Thing/Locations",
        f"/v1.1/Observations({observation})", f"/v1.1/Observations({observation})/result/$value",
        f"/v1.1/Observations({observation})/Datastream", f"/v1.1/Things({thing})/Datastreams({stream})",
        f"/api/things/{thing}", f"/api/streams/{stream}/chart?from=2026-06-01T00:00:00Z&to=2026-06-02T00:00:00Z",
    ]  # fmt: skip
    expected = 200 if name in CALLERS[caller][2] else 404
    assert {path: world.ask(caller, path).status_code for path in paths} == dict.fromkeys(paths, expected)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
def test_figures_are_of_what_the_caller_may_read(world: World, caller: str, name: str) -> None:
    asked = f"kind=k_{name}&property=p_{name}"
    span = "from=2026-06-01T00:00:00Z&to=2026-06-02T00:00:00Z"
    some = int(name in CALLERS[caller][2])
    assert len(world.ask(caller, f"/api/latest?{asked}").json()["features"]) == some
    assert len(world.ask(caller, f"/api/map/places?kind=k_{name}").json()["thing"]) == some
    assert len(world.ask(caller, f"/api/series?{asked}&{span}").json()["value"]) == some
    for by in ("city", "thing", "stream"):
        told = world.ask(caller, f"/api/aggregate?{asked}&{span}&by={by}&bucket=1d").json()
        assert sum(n or 0 for n in told["n"]) == some


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
def test_a_reading_is_taken_from_who_may_write_its_stream_on_every_way(world: World, caller: str, name: str) -> None:
    writes = {
        "public": {"open"}, "device": {"restricted"}, "department": {"personal"}, "operator": {"open", "internal"},
    }.get(caller, set(ACCESS))  # fmt: skip
    told = tried(world, caller, world.streams[name], f"s_{name}")
    if name in writes or name in CALLERS[caller][2]:
        expected = 201 if name in writes else 401 if caller == "public" else 403
        assert {way: status for way, (status, _) in told.items()} == dict.fromkeys(told, expected)
        return
    # of what it may not know the sender is told what it is told of a stream that is not there
    unknown = tried(world, caller, UNKNOWN, "s_unknown")
    assert told == unknown
    assert all(status in (400, 404) for status, _ in told.values())


UNKNOWN = 9_999_999


def tried(world: World, caller: str, stream: int, key: str) -> dict[str, tuple[int, str]]:
    """What every way of writing a reading answers; the id and the key are left out of it."""
    instant = "2026-05-01T00:00:00Z"
    one = {"result": 5, "phenomenonTime": instant}
    array = [
        {"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"], "dataArray": [[instant, 5]]}
    ]
    bodies = []
    for column, value in (("stream", stream), ("key", key)):
        table = pa.table({column: [value], "value": [5.0], "time": pa.array([0], pa.timestamp("us", "UTC"))})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        bodies.append(sink.getvalue())
    inside, named = f"/v1.1/Datastreams({stream})/Observations", {**one, "Datastream": {"@iot.id": stream}}
    part = {"id": "1", "method": "POST", "url": inside.removeprefix("/v1.1/"), "body": one}
    feature = {"name": "f", "description": "", "encodingType": "application/geo+json",
               "feature": {"type": "Point", "coordinates": [20, 60]}}  # fmt: skip
    group = {**part, "atomicityGroup": "g"}

    def post(path: str, **more: Any) -> tuple[int, str]:
        answer = world.ask(caller, path, "POST", **more)
        if path.endswith("$batch"):
            (only,) = answer.json()["responses"]
            return only["status"], clean(json.dumps(only.get("body")))
        return answer.status_code, clean(answer.text)

    def clean(text: str) -> str:
        return re.sub(rf"\b{stream}\b", "N", text).replace(key, "K")

    return {
        "quick": post(inside, json=one), "posts": post("/v1.1/Observations", json=named),
        "routes": post(f"{inside}?x=1", json=one), "list": post(inside, json=[one, one]),
        "named list": post("/v1.1/Observations", json=[named]), "array": post("/v1.1/CreateObservations", json=array),
        "arrow": post("/bulk/observations", content=bodies[0]), "key": post("/bulk/observations", content=bodies[1]),
        "batch": post("/v1.1/$batch", json={"requests": [part]}),
        "group": post("/v1.1/$batch", json={"requests": [group]}),
        "deep": post(inside, json={**one, "FeatureOfInterest": feature}),
        "deep named": post("/v1.1/Observations", json={**named, "FeatureOfInterest": feature}),
    }  # fmt: skip


def test_a_batch_of_mixed_streams_keeps_only_the_callers_own(world: World) -> None:
    mine, other = world.streams["restricted"], world.streams["open"]
    array = [
        {
            "Datastream": {"@iot.id": one},
            "components": ["phenomenonTime", "result"],
            "dataArray": [["2026-05-02T00:00:00Z", 6]],
        }
        for one in (mine, other)
    ]
    assert world.ask("device", "/v1.1/CreateObservations?on_error=refuse", "POST", json=array).status_code == 403
    kept = world.ask("device", "/v1.1/CreateObservations", "POST", json=array).json()
    assert ["error" in link for link in kept] == [False, True]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
def test_entities_are_changed_by_who_may(world: World, caller: str, name: str) -> None:
    may = {"public": {"open"}, "device": set(), "department": {"personal"}, "operator": {"open", "internal"}}.get(
        caller, set(ACCESS)
    )
    for path, body in ((f"/v1.1/Things({world.things[name]})", {"description": caller}),
                       (f"/v1.1/Datastreams({world.streams[name]})", {"description": caller}),
                       (f"/v1.1/Observations({world.observations[name]})", {"parameters": {"says": "x"}})):  # fmt: skip
        status = world.ask(caller, path, "PATCH", json=body).status_code
        if name in may:
            assert status == 200, path
        else:
            assert status in ((401, 403) if name in CALLERS[caller][2] else (404,)), path
    if name not in may:
        assert world.ask(caller, f"/v1.1/Things({world.things[name]})", "DELETE").status_code in (401, 403, 404)
        line = {"key": f"new_{caller}_{name}", "kind": f"k_{name}", "name": "x", "streams": []}
        told = world.ask(caller, "/api/register", "POST", content=json.dumps(line))
        assert told.status_code == (200 if caller in ("public", "operator") else 403)


scopes = [
    Scope(), Scope(kinds=frozenset({"a"})), Scope(kinds=frozenset({"*"})), Scope(things=frozenset({2, 99})),
    Scope(datastreams=frozenset({3, 7, 99})), Scope(kinds=frozenset({"b", "none"}), datastreams=frozenset({1})),
]  # fmt: skip


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", scopes)
def test_the_mask_and_the_sql_name_the_same_streams(new_catalog: Callable[[], str], role: Role, scope: Scope) -> None:
    catalog = Catalog.open(new_catalog())
    things = [{"id": n, "key": f"t{n}", "kind": kind} for n, kind in enumerate(["a", "b", ""], 1)]
    kinds = [("open", False), ("internal", False), ("restricted", False), ("open", True)]
    streams = [
        {"id": n, "key": f"s{n}", "thing": (n - 1) // 4 + 1, "sensor": 1, "property": 1, "name": "", "access": access,
         "personal": personal, "observation_type": "x"}
        for n, (access, personal) in enumerate(kinds * 3, 1)
    ]  # fmt: skip
    rows = {
        "things": things,
        "sensors": [{"id": 1, "key": "s"}],
        "observed_properties": [{"id": 1}],
        "datastreams": streams,
    }
    catalog.fold(1, Change(1, "t", "t", rows))
    catalog.fold(
        2,
        Change(
            1, "t", "t", {}, {"datastreams": [{"id": 5, "access": "restricted"}], "things": [{"id": 3, "kind": "a"}]}
        ),
    )
    catalog.fold(3, Change(1, "t", "t", {}, {}, {"datastreams": [{"id": 6}]}))
    for opened in (catalog, Catalog.open(str(catalog.engine.url.render_as_string(hide_password=False)))):
        caller = Caller("c", role, scope)
        with opened.engine.connect() as connection:
            told = set(connection.scalars(select(DATASTREAMS.c.id).where(readable_sql(caller, DATASTREAMS))))
        reach = Rights(opened, WallClock(), "local", trusting=False).readable(caller)
        assert set(np.flatnonzero(reach.mask).tolist()) == told
        assert reach.whole == (len(told) == 11)
        opened.close()


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", scopes)
def test_the_mask_and_the_sql_hide_the_same_things_also_when_their_streams_are_gone(
    new_catalog: Callable[[], str], role: Role, scope: Scope
) -> None:
    catalog = Catalog.open(new_catalog())
    kinds = [
        "open",
        "internal",
        "restricted",
        "personal",
        "open then closed",
        "closed then open",
        "moved",
        "never",
        "new",
    ]
    things = [{"id": n, "key": f"t{n}", "kind": "ab"[n % 2]} for n in range(1, 11)]
    streams = [
        {"id": n, "key": f"s{n}", "thing": n, "sensor": 1, "property": 1, "name": "", "observation_type": "x",
         "access": {"internal": "internal", "restricted": "restricted", "closed then open": "restricted",
                    "moved": "restricted", "new": "restricted"}.get(kind, "open"), "personal": kind == "personal"}
        for n, kind in enumerate(kinds, 1) if kind != "never"
    ]  # fmt: skip
    rows = {"things": things, "sensors": [{"id": 1, "key": "s"}], "observed_properties": [{"id": 1}]}
    changed = [{"id": 5, "access": "restricted"}, {"id": 6, "access": "open"}, {"id": 7, "thing": 10}]
    catalog.fold(1, Change(1, "t", "t", {**rows, "datastreams": streams}))
    catalog.fold(2, Change(1, "t", "t", {}, {"datastreams": changed}))
    catalog.fold(3, Change(1, "t", "t", {}, {}, {"datastreams": [{"id": n} for n in (1, 2, 3, 4, 5, 6, 9)]}))
    catalog.fold(4, Change(1, "t", "t", {"datastreams": [{**streams[0], "id": 10, "key": "s10", "thing": 9}]}))
    caller = Caller("c", role, scope)
    for opened in (catalog, Catalog.open(str(catalog.engine.url.render_as_string(hide_password=False)))):
        with opened.engine.connect() as connection:
            seen = set(connection.scalars(select(THINGS.c.id).where(thing_sql(caller, THINGS.c.id))))
        rights = Rights(opened, WallClock(), "local", trusting=False)
        assert set(range(1, 11)) - set(rights.hidden_things(caller).tolist()) == seen
        if role is Role.ADMINISTRATOR or "*" in scope.kinds:
            assert seen == set(range(1, 11))
        elif scope == Scope():
            assert seen == {1, 6, 8, 9} | ({2} if role in (Role.OPERATOR, Role.DEPARTMENT) else set())
        assert rights.readable(caller).everything == (len(seen) == 10)
        opened.close()
