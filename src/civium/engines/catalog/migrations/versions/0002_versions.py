"""Versions: beside each table of entities its rows that were changed or taken away; and features of Locations."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
TYPES: dict[str, Any] = {
    "id": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "words": sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
    "number": sa.Float(precision=53),
    "whole": sa.BigInteger(),
    "flag": sa.Boolean(),
}
# Table: its primary key, and its columns by type; ? marks those that may be null.
TABLES = {
    "actuators": (
        "id",
        {"id": "id thing", "words": "key name description kind protocol address facts", "whole": "seq"},
    ),
    "datastreams": (
        "id",
        {
            "id": "id thing sensor property",
            "words": "key name description observation_type si_unit properties access",
            "words?": "unit_name unit_symbol unit_definition",
            "number": "factor offset",
            "flag": "personal nan_allowed",
            "whole": "seq",
        },
    ),
    "features": (
        "id",
        {"id": "id", "words": "name description encoding_type feature properties", "whole": "seq"},
    ),
    "historical_location_locations": (
        "historical_location location",
        {"id": "historical_location location", "whole": "seq"},
    ),
    "historical_locations": (
        "id",
        {"id": "id thing", "whole": "time seq"},
    ),
    "locations": (
        "id",
        {
            "id": "id",
            "words": "name description encoding_type location properties",
            "number?": "lon lat",
            "id?": "feature",
            "whole": "seq",
        },
    ),
    "observed_properties": (
        "id",
        {"id": "id", "words": "name definition description properties", "whole": "seq"},
    ),
    "sensors": (
        "id",
        {"id": "id", "words": "key name description encoding_type metadata properties", "whole": "seq"},
    ),
    "thing_locations": (
        "thing time location",
        {"id": "thing location", "whole": "time seq"},
    ),
    "things": (
        "id",
        {"id": "id", "words": "key name description kind properties", "number?": "lon lat", "whole": "seq"},
    ),
}


def upgrade() -> None:
    with op.batch_alter_table("locations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("feature", TYPES["id"], nullable=True))
    for table, (keys, kinds) in TABLES.items():
        name = f"{table}_past"
        columns: list[sa.Column[Any]] = [
            sa.Column(column, TYPES[kind.rstrip("?")], nullable=kind.endswith("?"), autoincrement=False)
            for kind, names in kinds.items()
            for column in names.split()
        ]
        op.create_table(
            name,
            *columns,
            sa.Column("until", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint(*keys.split(), "seq", name=op.f(f"pk_{name}")),
        )
        with op.batch_alter_table(name, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{name}_until"), ["until"], unique=False)
