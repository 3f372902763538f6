"""LoRaWAN uplinks from The Things Stack: its webhook, or its MQTT server, which knows QoS 0 only."""

from collections.abc import Mapping, Sequence

from civium.sources.feeds.broker import subscribe
from civium.sources.feeds.lorawan import LorawanSettings, best, check, parse, uplink
from civium.sources.feeds.source import Item, Sink, Source, Unreadable


def read(settings: LorawanSettings, body: bytes) -> Sequence[Item]:
    """The one item of an uplink, none of another event or of one without a payload; raises Unreadable."""
    told = parse(body)
    if "end_device_ids" not in told:
        raise Unreadable("it is no message of The Things Stack: end_device_ids is missing")
    try:
        message = told.get("uplink_message")
        if message is None or ("frm_payload" not in message and "decoded_payload" not in message):
            return []
        if told.get("simulated"):
            raise Unreadable("it is an uplink that somebody simulated: no device has measured that")
        device = told["end_device_ids"]
        about = {
            "device": device.get("dev_eui") or device["device_id"],
            "name": device["device_id"],
            "application": device["application_ids"]["application_id"],
            "port": message.get("f_port", 0),
            "counter": message.get("f_cnt", 0),  # what is 0 is left out
            **best(message.get("rx_metadata"), "rssi", "snr"),
        }
        received = message.get("received_at") or told["received_at"]
        decoded, session = message.get("decoded_payload"), message.get("session_key_id", "")
        return [uplink(settings, about, message.get("frm_payload", ""), decoded, received, session)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"it has not the form of The Things Stack: {error!r}") from None


def decode(settings: LorawanSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The item of what a webhook posts; raises Unreadable."""
    return read(settings, body)


async def run(settings: LorawanSettings, sink: Sink) -> None:
    """Take the uplinks of an application; ``user`` is application@tenant."""
    topics = settings.topics or (f"v3/{settings.user or '+'}/devices/+/up",)
    await subscribe(settings, sink, topics, lambda _, payload: read(settings, payload))


SOURCE = Source("things_stack", LorawanSettings, run=run, decode=decode, check=check)
