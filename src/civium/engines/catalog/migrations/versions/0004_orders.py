"""Orders: alarm rules, on-call lists, maintenance and calibrations."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "orders",
        sa.Column("kind", words, nullable=False),
        sa.Column("key", words, nullable=False),
        sa.Column("body", words, nullable=True),
        sa.Column("who", words, nullable=False),
        sa.Column("why", words, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", "seq", name=op.f("pk_orders")),
    )
