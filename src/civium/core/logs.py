"""What the city says while it works: one event a line, with the ids by which one reading or decision is followed.

A batch of readings has the name of its message in the log (``OBS0/17``), a decision its own id, an alarm its number. A
line holds ids and counts: no names of people, no tokens, no readings.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
_ROOT = "civium"


def said_by(room: str) -> logging.Logger:
    """The logger of a room."""
    return logging.getLogger(f"{_ROOT}.{room}")


def note(logger: logging.Logger, what: str, level: int = logging.INFO, **facts: Any) -> None:
    """Say that something happened; ``facts`` are ids and counts."""
    if logger.isEnabledFor(level):
        logger.log(level, what, extra={"facts": facts})


def begin(level: str, form: str) -> None:
    """Say what happens from now on, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": record.name.removeprefix(f"{_ROOT}."),
            "what": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class _Text(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = " ".join(f"{name}={fact}" for name, fact in getattr(record, "facts", {}).items())
        room = record.name.removeprefix(f"{_ROOT}.")
        text = f"{when} {record.levelname.lower()} {room}: {record.getMessage()} {facts}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
