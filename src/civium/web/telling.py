"""The story of a decision in the reader's language; the same sentences that ``civium why`` tells in English."""

from typing import Any

from civium.core import Tier, to_datetime
from civium.core.observations import shards_in
from civium.web.language import Words


def tell(told: dict[str, Any], t: Words) -> list[tuple[str, list[str]]]:
    """Sentences of a story (``ledger.story``), each with what became of what it tells of."""
    entry, events = told["entry"], told["events"]
    plan = entry["plan"]
    when = _when(entry["tick"])
    if asked := entry["type"] == "wish":
        began = t("story.asked", when=when, who=entry["who"])
    else:
        known = ", ".join(str(last) for last in shards_in(entry["cut"]).values())
        began = t("story.saw", when=when, practice=entry["practice"], known=known, mandate=entry["mandate"])
    words: list[tuple[str, list[str]]] = [
        (t("story.switched" if entry["advise_only"] else "story.began", began=began), [])
    ]
    if plan["because"]:
        words.append((t("story.reason", because=plan["because"]), []))
    if not plan["commands"]:
        words.append((t("story.nothing"), []))
    who = entry["who"] if asked else t("story.it")
    for number, command in enumerate(plan["commands"]):
        tier = t.named("tier", Tier(command["tier"]).name.lower())
        name = told["names"].get(command["actuator"], str(command["actuator"]))
        wish = t("story.wish", who=who, name=name, value=command["value"], until=_when(command["until"]), tier=tier)
        because = command["because"]
        said = t("story.because", wish=wish, because=because) if because else t("story.end", wish=wish)
        words.append((said, [_event(event, t) for event in events if event["command"] == number]))
    if plan["estimates"]:
        words.append((t("story.estimates", n=len(plan["estimates"])), []))
    for notice in plan["notices"]:
        audience = t.named("audience", notice["audience"])
        said = t("story.told", audience=audience, severity=notice["severity"], text=notice["text"])
        words.append((said, []))
    return words


def _event(event: dict[str, Any], t: Words) -> str:
    by = event["who"] and event["what"] in ("approved", "refused", "released")
    return t(
        "story.event",
        when=_when(event["at"]),
        what=t.named("event", event["what"]),
        by=t("story.by", who=event["who"]) if by else "",
        why=t("story.why", why=event["why"]) if event["why"] else "",
        fact=t("story.fact", id=event["observation"]) if event["observation"] else "",
    )


def _when(instant: int) -> str:
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S} UTC"
