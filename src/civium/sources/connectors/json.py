"""JSON of any shape: posted by a foreign system, or fetched from it; JMESPath says where the items are."""

from collections.abc import Mapping, Sequence

import msgspec
from jmespath.exceptions import JMESPathError

from civium.sources.feeds.mapping import NotFound, expression, listed
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable


class JsonSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``items`` is the JMESPath of the list of items; by default the body is the list, or the one item."""

    items: str = "@"


def decode(settings: JsonSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The items of a body; raises Unreadable."""
    return read(settings, body)


def read(settings: JsonSettings, body: bytes) -> Sequence[Item]:
    """The items of a body; raises Unreadable."""
    try:
        said = msgspec.json.decode(body)
        return [Item(one) for one in listed(expression(settings.items).search(said), f"'{settings.items}'")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    except (NotFound, JMESPathError) as error:
        raise Unreadable(str(error)) from None


async def run(settings: JsonSettings, sink: Sink) -> None:
    """Fetch it again and again."""
    await pull(settings, sink, read, ordered=True)


def check(settings: JsonSettings) -> None:
    """Raises SettingsWrong for ``items`` that is no expression."""
    expression(settings.items)


SOURCE = Source("json", JsonSettings, run=run, decode=decode, check=check)
