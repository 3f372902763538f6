"""The catalogue engine: things, streams, actuators and settings in SQLite or PostgreSQL, folded from the stream CAT."""

from civium.engines.catalog.catalog import Catalog
from civium.engines.catalog.change import Change
from civium.engines.catalog.database import CatalogUnavailable
from civium.engines.catalog.questions import STREAMS_OF, Settings
from civium.engines.catalog.streams import COMPLEX, COUNT, JSON, NUMBER, TEXT, TRUTH, StreamIndex

__all__ = [
    "COMPLEX",
    "COUNT",
    "JSON",
    "NUMBER",
    "STREAMS_OF",
    "TEXT",
    "TRUTH",
    "Catalog",
    "CatalogUnavailable",
    "Change",
    "Settings",
    "StreamIndex",
]
