"""The actuator protocols that the city speaks, by the name under which an actuator registers."""

from civium.acts.mqtt import MqttSender
from civium.acts.task import Sender
from civium.acts.v2x import V2xSender
from civium.acts.webhook import WebhookSender
from civium.core.clock import Clock
from civium.engines.mailbox import Listener


def senders(mqtt: Listener, clock: Clock) -> dict[str, Sender]:
    """One sender a protocol."""
    return {"mqtt": MqttSender(mqtt), "webhook": WebhookSender(), "v2x": V2xSender(clock)}
