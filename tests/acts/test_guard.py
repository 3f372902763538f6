"""The guard: what it lets through, what it refuses, and who gives way to whom."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.acts.guard import Guard, Held
from civium.core import Command, CommandRefused, Mandate, Plan, Practice, Tier
from civium.core.view import ACTUATORS

NOW = 1_000_000_000
SOON = NOW + 10_000_000
LAMPS = pa.table(
    [
        [1, 2, 3],
        [11, 12, 13],
        ["lamp"] * 3,
        ["a", "b", "c"],
        ['{"minimum":0,"maximum":100}', '{"choices":["on","off"]}', '{"max_hold_s":5}'],
    ],
    schema=ACTUATORS,
)


def practice(name: str, tier: Tier) -> Practice:
    return Practice(
        id=name, title=name, needs=(), decide=lambda v, s, p: (Plan(), {}), every=1, acts_on="lamp", tier=tier
    )


COMFORT, DUTY, LIFE = (practice(t.name.lower(), t) for t in Tier)


def judge(
    guard: Guard,
    who: Practice,
    *commands: Command,
    mandate: Mandate = Mandate.ACT,
    advise_only: bool = False,
    now: int = NOW,
) -> list[str]:
    """What the guard says, once it is on the record."""
    decision = f"{who.id}.all.{now}"
    events = guard.judge(who, decision, Plan(commands), LAMPS, mandate, advise_only, now)
    for event in events:
        if event.decision == decision:
            command = commands[event.command]
            held = Held(decision, event.command, who.id, command.tier, command.until)
            guard.learn(event.what, command.actuator, held)
    return [e.what for e in events]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (Command(9, 1.0, SOON), "no actuator 9"),
        (Command(1, 101.0, SOON), "outside its limits"),
        (Command(1, "bright", SOON), "no number"),
        (Command(2, "dim", SOON), "not one of its choices"),
        (Command(1, 1.0, NOW), "lapses before"),
        (Command(1, 1.0, NOW + 3601 * 1_000_000), "more than 3600 s"),
        (Command(3, 1.0, NOW + 6_000_000), "more than 5 s"),
        (Command(1, 1.0, SOON, Tier.LIFE), "above the practice's"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_reason(command: Command, why: str) -> None:
    (event,) = Guard().judge(COMFORT, "d", Plan((command,)), LAMPS, Mandate.ACT, False, NOW)
    assert event.what == "refused"
    assert why in event.why


def test_an_actuator_is_named_once_in_a_plan() -> None:
    assert judge(Guard(), COMFORT, Command(1, 1.0, SOON), Command(1, 2.0, SOON)) == ["admitted", "refused"]


@pytest.mark.parametrize(
    ("mandate", "advise_only", "verdict"),
    [
        (Mandate.ADVISE, False, "advised"),
        (Mandate.APPROVE, False, "pending"),
        (Mandate.ACT, False, "admitted"),
        (Mandate.ACT, True, "advised"),
        (Mandate.APPROVE, True, "advised"),
    ],
)
def test_the_mandate_decides_and_the_switch_is_over_it(mandate: Mandate, advise_only: bool, verdict: str) -> None:
    guard = Guard()
    assert judge(guard, COMFORT, Command(1, 1.0, SOON), mandate=mandate, advise_only=advise_only) == [verdict]
    assert bool(guard.held) == (verdict == "admitted")


def test_the_higher_tier_takes_the_actuator_and_the_lower_cannot_take_it_back() -> None:
    guard = Guard()
    assert judge(guard, COMFORT, Command(1, 1.0, SOON)) == ["admitted"]
    assert judge(guard, LIFE, Command(1, 2.0, SOON, Tier.LIFE)) == ["admitted", "overridden"]
    assert judge(guard, DUTY, Command(1, 3.0, SOON, Tier.DUTY)) == ["refused"]
    assert judge(guard, DUTY, Command(1, 3.0, SOON + 10**7, Tier.DUTY), now=SOON + 1) == ["admitted"]


def test_a_practice_renews_its_own_command_without_an_event_for_the_old_one() -> None:
    guard = Guard()
    judge(guard, COMFORT, Command(1, 1.0, SOON))
    assert judge(guard, COMFORT, Command(1, 2.0, SOON + 10**6), now=NOW + 1) == ["admitted"]
    assert guard.lapse(SOON) == []
    (lapsed,) = guard.lapse(SOON + 10**6)
    assert lapsed.what == "lapsed"
    guard.learn(lapsed.what, 1, guard.held[1])
    assert guard.held == {}


tiers = st.sampled_from([COMFORT, DUTY, LIFE])


@given(st.lists(st.tuples(tiers, st.integers(1, 20), st.integers(1, 20)), max_size=40))
def test_a_holder_never_gives_way_to_its_equal_or_lower_while_it_holds(story: list[tuple[Practice, int, int]]) -> None:
    guard, now = Guard(), NOW
    for who, wait, length in story:
        now += wait * 1_000_000
        before = guard.held.get(1)
        judge(guard, who, Command(1, 1.0, now + length * 1_000_000, who.tier), now=now)
        after = guard.held[1]
        if before and before.until > now and before.practice != after.practice:
            assert after.tier > before.tier


def test_a_person_takes_back_what_a_person_asked_for() -> None:
    guard = Guard()
    person = practice("operator", Tier.LIFE)
    first, second = Command(3, 1.0, NOW + 1_000_000, Tier.DUTY), Command(3, 2.0, NOW + 2_000_000, Tier.DUTY)
    assert judge(guard, person, first) == ["admitted"]
    assert judge(guard, person, second, now=NOW + 1) == ["admitted", "overridden"]
    assert guard.held[3].until == second.until


def test_what_is_under_maintenance_takes_no_command_and_says_why() -> None:
    guard, plan = Guard(), Plan((Command(1, 50.0, SOON), Command(2, "on", SOON)))
    events = guard.judge(DUTY, "d", plan, LAMPS, Mandate.ACT, False, NOW, {1: "it is under maintenance"})
    assert [(event.what, event.why) for event in events] == [("refused", "it is under maintenance"), ("admitted", "")]
    with pytest.raises(CommandRefused, match="maintenance"):
        guard.may_admit("duty", plan.commands[0], NOW, {1: "it is under maintenance"})
