"""What is told to the public of traffic, as DATEX II v3 situations in its JSON form (CEN/TS 16157-3, -7; version 3.5).

A practice says in ``[situations]`` of its register what each of its notices is: an ``AbnormalTraffic`` type, the key
word ``rerouting``, or ``over``. Names of members are those of the JSON that the DATEX II methodology makes of the
model: what is chosen of a substitution group carries its namespace (``sitAbnormalTraffic``), attributes end in ``G``,
enumerations and texts are objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from civium.core import to_datetime

ABNORMAL = frozenset({"heavyTraffic", "queuingTraffic", "slowTraffic", "stationaryTraffic", "stopAndGo"}) | {
    "unspecifiedAbnormalTraffic"
}
REROUTING, OVER = "rerouting", "over"
_SEVERITY = {"info": "low", "warning": "high", "alarm": "highest"}
MODEL = "3"  # modelBaseVersion


@dataclass(slots=True)
class Situation:
    """What happens at one thing: ``records`` are (kind, notice) in order of time."""

    practice: str
    thing: int
    records: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def open_situations(notices: Iterable[Mapping[str, Any]], kinds: Mapping[str, Mapping[str, str]]) -> list[Situation]:
    """The situations that are not over. ``notices`` are rows in order of time; ``kinds``: practice, then notice key."""
    found: dict[tuple[str, int], Situation] = {}
    for notice in notices:
        kind = kinds.get(notice["practice"], {}).get(notice["key"], "")
        if not kind or notice["about"] is None:
            continue
        key = (notice["practice"], notice["about"])
        if kind == OVER:
            found.pop(key, None)
            continue
        if kind in ABNORMAL:  # a jam that became an incident is the same situation, told anew
            begun = found.get(key)
            first = [one for one in begun.records if one[0] in ABNORMAL][:1] if begun else []
            found[key] = Situation(*key, [*first, (kind, notice)])
        elif key in found:
            found[key].records = [one for one in found[key].records if one[0] != kind] + [(kind, notice)]
    return list(found.values())


def publication(
    situations: Sequence[Situation],
    places: Mapping[int, tuple[float, float]],
    *,
    now: int,
    creator: str,
    country: str,
) -> dict[str, Any]:
    """The message of situations; ``places``: longitude and latitude [deg] of things; ``now`` [us].

    A situation whose thing has no place is left out: DATEX II requires one.
    """
    told = [_situation(one, places[one.thing]) for one in situations if one.thing in places]
    payload = {
        "modelBaseVersionG": MODEL,
        "lang": "en",
        "publicationTime": _time(now),
        "publicationCreator": {"country": country, "nationalIdentifier": creator},
        "situation": told,
    }
    exchange = {
        "exchangeContext": {
            "codedExchangeProtocol": {"value": "snapshotPull"},
            "exchangeSpecificationVersion": "2020",
            "supplierOrCisRequester": {"internationalIdentifier": {"country": country, "nationalIdentifier": creator}},
        },
        "dynamicInformation": {"exchangeStatus": {"value": "online"}, "messageGenerationTimestamp": _time(now)},
    }
    return {
        "messageContainer": {
            "modelBaseVersionG": MODEL,
            "payload": [{"sitSituationPublication": payload}],
            "exchangeInformation": exchange,
        }
    }


def _situation(situation: Situation, place: tuple[float, float]) -> dict[str, Any]:
    identity = f"{situation.practice}-{situation.thing}-{situation.records[0][1]['at']}"
    last = situation.records[-1][1]
    worst = max((one["severity"] for _, one in situation.records), key=list(_SEVERITY).index)
    return {
        "idG": identity,
        "overallSeverity": {"value": _SEVERITY[worst]},
        "situationVersionTime": _time(last["at"]),
        "headerInformation": {"informationStatus": {"value": "real"}},
        "situationRecord": [
            _record(f"{identity}-{number}", kind, notice, situation.records[0][1]["at"], place)
            for number, (kind, notice) in enumerate(_newest(situation.records))
        ],
    }


def _newest(records: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Of what is told of the traffic itself the newest, and the ways round."""
    traffic = [one for one in records if one[0] in ABNORMAL]
    return [*traffic[-1:], *(one for one in records if one[0] not in ABNORMAL)]


def _record(
    identity: str,
    kind: str,
    notice: Mapping[str, Any],
    begun: int,
    place: tuple[float, float],
) -> dict[str, Any]:
    text = notice["values"]  # the words of the register with its values in them, as the record keeps them
    record: dict[str, Any] = {
        "idG": identity,
        "versionG": str(notice["at"]),
        "situationRecordCreationTime": _time(begun),
        "situationRecordVersionTime": _time(notice["at"]),
        "probabilityOfOccurrence": {"value": "probable"},  # no person has confirmed it
        "severity": {"value": _SEVERITY[notice["severity"]]},
        "validity": {
            "validityStatus": {"value": "active"},
            "validityTimeSpecification": {"overallStartTime": _time(begun)},
        },
        "generalPublicComment": [{"comment": {"values": [{"lang": "en", "value": text}]}}],
        "locationReference": {
            "locPointLocation": {
                "pointByCoordinates": {"pointCoordinates": {"latitude": place[1], "longitude": place[0]}}
            }
        },
    }
    if kind == REROUTING:
        record["complianceOption"] = {"value": "advisory"}
        record["reroutingManagementType"] = [{"value": "followLocalDiversion"}]
        record["reroutingItineraryDescription"] = {"values": [{"lang": "en", "value": text}]}
        return {"sitReroutingManagement": record}
    record["abnormalTrafficType"] = {"value": kind}
    return {"sitAbnormalTraffic": record}


def _time(instant: int) -> str:
    return to_datetime(instant).isoformat(timespec="seconds").replace("+00:00", "Z")
