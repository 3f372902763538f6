"""The steps that bring a catalogue of any age up to today's tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Engine, MetaData, Table, Text, inspect, select

from civium.engines.age import DataNewer
from civium.engines.catalog.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0009"  # the last of the steps
_HERE = Path(__file__).parent
_TAKEN = Table("alembic_version", MetaData(), Column("version_num", Text))  # Alembic's own


def config() -> "Config":
    """Alembic's settings; the caller puts a connection into ``attributes``."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    return settings


def versions(engine: Engine) -> tuple[str, str]:
    """The version of a catalogue ("" when it is new) and today's; raises DataNewer for one that is not known.

    Alembic is not loaded for a catalogue of today: a city starts sooner without it.
    """
    with engine.connect() as connection:
        made = inspect(connection).has_table(_TAKEN.name)
        found = (connection.scalar(select(_TAKEN.c.version_num)) if made else None) or ""
    if found not in ("", NEWEST) and found not in steps():
        raise DataNewer("the catalogue", found, NEWEST, str(engine.url.database))
    return found, NEWEST


def steps() -> list[str]:
    """Names of the steps, the newest first."""
    from alembic.script import ScriptDirectory

    return [step.revision for step in ScriptDirectory.from_config(config()).walk_revisions()]


def upgrade(engine: Engine, database: Database) -> None:
    """Take every step that a catalogue has not yet taken; of processes that try it together one does."""
    from alembic import command

    settings = config()
    with engine.execution_options(**database.writing).begin() as connection:
        database.alone(connection)
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
