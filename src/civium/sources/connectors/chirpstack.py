"""LoRaWAN uplinks from ChirpStack 4: its HTTP integration, or its MQTT one, both in JSON."""

from collections.abc import Mapping, Sequence

from civium.sources.feeds.broker import subscribe
from civium.sources.feeds.lorawan import LorawanSettings, best, check, parse, uplink
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_TOPIC = "application/+/device/+/event/up"


def read(settings: LorawanSettings, body: bytes) -> Sequence[Item]:
    """The one item of an uplink, none of another event or of one without a payload; raises Unreadable."""
    told = parse(body)
    if "deviceInfo" not in told:
        raise Unreadable("it is no event of ChirpStack 4 in JSON: deviceInfo is missing")
    if "devAddr" not in told or not ("data" in told or told.get("object")):
        return []
    try:
        device = told["deviceInfo"]
        about = {
            "device": device["devEui"],
            "name": device.get("deviceName", device["devEui"]),
            "application": device.get("applicationName", ""),
            "tags": device.get("tags") or {},
            "port": told.get("fPort", 0),
            "counter": told.get("fCnt", 0),
            **best(told.get("rxInfo"), "rssi", "snr"),
        }
        return [uplink(settings, about, told.get("data", ""), told.get("object"), told["time"], told["devAddr"])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"it has not the form of ChirpStack 4: {error!r}") from None


def decode(settings: LorawanSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The item of what the HTTP integration posts; raises Unreadable."""
    return read(settings, body)


async def run(settings: LorawanSettings, sink: Sink) -> None:
    """Take the uplinks of all applications, or of the ``topics`` that are declared."""
    await subscribe(settings, sink, settings.topics or (_TOPIC,), lambda _, payload: read(settings, payload))


SOURCE = Source("chirpstack", LorawanSettings, run=run, decode=decode, check=check)
