"""The what-if drives the same days under each policy, and says how sure it is."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from civium.bench.trial import Future
from civium.core import InputRefused
from civium.engines.compute import ProcessCompute
from civium.sandbox.scenario import generated
from civium.show_whatif import _ready
from civium.whatif import foresee, interval, policies_of


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    for seeds in (3, 5, 15):
        draws = rng.normal(10.0, 2.0, (4000, seeds))
        covered = [abs(mean - 10.0) <= half for mean, half in map(interval, draws)]
        assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert math.isnan(interval(np.array([4.0]))[1])


@pytest.mark.parametrize(
    ("practice", "policy", "told"),
    [
        ("nothing", "fixed", "no practice 'nothing'"),
        ("pv_fleet", "fixed", "has no what-if"),
        ("signal_control", "magic", "has no policy 'magic'"),
        ("signal_control", "adaptive:{", "--policy adaptive"),
        ("signal_control", 'adaptive:{"wonder": 1}', "--policy adaptive"),
    ],
)
def test_a_policy_that_there_is_not_is_refused_with_what_there_is(practice: str, policy: str, told: str) -> None:
    with pytest.raises(InputRefused, match=told):
        policies_of(practice, [policy])


@pytest.mark.timeout(600)
def test_more_demand_means_more_delay_and_a_policy_with_other_parameters_is_another(tmp_path: Path) -> None:
    generated(tmp_path)
    module, policies = policies_of("signal_control", ["fixed", "adaptive", 'adaptive:{"hysteresis": 3.0}'])
    future = Future((0.4, 0.8), (1,), tmp_path, tmp_path, tmp_path, 8.0, 5)
    told: list[float] = []
    compute = ProcessCompute(2, _ready)
    try:
        effect = asyncio.run(foresee(module, policies, future, compute, lambda _, share: told.append(share)))
    finally:
        compute.close()
    delay = effect.figures["mean delay"][:, :, 0]
    assert np.isfinite(delay).all()
    assert (delay[:, 1] > delay[:, 0]).all()
    assert (delay[1] < delay[0]).all()
    assert not np.array_equal(delay[1], delay[2])
    assert told == sorted(told)
    assert told[-1] == 1.0
