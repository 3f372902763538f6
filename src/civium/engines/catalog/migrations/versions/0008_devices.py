"""Devices: an actuator may be a further capability of another, as SensorThings Part 2 lets a device have several."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("actuators", schema=None) as batch_op:
        batch_op.add_column(sa.Column("device", ID, nullable=True))
        batch_op.create_foreign_key(op.f("fk_actuators_device"), "actuators", ["device"], ["id"])
        batch_op.create_index(op.f("ix_actuators_device"), ["device"])
    with op.batch_alter_table("actuators_past", schema=None) as batch_op:
        batch_op.add_column(sa.Column("device", ID, nullable=True))
