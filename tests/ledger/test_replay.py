"""Replay says no when something differs, says why when it cannot know, and never a false yes."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from civium.core import InputRefused, Notice, Plan, View, digest
from civium.core.wire import encode_plan
from civium.ledger.replay import replay

PLAN = encode_plan(Plan(because="so"))
TOLD = dict.fromkeys(("view", "state_in", "state_out", "params", "code", "lock"), "same") | {
    "plan": digest.of_bytes(PLAN)
}
ENTRY = {"type": "turn", "id": "p.all.1", "practice": "p", "params": {}, "plan": {"because": "so"}, "digests": TOLD}


@dataclass
class Again:
    digests: dict[str, str]


class Evidence:
    def view(self, decision: str) -> View:
        return View(0, {}, {})

    def state(self, decision: str) -> bytes | None:
        return None


class Gone(Evidence):
    def state(self, decision: str) -> bytes | None:
        raise InputRefused("its retention may have passed")


def verdict(
    *,
    entry: dict[str, Any] = ENTRY,
    evidence: Evidence | None = None,
    code: str = "same",
    raises: bool = False,
    **now: str,
) -> tuple[str, str]:
    def recompute(*_: Any) -> Again:
        if raises:
            raise RuntimeError("ouch")
        return Again({**TOLD, "code": code, **now})

    said = replay(entry, evidence or Evidence(), recompute, lambda _: code)
    return said.outcome, said.why


def test_equal_digests_are_identical_whatever_code_made_them() -> None:
    assert verdict()[0] == verdict(code="other")[0] == "identical"


@pytest.mark.parametrize("name", ["view", "state_in", "state_out", "params", "plan"])
def test_any_other_digest_is_different_and_named(name: str) -> None:
    outcome, why = verdict(**{name: "other"})
    assert outcome == "different"
    assert name in why


@pytest.mark.parametrize(("changed", "named"), [({"code": "other"}, "the code"), ({"lock": "other"}, "package")])
def test_a_difference_under_other_code_or_packages_is_explained(changed: dict[str, str], named: str) -> None:
    outcome, why = verdict(state_out="other", **changed)
    assert outcome == "not replayable"
    assert named in why


def test_code_that_raises_now_is_explained_only_if_it_changed() -> None:
    assert verdict(raises=True)[0] == "different"
    assert verdict(raises=True, code="other")[0] == "not replayable"


def test_what_has_passed_its_retention_is_not_replayable() -> None:
    assert verdict(evidence=Gone())[0] == "not replayable"


def test_an_altered_plan_on_the_record_is_different() -> None:
    assert verdict(entry={**ENTRY, "plan": {"because": "other"}})[0] == "different"


def test_what_a_person_asked_for_is_explained_and_its_plan_is_checked() -> None:
    wish = {**ENTRY, "type": "wish", "who": "Ada"}
    outcome, why = verdict(entry=wish)
    assert outcome == "explained"
    assert "Ada asked for it" in why
    assert verdict(entry={**wish, "plan": {"because": "not so"}})[0] == "different"


def test_a_plan_encodes_the_same_however_the_record_orders_its_words() -> None:
    told = Notice("desk", "info", "route", {"seconds": 5, "route": "a b", "by": {"z": 1, "a": 2}})
    first = encode_plan(Plan(notices=(told,)))
    kept = json.loads(json.dumps(json.loads(first), sort_keys=True))
    assert encode_plan(msgspec.convert(kept, Plan)) == first
    turned = Notice("desk", "info", "route", {"by": {"a": 2, "z": 1}, "route": "a b", "seconds": 5})
    assert encode_plan(Plan(notices=(turned,))) == first
