"""Practices are found by entry point, and a broken one never stops the others."""

from collections.abc import Callable
from importlib.metadata import EntryPoint

from civium.practices.discovery import GROUP, entry_points, load_practices


def test_broken_plugins_are_reported_beside_the_good_ones(write_practice: Callable[..., EntryPoint]) -> None:
    good = write_practice()
    entries = [
        good,
        EntryPoint("gone", "no_such_package:PRACTICE", GROUP),
        EntryPoint("number", "math:pi", GROUP),
        EntryPoint("alias", good.value, GROUP),
    ]
    practices = load_practices(entries)
    assert list(practices.found) == [good.name]
    assert practices.broken["gone"] == "ModuleNotFoundError: No module named 'no_such_package'"
    assert practices.broken["number"] == "TypeError: math:pi is a float, not a civium.core.Practice"
    assert practices.broken["alias"] == f"ValueError: its id is '{good.name}' but its entry point is named 'alias'"


def test_two_packages_that_offer_one_name_are_both_refused(write_practice: Callable[..., EntryPoint]) -> None:
    good = write_practice()
    practices = load_practices([good, EntryPoint(good.name, "elsewhere:PRACTICE", GROUP)])
    assert practices.found == {}
    assert "two packages offer it" in practices.broken[good.name]


def test_ours_are_found_as_a_strangers_are() -> None:
    assert {"pv_fleet", "signal_control"} <= {entry.name for entry in entry_points()}
