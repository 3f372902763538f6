"""Tokens: who may come in, and what for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *(sa.Column(name, WORDS, nullable=False) for name in ("name", "role", "scope", "digest")),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("opened_by", ID, nullable=False),
        sa.Column("session", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Float(precision=53), nullable=False),
        sa.Column("most_mb", sa.Float(precision=53), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
    ]


def upgrade() -> None:
    op.create_table(
        "tokens",
        *_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_index(op.f("ix_tokens_session_expires"), "tokens", ["session", "expires"])
    op.create_table(
        "tokens_past",
        *_columns(),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "seq", name=op.f("pk_tokens_past")),
    )
    op.create_index(op.f("ix_tokens_past_until"), "tokens_past", ["until"])
