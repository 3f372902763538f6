"""Fifty thousand things that speak, on the map of a browser without a graphics card."""

import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.city.conftest import CityProcess
from tests.console.conftest import Open

SIDE = 224
MANY = SIDE * SIDE
VIEW = "24.94/60.17/13/0/0"


def bins() -> list[str]:
    """A bin with a stream on each point of a lattice of 10 m by 20 m."""
    lines = []
    for i in range(MANY):
        where = {"type": "Point", "coordinates": [24.92 + i % SIDE * 1.8e-4, 60.16 + i // SIDE * 9e-5]}
        stream = {"property": "fill_level", "unit": "%"}
        lines.append(
            json.dumps({"key": f"bin/{i}", "kind": "bin", "name": f"Bin {i}", "where": where, "streams": [stream]})
        )
    return lines


@pytest.fixture
def full(tmp_path: Path) -> CityProcess:
    city = CityProcess(tmp_path / "city", True, {}).start()
    lines = bins()
    for at in range(0, MANY, 10_000):
        city.client.post("/api/register?ids=false", content="\n".join(lines[at : at + 10_000]).encode())
    at = pa.array([datetime.now(UTC) - timedelta(minutes=20)] * MANY, pa.timestamp("us", tz="UTC"))
    table = pa.table({"stream": np.arange(1, MANY + 1), "time": at, "value": np.linspace(0.0, 1.0, MANY)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    city.client.post("/bulk/observations", sink.getvalue().to_pybytes())
    return city


def test_they_are_drawn_found_and_played(look: Open, full: CityProcess) -> None:
    try:
        page = look(f"/console/map?view={VIEW}", base=full.url)
        expect(page.locator(".map[data-ready]")).to_be_attached()
        expect(page.get_by_role("region", name="On the map")).to_contain_text(f"{MANY:,} / {MANY:,}")
        page.wait_for_timeout(3000)  # a frame is drawn after the numbers are told
        drawn = Image.open(io.BytesIO(page.locator(".map").screenshot())).convert("RGB")
        middle = Counter(drawn.crop((500, 250, 900, 600)).get_flattened_data())
        assert max(middle.values()) < middle.total() / 2, middle.most_common(3)  # dots of every colour, no bare ground
        page.get_by_role("combobox", name="Find a thing").fill("Bin 49999")
        page.get_by_role("option", name=re.compile("Bin 49999")).click()
        expect(page.get_by_role("complementary", name="What was chosen")).to_contain_text("fill level")
        page.get_by_role("button", name="Play the past").click()
        expect(page.get_by_role("slider", name="Moment of the hour")).to_be_visible()
        expect(page.get_by_text("Loading")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
    finally:
        full.stop()
