"""Left: what a guarded stream was of, when it is not there any more, is found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    guarded = sa.or_(sa.column("access") != sa.literal_column("'open'"), sa.column("personal", sa.Boolean()))
    for column in ("thing", "sensor", "property"):
        name = op.f(f"ix_datastreams_past_{column}")
        op.create_index(name, "datastreams_past", [column], sqlite_where=guarded, postgresql_where=guarded)
    op.create_index(op.f("ix_components_past_property"), "components_past", ["property"])
    op.create_index(op.f("ix_thing_locations_past_location"), "thing_locations_past", ["location"])
