"""Who is on call: a list of steps; while nobody acts, one step after the other is told, again and again."""

import ipaddress
from collections.abc import Iterable, Mapping
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any

import httpx
import msgspec

from civium.alarms.alarm import Alarm
from civium.core import MICROSECONDS, InputRefused

WAYS = ("mailto:", "https://", "http://", "push:")
_LONGEST_S = 366 * 86400.0
_MOST_STEPS, _MOST_WAYS = 20, 10
_SHOWN = 100  # characters of a way, in a refusal
_SOON_S = 30.0  # until who could not be told is tried again


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told after ``after_s`` [s] in which nobody acted, and by which ways: see ``WAYS``."""

    who: str
    ways: tuple[str, ...]
    after_s: float = 0.0


class OnCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One list: its steps, and how often those are told again that were reached [s]."""

    steps: tuple[Step, ...]
    repeat_s: float = 300.0


def read_on_call(body: Mapping[str, Any]) -> OnCall:
    """A list of what was given; raises InputRefused, which says what is wrong with it."""
    try:
        listed = msgspec.convert(body, OnCall)
    except msgspec.ValidationError as error:
        raise InputRefused(f"this is no on-call list: {error}") from None
    if not 1 <= len(listed.steps) <= _MOST_STEPS:
        raise InputRefused(f"an on-call list has 1 to {_MOST_STEPS} steps")
    if not _SOON_S <= listed.repeat_s <= _LONGEST_S:
        raise InputRefused(f"`repeat_s` is {_SOON_S:g} to {_LONGEST_S:g} s")
    for number, step in enumerate(listed.steps):
        if not 0 <= step.after_s <= _LONGEST_S or (number and step.after_s < listed.steps[number - 1].after_s):
            raise InputRefused(f"step {number}: `after_s` is at least that of the step before, and not negative")
        if not 1 <= len(step.ways) <= _MOST_WAYS:
            raise InputRefused(f"step {number}: 1 to {_MOST_WAYS} ways")
        for way in step.ways:
            if not way.startswith(WAYS) or way in WAYS or any(c.isspace() for c in way):
                raise InputRefused(f"step {number}: a way is one of mailto:PERSON@HOST, https://..., push:NAME")
            if way.startswith("mailto:") and "@" not in way:
                raise InputRefused(f"step {number}: '{way}' is no mail address")
    return listed


def check_ways(listed: OnCall) -> None:
    """Refuse (InputRefused) a way by which nothing could ever come, or by which the webhooks' token could be read.

    Only for a list that is given: one that is in force tells whom it can.
    """
    for way in {way for step in listed.steps for way in step.ways}:
        kind, _, rest = way.partition(":")
        try:
            if kind == "mailto":
                Address(addr_spec=rest)
            elif kind != "push" and not (url := httpx.URL(way)).host:
                raise ValueError("it leads nowhere")
            elif kind != "push" and not is_private(url):
                raise InputRefused(f"'{kind}://' would show the token of webhooks to whoever listens: write https://")
        except (ValueError, IndexError, MessageError, httpx.InvalidURL):
            what = "the mail address of one person" if kind == "mailto" else "an address"
            raise InputRefused(f"'{way[:_SHOWN]}' is not {what}") from None


def is_private(url: httpx.URL) -> bool:
    """Whether nobody on the way can read what is sent to an address: https, or this machine."""
    if url.scheme != "http":
        return url.scheme == "https"
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost"


def due(alarm: Alarm, listed: OnCall, now: int) -> list[int]:
    """The steps that are to be told of an alarm at ``now`` [us since epoch]: reached, and not told for a while."""
    if alarm.state != "open":
        return []
    waited = (now - alarm.armed) / MICROSECONDS
    found = []
    for number, step in enumerate(listed.steps):
        if step.after_s > waited:
            break
        at, well = alarm.told.get(str(number), (0, True))
        if not at or now - at >= (listed.repeat_s if well else _SOON_S) * MICROSECONDS:
            found.append(number)
    return found


def reached(alarm: Alarm, listed: OnCall, now: int) -> int:
    """The last step that an alarm has reached; -1 for none."""
    waited = (now - alarm.armed) / MICROSECONDS
    return sum(step.after_s <= waited for step in listed.steps) - 1


def names(alarms: Iterable[Alarm]) -> str:
    """What a message is about, in one line."""
    some = list(alarms)
    worst = min(some, key=lambda alarm: ("critical", "warning", "info").index(alarm.severity))
    more = f" and {len(some) - 1} more" if len(some) > 1 else ""
    return f"{worst.severity}: {worst.title}: {worst.name}{more}"
