"""An existing MQTT broker, 3.1.1 or 5: each message is one item with its ``topic`` (a list) and its ``payload``."""

from collections.abc import Sequence
from functools import partial

import msgspec
from jmespath.exceptions import JMESPathError

from civium.engines.settings import SettingsWrong
from civium.sources.feeds import codecs
from civium.sources.feeds.broker import BrokerSettings, subscribe
from civium.sources.feeds.broker import check as check_broker
from civium.sources.feeds.codecs import Codec
from civium.sources.feeds.mapping import NotFound, expression, listed
from civium.sources.feeds.source import Item, Sink, Source, Unreadable


class MqttSettings(BrokerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``text``: payloads are plain texts and not JSON; ``layout`` and ``names``: they are rows of numbers, as of a
    codec.

    ``items`` is the JMESPath of a list in a payload of which each is an item; empty: the payload is the one.
    """

    text: bool = False
    layout: str = ""
    names: tuple[str, ...] = ()
    items: str = ""


def read(settings: MqttSettings, topic: str, payload: bytes) -> Sequence[Item]:
    """The items of a message; raises Unreadable."""
    levels = topic.split("/")
    if settings.layout:
        return [Item({"topic": levels, "payload": dict(codecs.decode((_codec(settings),), 0, payload, None))})]
    try:
        said = payload.decode() if settings.text else msgspec.json.decode(payload)
        found = (
            list(listed(expression(settings.items).search(said), f"'{settings.items}'")) if settings.items else [said]
        )
    except (NotFound, JMESPathError) as error:
        raise Unreadable(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "text" if settings.text else "JSON"
        raise Unreadable(f"it is no {what}: {error}") from None
    return [Item({"topic": levels, "payload": one}) for one in found]


def _codec(settings: MqttSettings) -> Codec:
    return Codec(form="numbers", layout=settings.layout, names=settings.names)


async def run(settings: MqttSettings, sink: Sink) -> None:
    """Take the messages of the topics."""
    await subscribe(settings, sink, settings.topics, partial(read, settings))


def check(settings: MqttSettings) -> None:
    """Raises SettingsWrong."""
    check_broker(settings)
    if not settings.topics:
        raise SettingsWrong("topics is empty; write such as topics = ['plants/+/flow']")
    if settings.layout:
        codecs.check((_codec(settings),))
    if settings.items:
        expression(settings.items)


SOURCE = Source("mqtt", MqttSettings, run=run, check=check)
