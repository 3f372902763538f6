"""Capabilities: an actuator has words of its own beside those of what may be asked of it, and may be of no thing."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NAMES = ("parameters", "properties", "device_name", "device_description", "device_encoding", "device_metadata",
          "device_properties")  # fmt: skip


def upgrade() -> None:
    for table in ("actuators", "actuators_past"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column("thing", existing_type=ID, nullable=True)
            for name in _NAMES:
                batch_op.add_column(sa.Column(name, WORDS, nullable=True))
