"""The JSON of a request's body."""

from typing import Any

import msgspec

from civium.core import InputRefused

# What the server says of an entity: a client may send it back, and it means nothing (OGC 18-088, 10.2.1.2 and 10.3.1).
TOLD = ("@iot.id", "@iot.selfLink", "@iot.navigationLink", "@iot.count", "@iot.nextLink")


def decode_body(body: bytes) -> Any:
    """What a body (JSON) says; raises InputRefused."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"the body is no JSON: {error}") from None
