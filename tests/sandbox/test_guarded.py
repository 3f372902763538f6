"""What not everybody may read is registered by who may change it again at the next start."""

from collections.abc import Callable

from civium.sandbox.devices import GUARDED, ambulances, registration
from civium.sandbox.town import Town


def test_every_kind_that_tells_guarded_things_is_registered_with_the_token(town: Callable[..., Town]) -> None:
    lines = registration(town("helsinki"), [], []) + ambulances()
    guarded = {
        line["kind"]
        for line in lines
        if any(one.get("access") == "restricted" or one.get("personal") for one in line["streams"])
    }
    assert guarded == set(GUARDED)
