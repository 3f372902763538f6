"""What OpenAPI says of the SensorThings addresses: their options, with examples, and what they answer."""

from typing import Any

_OPTIONS: dict[str, tuple[str, str, Any]] = {
    "$filter": ("string", "A condition.", "phenomenonTime gt now() sub duration'PT1H' and result ge 5"),
    "$orderby": ("string", "What to sort by, and asc or desc.", "phenomenonTime desc"),
    "$top": ("integer", "How many at most on a page (100 unless given, 10,000 at most).", 10),
    "$skip": ("integer", "How many to pass over. Pages are better followed by @iot.nextLink.", 0),
    "$count": ("boolean", "Whether to tell how many there are on all pages.", True),
    "$select": ("string", "Properties and links to tell.", "@iot.id,name"),
    "$expand": ("string", "Links whose entities to tell too, with options of their own.", "Datastreams($top=1)"),
    "$resultFormat": ("string", "Another format: dataArray (Observations), CSV or GeoJSON.", "CSV"),
    "$skiptoken": ("string", "Behind which entity the page begins; a next link has it.", None),
}
_OF_ONE = ("$select", "$expand", "$resultFormat")
_REFUSAL = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "type": {"type": "string"}, "message": {"type": "string"}},
}
_ENTITY: dict[str, Any] = {"type": "object", "additionalProperties": True}
_COLLECTION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "@iot.count": {"type": "integer"},
        "@iot.nextLink": {"type": "string"},
        "value": {"type": "array", "items": _ENTITY},
    },
    "required": ["value"],
}


def collection(what: str) -> dict[str, Any]:
    """Of a collection, such as Things."""
    return {"summary": f"List {what}", "parameters": list(map(_option, _OPTIONS)), "responses": _answers(_COLLECTION)}


def entity(what: str) -> dict[str, Any]:
    """Of one entity by its id."""
    id_schema = {"type": "integer", "minimum": 1}
    identity = {"name": "id", "in": "path", "required": True, "schema": id_schema, "description": "Its @iot.id."}
    parameters = [identity, *map(_option, _OF_ONE)]
    return {"summary": f"One of the {what}", "parameters": parameters, "responses": _answers(_ENTITY)}


def anywhere() -> dict[str, Any]:
    """Of what a path may lead to beside these: links of any depth, properties, ``$value`` and ``$ref``."""
    path = {
        "name": "path",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": "Links and properties, such as Things(1)/Datastreams, Datastreams(1)/Thing/Locations, "
        "Things(1)/name/$value or Things/$ref.",
        "example": "Things(1)/Datastreams",
    }
    parameters = [path, *map(_option, _OPTIONS)]
    return {"summary": "Follow links and properties", "parameters": parameters, "responses": _answers(_ENTITY)}


def _option(name: str) -> dict[str, Any]:
    kind, description, example = _OPTIONS[name]
    schema: dict[str, Any] = {"type": kind} | ({"minimum": 0} if kind == "integer" else {})
    told = {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
    return told if example is None else told | {"example": example}


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    refusal = {"application/json": {"schema": _REFUSAL}}
    return {
        "200": {"description": "What was asked for.", "content": {"application/json": {"schema": schema}}},
        "204": {"description": "The property has no value."},
        "400": {"description": "The query is wrong; the message names the token and its place.", "content": refusal},
        "404": {"description": "There is no such thing.", "content": refusal},
        "501": {"description": "The query is right, but cannot be answered here.", "content": refusal},
    }
