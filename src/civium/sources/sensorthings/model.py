"""The entities of SensorThings as data: the nine of Sensing and the three of Tasking, their fields, their links, and
where each is kept.

Most live in the catalogue; Observations live in the lake, whose columns are ``core.observations.STORED``, and Tasks on
the record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    FromClause,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy import DateTime as Instant

from civium.engines.catalog import tables
from civium.engines.catalog.dialects import constant, json_address
from civium.engines.catalog.streams import COMPLEX_TYPE

# The lake's rows as they are now, as SQL sees them; times there are UTC without a zone.
OBSERVATIONS = Table(
    "observations",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("stream", BigInteger),
    Column("time", Instant),
    Column("until", Instant),
    Column("made", Instant),
    Column("value", Double),
    Column("text", Text),
    Column("json", Text),
    Column("quality", SmallInteger),
    Column("feature", BigInteger),
    Column("params", Text),
    Column("parent", Text),
    Column("made_here", Boolean),
)

# What the record's projection tells of each wish, as SQL sees it.
TASKS = Table(
    "commands",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("decision", Text),
    Column("number", BigInteger),
    Column("practice", Text),
    Column("who", Text),
    Column("actuator", BigInteger),
    Column("created", BigInteger),
    Column("wish", Text),
    Column("status", Text),
    Column("status_at", BigInteger),
    Column("why", Text),
    Column("history", Text),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an entity.

    ``kind`` is one of string, json, geometry (GeoJSON), document (text, or JSON if it looks so), unit, time [us since
    epoch], period, instant, result, quality, valid; the last five are those of Observations. Of a Datastream's derived
    fields, area and span, no column is kept: they come of its Observations. Components, of a MultiDatastream, are in a
    table of their own. Of Tasking: parts (an object of columns, ``PARTS``) and tasking (the parameters that an
    actuator's facts allow, unless others were told).
    """

    name: str
    kind: str
    column: str
    mandatory: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """A navigation property.

    Exactly one way leads there: ``own`` is our column that holds the target's id; ``theirs`` is the target's column
    that holds our id; ``through`` is a table between, with our id and the target's id in two columns.
    """

    name: str
    target: str
    many: bool
    own: str = ""
    theirs: str = ""
    through: tuple[str, str, str] = ("", "", "")  # table, column of our id, column of the target's id
    mandatory: bool = False
    order: str = ""  # column of the table between that orders the targets where nothing else does


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of entity: its singular and plural name, its table, fields and links."""

    name: str
    plural: str
    table: Table
    fields: tuple[Field, ...]
    links: tuple[Link, ...]
    derived: tuple[Field, ...] = ()
    seen: FromClause | None = None  # the rows of the table that are such entities, if not all are

    @property
    def rows(self) -> FromClause:
        """Where it is read from; ``table`` is where it is kept."""
        return self.table if self.seen is None else self.seen

    def field(self, name: str) -> Field | None:
        return next((field for field in (*self.fields, *self.derived) if field.name == name), None)

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)


# A MultiDatastream is a stream with a complex result: it has its id among the Datastreams, and is none of them.
_SINGLE, _MULTI = (
    select(tables.DATASTREAMS).where(condition).subquery(name)
    for name, condition in (
        ("single_datastreams", tables.DATASTREAMS.c.observation_type != COMPLEX_TYPE),
        ("multi_datastreams", tables.DATASTREAMS.c.observation_type == COMPLEX_TYPE),
    )
)
_C = tables.ACTUATORS.c
_ADDRESS = json_address(_C.key, _C.kind, _C.protocol)
# An actuator of the city is both: what can be asked of it, once it is of a Thing, and the device that does it. What
# else can be asked of the same device is an actuator too, which is no device.
_CAPABILITY = (
    select(
        _C.id,
        _C.thing,
        func.coalesce(_C.device, _C.id).label("device"),
        _C.name,
        _C.description,
        _C.facts,
        _C.parameters,
    )
    .add_columns(func.coalesce(_C.properties, _ADDRESS).label("properties"))
    .where(_C.thing.is_not(None))
    .subquery("tasking_capabilities")
)
_DEVICE = (
    select(
        _C.id,
        _C.thing,
        func.coalesce(_C.device_name, _C.name).label("name"),
        func.coalesce(_C.device_description, _C.description).label("description"),
        func.coalesce(_C.device_encoding, constant("application/json")).label("encoding_type"),
        func.coalesce(_C.device_metadata, _C.facts).label("metadata"),
        func.coalesce(_C.device_properties, _ADDRESS).label("properties"),
    )
    .where(_C.device.is_(None))
    .subquery("devices")
)
_NAME = Field("name", "string", "name")
_DESCRIPTION = Field("description", "string", "description")
_PROPERTIES = Field("properties", "json", "properties", mandatory=False)
_ENCODING = Field("encodingType", "string", "encoding_type")

_OBSERVED = (
    Field("observedArea", "area", "area", mandatory=False),
    Field("phenomenonTime", "span", "phenomenon", mandatory=False),
    Field("resultTime", "span", "result", mandatory=False),
)

ENTITIES = (
    Entity(
        "Thing",
        "Things",
        tables.THINGS,
        (_NAME, _DESCRIPTION, _PROPERTIES),
        (
            Link("Datastreams", "Datastream", many=True, theirs="thing"),
            Link("MultiDatastreams", "MultiDatastream", many=True, theirs="thing"),
            Link("Locations", "Location", many=True, through=("current_locations", "thing", "location")),
            Link("HistoricalLocations", "HistoricalLocation", many=True, theirs="thing"),
            Link("TaskingCapabilities", "TaskingCapability", many=True, theirs="thing"),
        ),
    ),
    Entity(
        "Location",
        "Locations",
        tables.LOCATIONS,
        (_NAME, _DESCRIPTION, _ENCODING, Field("location", "geometry", "location"), _PROPERTIES),
        (
            Link("Things", "Thing", many=True, through=("current_locations", "location", "thing")),
            Link(
                "HistoricalLocations",
                "HistoricalLocation",
                many=True,
                through=("historical_location_locations", "location", "historical_location"),
            ),
        ),
    ),
    Entity(
        "HistoricalLocation",
        "HistoricalLocations",
        tables.HISTORICAL_LOCATIONS,
        (Field("time", "time", "time"),),
        (
            Link("Thing", "Thing", many=False, own="thing", mandatory=True),
            Link(
                "Locations",
                "Location",
                many=True,
                through=("historical_location_locations", "historical_location", "location"),
                mandatory=True,
            ),
        ),
    ),
    Entity(
        "Datastream",
        "Datastreams",
        tables.DATASTREAMS,
        (
            _NAME,
            _DESCRIPTION,
            Field("observationType", "string", "observation_type"),
            Field("unitOfMeasurement", "unit", "unit_name"),
            _PROPERTIES,
        ),
        (
            Link("Thing", "Thing", many=False, own="thing", mandatory=True),
            Link("Sensor", "Sensor", many=False, own="sensor", mandatory=True),
            Link("ObservedProperty", "ObservedProperty", many=False, own="property", mandatory=True),
            Link("Observations", "Observation", many=True, theirs="stream"),
        ),
        _OBSERVED,
        _SINGLE,
    ),
    Entity(
        "MultiDatastream",
        "MultiDatastreams",
        tables.DATASTREAMS,
        (
            _NAME,
            _DESCRIPTION,
            Field("observationType", "string", "observation_type"),
            Field("multiObservationDataTypes", "components", "observation_type"),
            Field("unitOfMeasurements", "components", "unit"),
            _PROPERTIES,
        ),
        (
            Link("Thing", "Thing", many=False, own="thing", mandatory=True),
            Link("Sensor", "Sensor", many=False, own="sensor", mandatory=True),
            Link(
                "ObservedProperties",
                "ObservedProperty",
                many=True,
                through=("components", "datastream", "property"),
                mandatory=True,
                order="position",
            ),
            Link("Observations", "Observation", many=True, theirs="stream"),
        ),
        _OBSERVED,
        _MULTI,
    ),
    Entity(
        "Sensor",
        "Sensors",
        tables.SENSORS,
        (_NAME, _DESCRIPTION, _ENCODING, Field("metadata", "document", "metadata"), _PROPERTIES),
        (
            Link("Datastreams", "Datastream", many=True, theirs="sensor"),
            Link("MultiDatastreams", "MultiDatastream", many=True, theirs="sensor"),
        ),
    ),
    Entity(
        "ObservedProperty",
        "ObservedProperties",
        tables.OBSERVED_PROPERTIES,
        (_NAME, Field("definition", "string", "definition"), _DESCRIPTION, _PROPERTIES),
        (
            Link("Datastreams", "Datastream", many=True, theirs="property"),
            Link("MultiDatastreams", "MultiDatastream", many=True, through=("components", "property", "datastream")),
        ),
    ),
    Entity(
        "Observation",
        "Observations",
        OBSERVATIONS,
        (
            Field("phenomenonTime", "period", "time", mandatory=False),
            Field("resultTime", "instant", "made"),
            Field("result", "result", "value"),
            Field("resultQuality", "quality", "quality", mandatory=False),
            Field("validTime", "valid", "params", mandatory=False),
            Field("parameters", "json", "params", mandatory=False),
        ),
        (
            Link("Datastream", "Datastream", many=False, own="stream"),  # this one or the next
            Link("MultiDatastream", "MultiDatastream", many=False, own="stream"),
            Link("FeatureOfInterest", "FeatureOfInterest", many=False, own="feature"),
        ),
    ),
    Entity(
        "FeatureOfInterest",
        "FeaturesOfInterest",
        tables.FEATURES,
        (_NAME, _DESCRIPTION, _ENCODING, Field("feature", "geometry", "feature"), _PROPERTIES),
        (Link("Observations", "Observation", many=True, theirs="feature"),),
    ),
    Entity(
        "TaskingCapability",
        "TaskingCapabilities",
        tables.ACTUATORS,
        (
            _NAME,
            _DESCRIPTION,
            Field("taskingParameters", "tasking", "facts"),
            _PROPERTIES,
        ),
        (
            Link("Thing", "Thing", many=False, own="thing", mandatory=True),
            Link("Actuator", "Actuator", many=False, own="device", mandatory=True),
            Link("Tasks", "Task", many=True, theirs="actuator"),
        ),
        seen=_CAPABILITY,
    ),
    Entity(
        "Actuator",
        "Actuators",
        tables.ACTUATORS,
        (
            _NAME,
            _DESCRIPTION,
            _ENCODING,
            Field("metadata", "document", "metadata"),
            _PROPERTIES,
        ),
        (Link("TaskingCapabilities", "TaskingCapability", many=True, theirs="device"),),
        seen=_DEVICE,
    ),
    Entity(
        "Task",
        "Tasks",
        TASKS,
        (
            Field("creationTime", "time", "created"),
            Field("taskingParameters", "json", "wish"),
            Field("status", "string", "status"),
            Field("statusTime", "time", "status_at"),
            Field("reason", "string", "why", mandatory=False),
            Field("history", "document", "history"),
            Field("properties", "parts", "commands", mandatory=False),
        ),
        (Link("TaskingCapability", "TaskingCapability", many=False, own="actuator", mandatory=True),),
    ),
)
CAPABLE = ("TaskingCapability", "Actuator")  # kept in one table
TASKING = (*CAPABLE, "Task")  # not made or changed as the others are
BY_NAME = {entity.name: entity for entity in ENTITIES}
BY_PLURAL = {entity.plural: entity for entity in ENTITIES}
# The columns of a field of the kind ``parts``, by its ``column``.
PARTS: dict[str, dict[str, str]] = {"commands": {name: name for name in ("decision", "practice", "who")}}
UNIT_COLUMNS = {"name": "unit_name", "symbol": "unit_symbol", "definition": "unit_definition"}


def target(link: Link) -> Entity:
    """The entity that a link leads to."""
    return BY_NAME[link.target]


def is_one(entity: Entity, row: Mapping[str, Any]) -> bool:
    """Whether a row of the table of an entity is one: a MultiDatastream is no Datastream, nor every Actuator a
    TaskingCapability."""
    if entity.name in CAPABLE:
        return row["device"] is None if entity.name == "Actuator" else row["thing"] is not None
    return entity.seen is None or (row["observation_type"] == COMPLEX_TYPE) == (entity.name == "MultiDatastream")


def between(name: str) -> FromClause:
    """The table between two entities; a thing's ``current_locations`` are those of its latest time."""
    if name != "current_locations":
        return tables.METADATA.tables[name].alias()
    ours = tables.THING_LOCATIONS.alias()
    others = tables.THING_LOCATIONS.alias()
    latest: Any = select(func.max(others.c.time)).where(others.c.thing == ours.c.thing).scalar_subquery()
    return select(ours.c.thing, ours.c.location).where(ours.c.time == latest).subquery()
