"""The catalogue's tables: what exists in the city, who may do what, and how far the catalogue log has been folded.

A table holds what is now. ``seq`` is the sequence of the message on the log stream CAT that made the row or changed it
last, so that a reader under a cut hides what came later; what a message displaced is in ``<table>_past`` (``PAST``).
Settings are only ever added to. Ids are dense integers from 1, assigned by the one owner of the catalogue, and never
given twice. JSON is kept as text: the database never looks inside.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    literal_column,
    or_,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite has a fast path for a primary key that is spelled INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
# Both databases compare texts by their code points.
Words = Text().with_variant(Text(collation="C"), "postgresql")


def _id() -> Column[Any]:
    return Column("id", Id, primary_key=True, autoincrement=False)


def _key() -> Column[Any]:
    return Column("key", Words, nullable=False, unique=True)


def _to(name: str, table: str) -> Column[Any]:
    return Column(name, Id, ForeignKey(f"{table}.id"), nullable=False)


def _perhaps(name: str) -> Column[Any]:
    return Column(name, Words, nullable=True)


def _words(name: str, default: str = "") -> Column[Any]:
    return Column(name, Words, nullable=False, default=default)


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, default=False)


def _number(name: str, default: float) -> Column[Any]:
    return Column(name, Float(53), nullable=False, default=default)


def _seq() -> Column[Any]:
    return Column("seq", BigInteger, nullable=False)


THINGS = Table(
    "things",
    METADATA,
    _id(),
    _key(),  # the owner's stable external address
    _words("name"),
    _words("description"),
    _words("kind"),
    _words("properties", "{}"),
    Column("lon", Float(53)),  # [degree] WGS 84, where it was when it was registered
    Column("lat", Float(53)),
    _seq(),
    Index(None, "kind"),
)

LOCATIONS = Table(
    "locations",
    METADATA,
    _id(),
    _words("name"),
    _words("description"),
    _words("encoding_type"),
    _words("location"),
    Column("lon", Float(53)),  # [degree] WGS 84, a point on or in the location
    Column("lat", Float(53)),
    _words("properties", "{}"),
    Column("feature", Id),  # of the Observations of things that are here, where they name none
    _seq(),
)

# The Locations of a thing now are the rows with its latest time [us since epoch].
THING_LOCATIONS = Table(
    "thing_locations",
    METADATA,
    _to("thing", "things"),
    _to("location", "locations"),
    Column("time", BigInteger, nullable=False),
    _seq(),
    PrimaryKeyConstraint("thing", "time", "location"),
    Index(None, "location"),
)

HISTORICAL_LOCATIONS = Table(
    "historical_locations",
    METADATA,
    _id(),
    _to("thing", "things"),
    Column("time", BigInteger, nullable=False),
    _seq(),
    Index(None, "thing", "time"),
)

HISTORICAL_LOCATION_LOCATIONS = Table(
    "historical_location_locations",
    METADATA,
    _to("historical_location", "historical_locations"),
    _to("location", "locations"),
    _seq(),
    PrimaryKeyConstraint("historical_location", "location"),
    Index(None, "location"),
)

SENSORS = Table(
    "sensors",
    METADATA,
    _id(),
    _key(),
    _words("name"),
    _words("description"),
    _words("encoding_type"),
    _words("metadata"),
    _words("properties", "{}"),
    _seq(),
)

# SensorThings lets two observed properties bear one name; a Need asks by name and gets the streams of both.
OBSERVED_PROPERTIES = Table(
    "observed_properties",
    METADATA,
    _id(),
    _words("name"),
    _words("definition"),
    _words("description"),
    _words("properties", "{}"),
    _seq(),
    Index(None, "name"),
)

# value in SI = given * factor + offset
DATASTREAMS = Table(
    "datastreams",
    METADATA,
    _id(),
    _key(),
    _to("thing", "things"),
    _to("sensor", "sensors"),
    _to("property", "observed_properties"),
    _words("name"),
    _words("description"),
    _words("observation_type"),
    Column("unit_name", Words),
    Column("unit_symbol", Words),
    Column("unit_definition", Words),
    _words("si_unit", "1"),
    _number("factor", 1.0),
    _number("offset", 0.0),
    _words("properties", "{}"),
    _words("access", "open"),
    _flag("personal"),
    _flag("nan_allowed"),
    _seq(),
    Index(None, "thing"),
    Index(None, "sensor"),
    Index(None, "property"),
)

# Of a MultiDatastream, which is a row of ``datastreams`` with a complex result: what each value of its results is.
COMPONENTS = Table(
    "components",
    METADATA,
    _id(),
    _to("datastream", "datastreams"),
    Column("position", Integer, nullable=False),  # from 0
    _to("property", "observed_properties"),
    _words("observation_type"),
    Column("unit_name", Words),
    Column("unit_symbol", Words),
    Column("unit_definition", Words),
    _seq(),
    Index(None, "datastream"),
    Index(None, "property"),
)

FEATURES = Table(
    "features",
    METADATA,
    _id(),
    _words("name"),
    _words("description"),
    _words("encoding_type"),
    _words("feature"),
    _words("properties", "{}"),
    _seq(),
)

ACTUATORS = Table(
    "actuators",
    METADATA,
    _id(),
    _key(),
    Column("thing", Id, ForeignKey("things.id"), nullable=True),  # none: nothing may be asked of it yet
    Column("device", Id, ForeignKey("actuators.id"), nullable=True),  # the actuator whose further capability it is
    _words("name"),
    _words("description"),
    _words("kind"),
    _words("protocol"),  # mqtt or webhook
    _words("address"),
    _words("facts", "{}"),  # minimum, maximum, choices, safe ...
    _seq(),
    # What a client of SensorThings said of what may be asked, and of the device itself; null: the above says it.
    _perhaps("parameters"),  # a DataRecord, as JSON
    _perhaps("properties"),
    *(_perhaps(f"device_{name}") for name in ("name", "description", "encoding", "metadata", "properties")),
    Index(None, "thing"),
    Index(None, "kind"),
    Index(None, "device"),
)

# Who may come in. Of a token only a digest is kept: the token itself was told once, to who made it.
TOKENS = Table(
    "tokens",
    METADATA,
    _id(),
    _words("name"),
    _words("role"),
    _words("scope", "{}"),
    Column("digest", Words, nullable=False, unique=True),  # SHA-256 of 256 random bits, in hexadecimal
    Column("made", BigInteger, nullable=False),  # [us since epoch] by the machine's clock, as are the others
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("opened_by", Id, nullable=False, default=0),  # the token that logged in, of a session of a browser
    _flag("session"),
    _number("rate", 0.0),  # [1/s] requests, 0: as the settings say
    _number("most_mb", 0.0),  # [MB] of one body, likewise
    _seq(),
    Index(None, "session", "expires"),
)

# What people ask, object to or correct. Their own words are a blob (they may be personal); the answer is public.
CASES = Table(
    "cases",
    METADATA,
    _id(),
    _key(),  # random: whoever opened the case finds it again by its address
    _words("kind"),  # question, objection or correction
    _words("about"),  # a decision or a practice; empty: the city
    _words("words"),  # name of the blob
    Column("opened", BigInteger, nullable=False),  # [us since epoch], as are the next two
    Column("due", BigInteger, nullable=False),
    Column("answered", BigInteger),
    _words("answer"),
    _words("who"),  # answered it
    _seq(),
    Index(None, "answered"),
)

# Of the settings below the row with the highest seq holds.
MANDATES = Table(
    "mandates",
    METADATA,
    Column("practice", Words, nullable=False),
    Column("mandate", Words, nullable=False),
    _words("who"),
    _words("why"),
    Column("at", BigInteger, nullable=False),
    _seq(),
    PrimaryKeyConstraint("practice", "seq"),
)

PARAMETERS = Table(
    "parameters",
    METADATA,
    Column("practice", Words, nullable=False),
    _words("params", "{}"),
    _words("who"),
    _words("why"),
    Column("at", BigInteger, nullable=False),
    _seq(),
    PrimaryKeyConstraint("practice", "seq"),
)

SWITCHES = Table(
    "switches",
    METADATA,
    Column("advise_only", Boolean, nullable=False),
    _words("who"),
    _words("why"),
    Column("at", BigInteger, nullable=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)

# What people order besides: alarm rules, on-call lists, maintenance, calibrations, each kind with a form of its own.
ORDERS = Table(
    "orders",
    METADATA,
    Column("kind", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("body", Words),  # JSON; null: withdrawn
    _words("who"),
    _words("why"),
    Column("at", BigInteger, nullable=False),
    _seq(),
    PrimaryKeyConstraint("kind", "key", "seq"),
)

APPLIED = Table(
    "applied",
    METADATA,
    Column("stream", Words, primary_key=True),
    _seq(),
)


def _past(table: Table) -> Table:
    """The rows of a table that were displaced by message ``until``: no key holds there, and nothing refers to them."""
    columns = [Column(c.name, c.type, nullable=c.nullable) for c in table.c]
    return Table(
        f"{table.name}_past",
        METADATA,
        *columns,
        Column("until", BigInteger, nullable=False),
        PrimaryKeyConstraint(*(c.name for c in table.primary_key), "seq"),
        Index(None, "until"),
    )


# The table of displaced rows, by the name of the table that they were in.
PAST = {
    table.name: _past(table)
    for table in list(METADATA.sorted_tables)
    if table not in (MANDATES, PARAMETERS, SWITCHES, ORDERS, APPLIED)
}
# What a guarded stream left behind is asked for by what it belonged to: see ``gone``.
for _column in ("thing", "sensor", "property"):
    _past_streams = PAST[DATASTREAMS.name]
    _guarded = or_(_past_streams.c.access != literal_column("'open'"), _past_streams.c.personal)
    Index(None, _past_streams.c[_column], sqlite_where=_guarded, postgresql_where=_guarded)
Index(None, PAST[COMPONENTS.name].c.property)
Index(None, PAST[THING_LOCATIONS.name].c.location)
