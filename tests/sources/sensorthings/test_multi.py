"""Rules of MultiDatastreams: their results are lists, each value of its own type, unit and ObservedProperty."""

from typing import Any

import msgspec
import pytest

from civium.core import InputRefused
from civium.engines.catalog import Change
from civium.sources.sensorthings.amend import plan_update
from civium.sources.sensorthings.data_array import decode_data_array
from civium.sources.sensorthings.multi import components
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.remove import plan_delete
from tests.sources.sensorthings.conftest import BASE, City, new_property, stream, thing

OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"
KINDS = ["Measurement", "CountObservation", "CategoryObservation", "TruthObservation"]
UNITS = [{"name": unit, "symbol": unit, "definition": None} for unit in ("degC", "1", None, None)]


def multi(name: str = "weather", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "all at once",
        "observationType": OM + "ComplexObservation",
        "multiObservationDataTypes": [OM + kind for kind in KINDS],
        "unitOfMeasurements": UNITS,
        "ObservedProperties": [new_property(one) for one in ("warmth", "drops", "sky", "storm")],
        "Sensor": stream("x", "y")["Sensor"],
        **more,
    }


def fold(city: City, edits: Any) -> None:
    change = Change(city.now, "test", "test", edits.rows, edits.updates, edits.deletes)
    city.catalog.fold(city.catalog.applied() + 1, change)


def made(city: City, **more: Any) -> int:
    at = city.post("Things", thing("mast", 24.9, 60.1)).id
    identity = city.post(f"Things({at})/MultiDatastreams", multi(**more)).id
    assert identity is not None
    return identity


def patch(city: City, path: str, body: Any) -> None:
    library = Library(city.catalog, city.lake, BASE, city.now)
    fold(city, plan_update(path, msgspec.json.encode(body), library, False, 60).edits)


def test_a_multi_datastream_comes_back_as_it_was_given_and_is_no_datastream(city: City) -> None:
    identity = made(city, name="alone")
    told = city.get(f"MultiDatastreams({identity})?$expand=ObservedProperties,Thing($expand=MultiDatastreams),Sensor")
    assert told["unitOfMeasurements"] == UNITS
    assert told["multiObservationDataTypes"] == [OM + kind for kind in KINDS]
    assert [one["name"] for one in told["ObservedProperties"]] == ["warmth", "drops", "sky", "storm"]
    assert [one["@iot.id"] for one in told["Thing"]["MultiDatastreams"]] == [identity]
    with pytest.raises(InputRefused, match=f"no Datastream {identity}"):
        city.get(f"Datastreams({identity})")
    assert identity not in city.names("Datastreams?$top=1000", "@iot.id")
    assert identity in city.names("MultiDatastreams?$filter=ObservedProperties/name eq 'sky'", "@iot.id")
    of = told["ObservedProperties"][3]["@iot.id"]
    assert city.names(f"ObservedProperties({of})/MultiDatastreams", "@iot.id") == [identity]
    assert city.names("Things?$filter=MultiDatastreams/name eq 'alone'") == ["mast"]
    assert city.names("Things?$filter=Datastreams/name eq 'alone'") == []
    assert city.get(f"MultiDatastreams({identity})/unitOfMeasurements") == {"unitOfMeasurements": UNITS}


def test_its_observed_properties_stand_in_their_order(city: City) -> None:
    first, second = (city.post("ObservedProperties", new_property(name)).id for name in ("one", "two"))
    own = [{"@iot.id": second}, {"@iot.id": first}]
    kinds = [OM + "Measurement"] * 2
    identity = made(city, ObservedProperties=own, unitOfMeasurements=UNITS[:1] * 2, multiObservationDataTypes=kinds)
    path = f"MultiDatastreams({identity})/ObservedProperties"
    assert city.names(path, "@iot.id") == [second, first]
    page = city.get(f"{path}?$top=1")
    assert [one["@iot.id"] for one in page["value"]] == [second]
    assert city.names(page["@iot.nextLink"].removeprefix(BASE + "/"), "@iot.id") == [first]
    assert city.names(f"{path}?$orderby=id", "@iot.id") == [first, second]
    expanded = city.get(f"MultiDatastreams({identity})?$expand=ObservedProperties($select=id)")["ObservedProperties"]
    assert [one["@iot.id"] for one in expanded] == [second, first]


def test_its_results_are_told_as_they_were_given(city: City) -> None:
    identity = made(city, name="told")
    city.post(f"MultiDatastreams({identity})/Observations", {"result": [21.5, 3, "clear", False]})
    inline = {"result": [1, 4, "rain", True], "MultiDatastream": {"@iot.id": identity}}
    city.post("Observations", inline)
    array = [{"MultiDatastream": {"@iot.id": identity}, "components": ["result"], "dataArray": [[[0, 0, "", True]]]}]
    city.observe(decode_data_array(msgspec.json.encode(array), city.now))
    results = [[21.5, 3, "clear", False], [1, 4, "rain", True], [0, 0, "", True]]
    told = city.get(f"MultiDatastreams({identity})/Observations?$orderby=id")["value"]
    assert [one["result"] for one in told] == results
    assert "MultiDatastream@iot.navigationLink" in told[0]
    assert "Datastream@iot.navigationLink" not in told[0]
    one = told[0]["@iot.id"]
    assert city.get(f"Observations({one})/MultiDatastream")["name"] == "told"
    with pytest.raises(InputRefused) as refused:
        city.get(f"Observations({one})/Datastream")
    assert refused.value.status == 404
    assert city.get(f"Observations({one})?$expand=MultiDatastream")["MultiDatastream"]["@iot.id"] == identity
    assert "MultiDatastream@iot.navigationLink" not in city.get("Datastreams(1)/Observations?$top=1")["value"][0]
    where = "$filter=MultiDatastream/name eq 'told' and result[0] gt 10"
    assert city.names(f"Observations?{where}", "result") == results[:1]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ([21.5, 3, "clear"], "a list of 4 values"),
        (21.5, "a list of 4 values"),
        ({"a": 1}, "a list of 4 values"),
        (["warm", 3, "clear", True], "a number at 0"),
        ([True, 3, "clear", True], "a number at 0"),
        ([21.5, 3.5, "clear", True], "a count at 1"),
        ([21.5, 3, 4, True], "a text at 2"),
        ([21.5, 3, "clear", 1], "true or false at 3"),
        ([None, 3, "clear", True], "missing value, as at 0"),
    ],
)
def test_a_result_of_other_values_is_refused(city: City, result: Any, why: str) -> None:
    identity = made(city)
    with pytest.raises(AssertionError, match=why):
        city.post(f"MultiDatastreams({identity})/Observations", {"result": result})


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"unitOfMeasurements": UNITS[:3]}, "of one length, not 4, 3 and 4"),
        ({"ObservedProperties": []}, "must name 1 to"),
        ({"ObservedProperties": None}, "ObservedProperties is missing"),
        ({"multiObservationDataTypes": [OM + "Measurement", "x", "y", "z"]}, r"multiObservationDataTypes\[1\]"),
        ({"unitOfMeasurements": [{"symbol": "parrots per hour" * 5}, *UNITS[1:]]}, r"unitOfMeasurements\[0\]"),
        ({"observationType": OM + "Measurement"}, "observationType must be"),
        ({"ObservedProperty": {"@iot.id": 1}}, "no property 'ObservedProperty'"),
    ],
)
def test_what_does_not_belong_together_is_refused(city: City, more: dict[str, Any], why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        made(city, **more)


def test_it_is_changed_as_long_as_it_has_no_observations(city: City) -> None:
    identity = made(city)
    path = f"MultiDatastreams({identity})"
    patch(city, path, {"name": "new", "unitOfMeasurements": [{"name": "K", "symbol": "K"}, *UNITS[1:]]})
    told = city.get(path)
    assert (told["name"], told["unitOfMeasurements"][0]["symbol"]) == ("new", "K")
    kept = [{"@iot.id": one} for one in city.names(f"{path}/ObservedProperties", "@iot.id")[:1]]
    two = {
        "ObservedProperties": kept,
        "unitOfMeasurements": UNITS[:1],
        "multiObservationDataTypes": [OM + "Measurement"],
    }
    patch(city, path, two)
    assert len(city.names(f"{path}/ObservedProperties")) == 1
    city.post(f"{path}/Observations", {"result": [1.5]})
    patch(city, path, {"description": "still"})
    with pytest.raises(InputRefused, match="other values") as refused:
        patch(city, path, {"unitOfMeasurements": UNITS[1:2]})
    assert refused.value.status == 409


def test_it_goes_with_any_of_its_observed_properties(city: City) -> None:
    identity = made(city)
    last = city.names(f"MultiDatastreams({identity})/ObservedProperties", "@iot.id")[-1]
    gone = plan_delete(f"ObservedProperties({last})", Library(city.catalog, city.lake, BASE, city.now)).edits
    fold(city, gone)
    with pytest.raises(InputRefused) as refused:
        city.get(f"MultiDatastreams({identity})")
    assert refused.value.status == 404
    assert city.catalog.components.of(identity) == ()


def test_nobody_adds_a_value_to_it(city: City) -> None:
    identity = made(city)
    with pytest.raises(InputRefused, match="made with all its ObservedProperties"):
        city.post(f"MultiDatastreams({identity})/ObservedProperties", new_property("more"))


@pytest.mark.parametrize("kind", [{"name": "degC"}, [], None, 1])
def test_a_type_that_is_no_text_is_named(kind: Any) -> None:
    body = {"multiObservationDataTypes": [kind], "unitOfMeasurements": [{}]}
    with pytest.raises(InputRefused, match=r"multiObservationDataTypes\[0\] must be one of"):
        components(body, [1], "MultiDatastream")
