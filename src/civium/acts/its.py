"""Messages of cooperative traffic lights (ETSI TS 103 301, ISO TS 19091), encoded as unaligned PER with pycrate.

SREM: a request to a signal controller. SSEM: what it says to that. SPATEM: what it shows. MAPEM: how its lanes lie.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from civium.core import InputRefused, to_datetime
from civium.core.clock import MICROSECONDS
from civium.core.extras import require

PROTOCOL_VERSION = 2
SPATEM, MAPEM, SREM, SSEM = 4, 5, 9, 10  # messageID
STATES = {  # of a link in the alphabet of signal programs, as MovementPhaseState
    "G": "protected-Movement-Allowed",
    "g": "permissive-Movement-Allowed",
    "y": "protected-clearance",
    "r": "stop-And-Remain",
    "u": "pre-Movement",
    "o": "caution-Conflicting-Traffic",
    "O": "dark",
}
_LETTERS = {state: letter for letter, state in STATES.items()}
_DEGREE = 10_000_000  # of latitude and longitude in a message
_SMALLEST_MOVE = 0.01  # [m] of a node of a lane
_FARTHEST = 32_767  # of it that one node may lie from the one before


@dataclass(frozen=True, slots=True)
class Intersection:
    """A controller as the messages name it."""

    region: int
    id: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a way over an intersection: ``connection`` until an instant [us]."""

    station: int
    at: Intersection
    number: int  # 0 .. 255
    connection: int
    now: int
    until: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller says to a request: granted, rejected, processing ..."""

    at: Intersection
    station: int
    number: int
    connection: int
    status: str


def srem(request: Request) -> bytes:
    """SREM of a vehicle in emergency."""
    minute, millisecond = _minute(request.now)
    value = {
        "header": _header(SREM, request.station),
        "srm": {
            "timeStamp": minute,
            "second": millisecond,
            "sequenceNumber": request.number % 128,
            "requests": [
                {
                    "request": {
                        "id": _id(request.at),
                        "requestID": request.number,
                        "requestType": "priorityRequest",
                        "inBoundLane": ("connection", request.connection),
                    },
                    "minute": minute,
                    "second": millisecond,
                    "duration": min(max((request.until - request.now) // 1000, 0), 65_535),
                }
            ],
            "requestor": {"id": ("stationID", request.station), "type": {"role": "emergency"}},
        },
    }
    return _encode("SREM", value)


def read_srem(message: bytes) -> Request:
    """The first request of an SREM; its instants count from the beginning of the year, as the message does."""
    with _read("SREM", message) as value:
        srm = value["srm"]
        wanted = srm["requests"][0]
        request = wanted["request"]
        now = srm["timeStamp"] * 60_000_000 + srm["second"] * 1000
        return Request(
            station=value["header"]["stationID"],
            at=_intersection(request["id"]),
            number=request["requestID"],
            connection=request["inBoundLane"][1],
            now=now,
            until=now + wanted["duration"] * 1000,
        )


def ssem(answer: Answer, now: int, station: int) -> bytes:
    """SSEM of the controller ``station``."""
    minute, millisecond = _minute(now)
    value = {
        "header": _header(SSEM, station),
        "ssm": {
            "timeStamp": minute,
            "second": millisecond,
            "status": [
                {
                    "sequenceNumber": answer.number % 128,
                    "id": _id(answer.at),
                    "sigStatus": [
                        {
                            "requester": {
                                "id": ("stationID", answer.station),
                                "request": answer.number,
                                "sequenceNumber": answer.number % 128,
                            },
                            "inboundOn": ("connection", answer.connection),
                            "status": answer.status,
                        }
                    ],
                }
            ],
        },
    }
    return _encode("SSEM", value)


def read_ssem(message: bytes) -> list[Answer]:
    """All answers of an SSEM."""
    with _read("SSEM", message) as value:
        return [
            Answer(
                at=_intersection(status["id"]),
                station=one["requester"]["id"][1],
                number=one["requester"]["request"],
                connection=one["inboundOn"][1],
                status=one["status"],
            )
            for status in value["ssm"]["status"]
            for one in status["sigStatus"]
            if "requester" in one
        ]


def spatem(at: Intersection, state: str, now: int, station: int) -> bytes:
    """SPATEM of what a controller shows: character i of ``state`` is signal group i + 1."""
    minute, millisecond = _minute(now)
    try:
        states = [
            {"signalGroup": i + 1, "state-time-speed": [{"eventState": STATES[letter]}]}
            for i, letter in enumerate(state)
        ]
    except KeyError as error:
        raise InputRefused(f"'{error.args[0]}' is no state of a link: {' '.join(STATES)}") from None
    here = {"id": _id(at), "revision": 0, "status": (0, 16), "moy": minute, "timeStamp": millisecond, "states": states}
    return _encode("SPATEM", {"header": _header(SPATEM, station), "spat": {"intersections": [here]}})


def read_spatem(message: bytes) -> dict[Intersection, str]:
    """State string of each intersection of a SPATEM; a signal group that is not told is red."""
    shown = {}
    with _read("SPATEM", message) as value:
        for here in value["spat"]["intersections"]:
            groups = {one["signalGroup"]: one["state-time-speed"][0]["eventState"] for one in here["states"]}
            told = (_LETTERS.get(groups.get(i + 1, ""), "r") for i in range(max(groups)))
            shown[_intersection(here["id"])] = "".join(told)
    return shown


def mapem(at: Intersection, where: tuple[float, float], lanes: Sequence[Mapping[str, Any]], station: int) -> bytes:
    """MAPEM of a controller at ``where``, longitude and latitude [deg].

    Each of ``lanes`` has ``points`` [m, east and north of ``where``], the nearest first, ``incoming``, and ``ways``:
    pairs of the lane (from 1) that it leads to and its signal group.
    """
    value = {
        "header": _header(MAPEM, station),
        "map": {
            "msgIssueRevision": 0,
            "intersections": [
                {
                    "id": _id(at),
                    "revision": 0,
                    "refPoint": {"lat": round(where[1] * _DEGREE), "long": round(where[0] * _DEGREE)},
                    "laneSet": [_lane(number + 1, lane) for number, lane in enumerate(lanes)],
                }
            ],
        },
    }
    return _encode("MAPEM", value)


def read_mapem(message: bytes) -> tuple[Intersection, tuple[float, float], list[dict[str, Any]]]:
    """The first intersection of a MAPEM, as ``mapem`` takes it."""
    lanes = []
    with _read("MAPEM", message) as value:
        here = value["map"]["intersections"][0]
        for lane in here["laneSet"]:
            points, x, y = [], 0, 0
            for node in lane["nodeList"][1]:
                x, y = x + node["delta"][1]["x"], y + node["delta"][1]["y"]
                points.append((x * _SMALLEST_MOVE, y * _SMALLEST_MOVE))
            ways = [(way["connectingLane"]["lane"], way["signalGroup"]) for way in lane.get("connectsTo", ())]
            incoming = bool(lane["laneAttributes"]["directionalUse"][0] & 2)
            lanes.append({"points": points, "incoming": incoming, "ways": ways})
        place = here["refPoint"]
        return _intersection(here["id"]), (place["long"] / _DEGREE, place["lat"] / _DEGREE), lanes


def _lane(number: int, lane: Mapping[str, Any]) -> dict[str, Any]:
    nodes, x, y = [], 0, 0
    for east, north in lane["points"]:
        dx, dy = round(east / _SMALLEST_MOVE) - x, round(north / _SMALLEST_MOVE) - y
        if max(abs(dx), abs(dy)) > _FARTHEST:
            raise InputRefused(f"lane {number} has points more than {_FARTHEST * _SMALLEST_MOVE:.0f} m apart")
        x, y = x + dx, y + dy
        nodes.append({"delta": ("node-XY6", {"x": dx, "y": dy})})
    told: dict[str, Any] = {
        "laneID": number,
        "laneAttributes": {
            "directionalUse": (2 if lane["incoming"] else 1, 2),
            "sharedWith": (0, 10),
            "laneType": ("vehicle", (0, 8)),
        },
        "nodeList": ("nodes", nodes),
    }
    if lane["ways"]:
        told["connectsTo"] = [
            {"connectingLane": {"lane": to}, "signalGroup": group, "connectionID": group} for to, group in lane["ways"]
        ]
    return told


def _header(message: int, station: int) -> dict[str, int]:
    return {"protocolVersion": PROTOCOL_VERSION, "messageID": message, "stationID": station}


def _id(at: Intersection) -> dict[str, int]:
    return {"region": at.region, "id": at.id}


def _intersection(told: Mapping[str, int]) -> Intersection:
    return Intersection(told.get("region", 0), told["id"])


def _minute(now: int) -> tuple[int, int]:
    """Minute of the year, and millisecond of that minute, of an instant [us]."""
    time = to_datetime(now)
    year = time.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    since = round((time - year).total_seconds() * MICROSECONDS)
    return since // 60_000_000, since % 60_000_000 // 1000


def prepare() -> Any:
    """Loads the descriptions of the messages, which takes a second or two; ``ExtraMissing`` names the install line."""
    return require("pycrate_asn1dir.ITS_IS", "v2x")


def _form(name: str) -> Any:
    return getattr(getattr(prepare(), f"{name}_PDU_Descriptions"), name)


def _encode(name: str, value: Mapping[str, Any]) -> bytes:
    form = _form(name)
    try:
        form.set_val(value)
        return bytes(form.to_uper())
    except Exception as error:  # pycrate has errors of many kinds
        raise InputRefused(f"no {name} can say this: {error}") from error


@contextmanager
def _read(name: str, message: bytes) -> Iterator[Any]:
    """The content of a message; ``InputRefused`` where it is none, or lacks what is looked for."""
    form = _form(name)
    try:
        form.from_uper(message)
        yield form.get_val()
    except Exception as error:  # pycrate has errors of many kinds
        raise InputRefused(f"this is no {name} that can be read: {error!r}") from error
