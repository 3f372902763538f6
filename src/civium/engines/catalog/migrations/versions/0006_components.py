"""Components: what each value of a MultiDatastream's results is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("datastream", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("property", ID, autoincrement=False, nullable=False),
        sa.Column("observation_type", WORDS, nullable=False),
        sa.Column("unit_name", WORDS, nullable=True),
        sa.Column("unit_symbol", WORDS, nullable=True),
        sa.Column("unit_definition", WORDS, nullable=True),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "components",
        *_columns(),
        sa.ForeignKeyConstraint(["datastream"], ["datastreams.id"], name=op.f("fk_components_datastream")),
        sa.ForeignKeyConstraint(["property"], ["observed_properties.id"], name=op.f("fk_components_property")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_components")),
    )
    op.create_index(op.f("ix_components_datastream"), "components", ["datastream"])
    op.create_index(op.f("ix_components_property"), "components", ["property"])
    op.create_table(
        "components_past",
        *_columns(),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "seq", name=op.f("pk_components_past")),
    )
    op.create_index(op.f("ix_components_past_until"), "components_past", ["until"])
