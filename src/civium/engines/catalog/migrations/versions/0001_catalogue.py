"""The first catalogue: the SensorThings entities, actuators, settings, and how far the log is folded."""

import sqlalchemy as sa
from alembic import op

from civium.engines.catalog.migrations.functions import FUNCTIONS

revision = "0001"
down_revision = None
# Both databases compare texts by their code points.
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(function)
    op.create_table(
        "applied",
        sa.Column("stream", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_applied")),
    )
    op.create_table(
        "features",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("encoding_type", WORDS, nullable=False),
        sa.Column("feature", WORDS, nullable=False),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_features")),
    )
    op.create_table(
        "locations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("encoding_type", WORDS, nullable=False),
        sa.Column("location", WORDS, nullable=False),
        sa.Column("lon", sa.Float(precision=53), nullable=True),
        sa.Column("lat", sa.Float(precision=53), nullable=True),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
    )
    op.create_table(
        "mandates",
        sa.Column("practice", WORDS, nullable=False),
        sa.Column("mandate", WORDS, nullable=False),
        sa.Column("who", WORDS, nullable=False),
        sa.Column("why", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("practice", "seq", name=op.f("pk_mandates")),
    )
    op.create_table(
        "observed_properties",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("definition", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observed_properties")),
    )
    with op.batch_alter_table("observed_properties", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_observed_properties_name"), ["name"], unique=False)

    op.create_table(
        "parameters",
        sa.Column("practice", WORDS, nullable=False),
        sa.Column("params", WORDS, nullable=False),
        sa.Column("who", WORDS, nullable=False),
        sa.Column("why", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("practice", "seq", name=op.f("pk_parameters")),
    )
    op.create_table(
        "sensors",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("encoding_type", WORDS, nullable=False),
        sa.Column("metadata", WORDS, nullable=False),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sensors")),
        sa.UniqueConstraint("key", name=op.f("uq_sensors_key")),
    )
    op.create_table(
        "switches",
        sa.Column("advise_only", sa.Boolean(), nullable=False),
        sa.Column("who", WORDS, nullable=False),
        sa.Column("why", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_switches")),
    )
    op.create_table(
        "things",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("lon", sa.Float(precision=53), nullable=True),
        sa.Column("lat", sa.Float(precision=53), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_things")),
        sa.UniqueConstraint("key", name=op.f("uq_things_key")),
    )
    with op.batch_alter_table("things", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_things_kind"), ["kind"], unique=False)

    op.create_table(
        "actuators",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("thing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("protocol", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=False),
        sa.Column("facts", WORDS, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["thing"], ["things.id"], name=op.f("fk_actuators_thing")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actuators")),
        sa.UniqueConstraint("key", name=op.f("uq_actuators_key")),
    )
    with op.batch_alter_table("actuators", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_actuators_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_actuators_thing"), ["thing"], unique=False)

    op.create_table(
        "datastreams",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("thing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sensor", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("property", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("observation_type", WORDS, nullable=False),
        sa.Column("unit_name", WORDS, nullable=True),
        sa.Column("unit_symbol", WORDS, nullable=True),
        sa.Column("unit_definition", WORDS, nullable=True),
        sa.Column("si_unit", WORDS, nullable=False),
        sa.Column("factor", sa.Float(precision=53), nullable=False),
        sa.Column("offset", sa.Float(precision=53), nullable=False),
        sa.Column("properties", WORDS, nullable=False),
        sa.Column("access", WORDS, nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("nan_allowed", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["property"], ["observed_properties.id"], name=op.f("fk_datastreams_property")),
        sa.ForeignKeyConstraint(["sensor"], ["sensors.id"], name=op.f("fk_datastreams_sensor")),
        sa.ForeignKeyConstraint(["thing"], ["things.id"], name=op.f("fk_datastreams_thing")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datastreams")),
        sa.UniqueConstraint("key", name=op.f("uq_datastreams_key")),
    )
    with op.batch_alter_table("datastreams", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_datastreams_property"), ["property"], unique=False)
        batch_op.create_index(batch_op.f("ix_datastreams_sensor"), ["sensor"], unique=False)
        batch_op.create_index(batch_op.f("ix_datastreams_thing"), ["thing"], unique=False)

    op.create_table(
        "historical_locations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("thing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["thing"], ["things.id"], name=op.f("fk_historical_locations_thing")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_historical_locations")),
    )
    with op.batch_alter_table("historical_locations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_historical_locations_thing_time"), ["thing", "time"], unique=False)

    op.create_table(
        "thing_locations",
        sa.Column("thing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("location", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["location"], ["locations.id"], name=op.f("fk_thing_locations_location")),
        sa.ForeignKeyConstraint(["thing"], ["things.id"], name=op.f("fk_thing_locations_thing")),
        sa.PrimaryKeyConstraint("thing", "time", "location", name=op.f("pk_thing_locations")),
    )
    with op.batch_alter_table("thing_locations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_thing_locations_location"), ["location"], unique=False)

    op.create_table(
        "historical_location_locations",
        sa.Column("historical_location", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("location", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["historical_location"],
            ["historical_locations.id"],
            name=op.f("fk_historical_location_locations_historical_location"),
        ),
        sa.ForeignKeyConstraint(["location"], ["locations.id"], name=op.f("fk_historical_location_locations_location")),
        sa.PrimaryKeyConstraint("historical_location", "location", name=op.f("pk_historical_location_locations")),
    )
    with op.batch_alter_table("historical_location_locations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_historical_location_locations_location"), ["location"], unique=False)
