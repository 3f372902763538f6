"""What the city knows of traffic is told as DATEX II v3 situations, and what is over is told no more.

The schema below holds the members that the DATEX II v3.5 model requires of the classes used (CEN/TS 16157-1, -2, -3
and -7), in the names of its JSON form.
"""

from typing import Any

import jsonschema

from civium.publish.situations import open_situations, publication

KINDS = {
    "congestion": {
        "jam": "queuingTraffic",
        "incident": "unspecifiedAbnormalTraffic",
        "detour": "rerouting",
        "clear": "over",
    }
}
PLACES = {3: (24.94, 60.17), 4: (24.95, 60.18)}
NOW = 1_780_272_000_000_000

_TEXT = {
    "type": "object", "required": ["values"], "additionalProperties": False,
    "properties": {"values": {"type": "array", "minItems": 1, "items": {"required": ["lang", "value"]}}},
}  # fmt: skip
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_NUMBER = {"type": "number"}
_POINT = {
    "required": ["latitude", "longitude"],
    "additionalProperties": False,
    "properties": {"latitude": _NUMBER, "longitude": _NUMBER},
}
_AT = {"properties": {"pointByCoordinates": {"properties": {"pointCoordinates": _POINT}}}}
_SEVERITY = {"enum": ["highest", "high", "medium", "low", "lowest", "none", "unknown"]}
_RECORD = {
    "type": "object",
    "required": [
        "idG", "versionG", "situationRecordCreationTime", "situationRecordVersionTime", "probabilityOfOccurrence",
        "validity", "locationReference",
    ],
    "properties": {
        "situationRecordCreationTime": _TIME,
        "situationRecordVersionTime": _TIME,
        "probabilityOfOccurrence": {"properties": {"value": {"enum": ["certain", "probable", "riskOf"]}}},
        "severity": {"properties": {"value": _SEVERITY}},
        "validity": {
            "required": ["validityStatus", "validityTimeSpecification"],
            "properties": {"validityTimeSpecification": {"required": ["overallStartTime"]}},
        },
        "generalPublicComment": {"type": "array", "items": {"required": ["comment"], "properties": {"comment": _TEXT}}},
        "locationReference": {
            "required": ["locPointLocation"],
            "properties": {"locPointLocation": _AT},
        },
    },
}  # fmt: skip
_ABNORMAL = {"required": ["abnormalTrafficType"], "properties": {"abnormalTrafficType": {"required": ["value"]}}}
_REROUTING = {
    "required": ["complianceOption", "reroutingManagementType"],
    "properties": {"complianceOption": {"properties": {"value": {"enum": ["advisory", "mandatory"]}}}},
}
SCHEMA: dict[str, Any] = {
    "type": "object", "required": ["messageContainer"], "additionalProperties": False,
    "properties": {"messageContainer": {
        "required": ["modelBaseVersionG", "payload", "exchangeInformation"],
        "properties": {"payload": {"type": "array", "items": {
            "required": ["sitSituationPublication"],
            "properties": {"sitSituationPublication": {
                "required": ["modelBaseVersionG", "lang", "publicationTime", "publicationCreator", "situation"],
                "properties": {
                    "publicationTime": _TIME,
                    "publicationCreator": {"required": ["country", "nationalIdentifier"]},
                    "situation": {"type": "array", "items": {
                        "required": ["idG", "headerInformation", "situationRecord"],
                        "properties": {
                            "headerInformation": {"required": ["informationStatus"]},
                            "situationRecord": {"type": "array", "minItems": 1, "items": {
                                "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
                                "properties": {
                                    "sitAbnormalTraffic": {"allOf": [_RECORD, _ABNORMAL]},
                                    "sitReroutingManagement": {"allOf": [_RECORD, _REROUTING]},
                                },
                            }},
                        },
                    }},
                },
            }},
        }}},
    }},
}  # fmt: skip


def notice(at: int, key: str, about: int | None = 3, severity: str = "info", text: str = "Words.") -> dict[str, Any]:
    return {"practice": "congestion", "at": NOW + at, "key": key, "about": about, "severity": severity, "values": text}


def told(*notices: dict[str, Any]) -> list[dict[str, Any]]:
    found = open_situations(notices, KINDS)
    message = publication(found, PLACES, now=NOW, creator="Town", country="zz")
    jsonschema.validate(message, SCHEMA)
    situations: list[dict[str, Any]] = message["messageContainer"]["payload"][0]["sitSituationPublication"]["situation"]
    return situations


def test_an_incident_is_one_situation_with_the_ways_round_it() -> None:
    (one,) = told(notice(0, "jam"), notice(1, "incident", severity="warning"), notice(2, "detour", text="Round it."))
    assert one["overallSeverity"] == {"value": "high"}
    traffic, way = one["situationRecord"]
    assert traffic["sitAbnormalTraffic"]["abnormalTrafficType"] == {"value": "unspecifiedAbnormalTraffic"}
    assert traffic["sitAbnormalTraffic"]["situationRecordCreationTime"] == "2026-06-01T00:00:00Z"
    words = way["sitReroutingManagement"]["reroutingItineraryDescription"]["values"][0]["value"]
    assert words == "Round it."


def test_what_is_over_is_told_no_more_and_what_begins_anew_is_another() -> None:
    assert told(notice(0, "incident"), notice(1, "clear")) == []
    (first,) = told(notice(0, "incident"))
    (again,) = told(notice(0, "incident"), notice(1, "clear"), notice(2, "incident"))
    assert first["idG"] != again["idG"]


def test_what_has_no_place_or_is_no_situation_is_left_out() -> None:
    assert told(notice(0, "incident", about=77), notice(0, "incident", about=None), notice(0, "other")) == []
    assert told({**notice(0, "incident"), "practice": "parking"}) == []
    assert told(notice(0, "detour")) == []  # without the jam that it goes round
