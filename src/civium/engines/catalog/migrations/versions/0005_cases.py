"""Cases: what people ask, object to or correct, and the public answers."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *(sa.Column(name, WORDS, nullable=False) for name in ("key", "kind", "about", "words")),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=True),
        *(sa.Column(name, WORDS, nullable=False) for name in ("answer", "who")),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
    ]


def upgrade() -> None:
    op.create_table(
        "cases",
        *_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("key", name=op.f("uq_cases_key")),
    )
    op.create_index(op.f("ix_cases_answered"), "cases", ["answered"])
    op.create_table(
        "cases_past",
        *_columns(),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "seq", name=op.f("pk_cases_past")),
    )
    op.create_index(op.f("ix_cases_past_until"), "cases_past", ["until"])
