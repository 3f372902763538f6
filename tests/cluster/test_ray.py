"""Practices decide on a Ray cluster of two nodes, and go on when one of them dies."""

import os
from collections.abc import Callable, Iterator

import pytest
from ray.cluster_utils import Cluster

from tests.city.conftest import PRACTICES, CityProcess, new_city
from tests.city.test_spine import decide_some, decisions, register

_STARTS_S = 300.0  # a node of Ray, and a worker on it, on a machine with more work than processors
__all__ = ["new_city"]  # a fixture, used by its name


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head on this machine that runs nothing itself; nodes that are added know the practices of the tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PRACTICES), os.environ.get("PYTHONPATH", "")])))
    # A node that is silent is given up sooner than in a data centre.
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.mark.timeout(1200)
def test_decisions_go_on_when_a_node_dies(nodes: Cluster, new_city: Callable[..., CityProcess]) -> None:
    first = nodes.add_node(num_cpus=1)
    city = new_city(CIVIUM_ENGINES_COMPUTE=f"ray:{nodes.address}")
    streams = register(city)["streams"]
    decide_some(city, streams, 3, _STARTS_S)
    nodes.add_node(num_cpus=1)
    nodes.remove_node(first, allow_graceful=False)  # the one on which all was decided
    decide_some(city, streams, 3, _STARTS_S)
    assert {d["practice"] for d in decisions(city)} == {"dimmer"}
    replay = city.run("replay")
    assert replay.returncode == 0, replay.stdout + replay.stderr
