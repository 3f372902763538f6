"""Devices that publish over MQTT 3.1.1 with QoS 1: no more than the few packets that this takes, so that the client is
not what is measured."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from registry import require

ACKNOWLEDGED = 0x40
_CONNECT, _PUBLISH_QOS1 = 0x10, 0x32


def connect(client: str) -> bytes:
    """The packet that opens a session."""
    return _packet(_CONNECT, struct.pack("!H4sBBH", 4, b"MQTT", 4, 0x02, 600) + _text(client))


def publication(topic: str, number: int, payload: bytes) -> bytes:
    """A message that is to be acknowledged under ``number``."""
    return _packet(_PUBLISH_QOS1, _text(topic) + struct.pack("!H", number) + payload)


def publish(folder: Path, door: tuple[str, int], connections: int, each: int, **plan: Any) -> float:
    """Publish from a process of its own (``publishers.py`` tells the plan); seconds until all is acknowledged."""
    path = folder / "plan.json"
    given = {"window": 100, "seconds": 0.0, "first": 0, "connections": connections, "each": each, **plan}
    path.write_text(json.dumps({**given, "host": door[0], "port": door[1]}))
    command = [sys.executable, str(Path(__file__).with_name("publishers.py")), str(path)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600).stdout
    told: dict[str, Any] = json.loads(said)
    require(told["acknowledged"] == connections * each, f"{told['acknowledged']} were acknowledged")
    return float(told["took"])


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body
