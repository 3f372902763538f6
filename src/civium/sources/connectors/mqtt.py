"""An existing MQTT broker, 3.1.1 or 5: each message is one item with its ``topic`` (a list) and its ``payload``."""

from collections.abc import Sequence
from functools import partial

import msgspec

from civium.engines.settings import SettingsWrong
from civium.sources.feeds.broker import BrokerSettings, subscribe
from civium.sources.feeds.broker import check as check_broker
from civium.sources.feeds.source import Item, Sink, Source, Unreadable


class MqttSettings(BrokerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``text``: payloads are plain texts and not JSON."""

    text: bool = False


def read(settings: MqttSettings, topic: str, payload: bytes) -> Sequence[Item]:
    """The one item of a message; raises Unreadable."""
    try:
        said = payload.decode() if settings.text else msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "text" if settings.text else "JSON"
        raise Unreadable(f"it is no {what}: {error}") from None
    return [Item({"topic": topic.split("/"), "payload": said})]


async def run(settings: MqttSettings, sink: Sink) -> None:
    """Take the messages of the topics."""
    await subscribe(settings, sink, settings.topics, partial(read, settings))


def check(settings: MqttSettings) -> None:
    """Raises SettingsWrong."""
    check_broker(settings)
    if not settings.topics:
        raise SettingsWrong("topics is empty; write such as topics = ['plants/+/flow']")


SOURCE = Source("mqtt", MqttSettings, run=run, check=check)
