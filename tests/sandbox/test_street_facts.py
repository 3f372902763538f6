"""Streets of a net as Things: only what an emergency vehicle may use, and where it may drive on to."""

from pathlib import Path

import pytest

from civium.sandbox.scenario import generated
from civium.sandbox.street_facts import ground, street_things

NET = """<net>
<location netOffset="0.00,0.00" projParameter="!"/>
<edge id="a" from="n1" to="n2" name="High Street">
  <lane id="a_0" index="0" allow="pedestrian" speed="1.39" length="100" shape="0,0 100,0"/>
  <lane id="a_1" index="1" disallow="pedestrian" speed="13.89" length="100" shape="0,3 100,3"/>
</edge>
<edge id="b" from="n2" to="n3"><lane id="b_0" index="0" speed="8" length="50" shape="100,3 150,3"/></edge>
<edge id="rails" from="n2" to="n3">
  <lane id="rails_0" index="0" allow="rail" speed="8" length="50" shape="100,0 150,0"/>
</edge>
<edge id="private" from="n2" to="n3">
  <lane id="private_0" index="0" disallow="emergency" speed="8" length="50" shape="100,0 150,0"/>
</edge>
<connection from="a" to="b" fromLane="0" toLane="0"/>
<connection from="a" to="rails" fromLane="1" toLane="0"/>
<connection from="a" to="private" fromLane="1" toLane="0"/>
</net>"""


def test_only_lanes_that_it_may_use_count(tmp_path: Path) -> None:
    net = tmp_path / "t.net.xml"
    net.write_text(NET)
    a, b = street_things(net)
    assert (a.key, a.name, a.facts["street"], a.facts["lanes"]) == ("street/a", "High Street", "a", 1)
    assert (a.facts["length_m"], a.facts["speed_m_s"]) == (100.0, 13.89)
    assert a.facts["to"] == []  # the way to b begins on the pavement
    assert b.facts["street"] == "b"
    net.write_text(NET.replace('to="b" fromLane="0"', 'to="b" fromLane="1"'))
    assert street_things(net)[0].facts["to"] == ["b"]


def test_a_net_that_lies_nowhere_is_put_on_the_equator_to_scale(tmp_path: Path) -> None:
    net = tmp_path / "t.net.xml"
    net.write_text(NET)
    lon, lat = ground(net)(111_195.0, 222_390.0)
    assert (lon, lat) == (pytest.approx(1.0), pytest.approx(2.0))


def test_every_street_leads_to_streets_that_are_there(tmp_path: Path) -> None:
    streets = street_things(generated(tmp_path).net)
    keys = {street.facts["street"] for street in streets}
    assert len(keys) == len(streets) > 40
    assert all(set(street.facts["to"]) <= keys for street in streets)
