"""The JSON of a request's body."""

from typing import Any

import msgspec

from civium.core import InputRefused


def decode_body(body: bytes) -> Any:
    """What a body (JSON) says; raises InputRefused."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"the body is no JSON: {error}") from None
