"""The register in the field sets of others has exactly their fields, and says what is missing instead of guessing."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from civium.publish.standards import ATRS, ATS, DUTCH, STANDARDS, as_json
from civium.publish.tables import as_csv

ENTRY = {
    "id": "dimmer", "mandate": "act", "decisions": 3, "commands": {"confirmed": 2}, "every_s": 5.0,
    "own": {"title": "=Dims lamps", "purpose": "One. " * 60, "decides": "How bright", "risk_category": "minimal risk"},
    "city": {"organization": "Testville", "contact_email": "", "area": "Testville"},
    "inputs": ["air_temperature of lamp_post"], "address": "http://city",
    "first": "2026-06-01", "changed": "2026-06-02",
}  # fmt: skip


def test_the_fields_are_those_of_the_standards(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("register")
    ats = yaml.safe_load((folder / "schema-v0_3_1.yaml").read_text())["properties"]
    uk = yaml.safe_load((folder / "schema-UK-generated.yaml").read_text())["properties"]
    dutch = json.loads((folder / "standard_v1_0.json").read_text())["properties"]
    assert list(ATS.fields) == [one["attribute"] for one in ats]
    assert ATS.required == {one["attribute"] for one in ats if one.get("required") is True}
    assert list(ATRS.fields) == [one["attribute"].rstrip("*") for one in uk]
    assert ATRS.required == {one["attribute"].rstrip("*") for one in uk if one.get("required") is True}
    assert list(DUTCH.fields) == list(dutch)
    assert DUTCH.required == {name for name, one in dutch.items() if one.get("required") is True}


@pytest.mark.parametrize("code", STANDARDS)
def test_what_nobody_said_is_missing_and_not_guessed(code: str) -> None:
    told = as_json(STANDARDS[code], [ENTRY])
    (entry,) = told["entries"]
    missing = told["missing"]["dimmer"]
    assert "contact_email" in missing
    assert all(entry[field] == "" for field in missing)


def test_a_key_of_the_fields_own_name_answers_it_and_short_is_short() -> None:
    told, missing = ATS.entry(ENTRY)
    assert told["risk_category"] == "minimal risk"
    assert "risk_category" not in missing
    assert told["status"] == "operational"
    assert len(told["description_short"]) <= 150
    assert told["description_short"].endswith("One.")


def test_a_spreadsheet_computes_nothing_of_a_text() -> None:
    told, _ = ATS.entry(ENTRY)
    heading, row = csv.reader(io.StringIO(as_csv(ATS.fields, [told])))
    assert tuple(heading) == ATS.fields
    assert row[0] == "'=Dims lamps"
