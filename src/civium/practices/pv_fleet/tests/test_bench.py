"""The bench: its judge is just, its weather is read, and its generator shares nothing with what decides."""

import ast
from pathlib import Path

import numpy as np
import pytest

from civium.practices.pv_fleet import bench_fleet
from civium.practices.pv_fleet.bench import judge
from civium.practices.pv_fleet.bench_feed import FIRST_STATION, views
from civium.practices.pv_fleet.bench_fleet import Fault, Fleet
from civium.practices.pv_fleet.bench_weather import built_in, read

FOLDER = Path(bench_fleet.__file__).parent
APART = ("bench_fleet.py", "bench_sky.py", "bench_weather.py")


@pytest.mark.parametrize("name", APART)
def test_the_generator_imports_nothing_that_decides(name: str) -> None:
    tree = ast.parse((FOLDER / name).read_text())
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    ours = {m for m in imported if m.startswith("civium.practices")}
    assert ours <= {f"civium.practices.pv_fleet.{n.removesuffix('.py')}" for n in APART}
    assert not {m for m in imported if m.startswith("pvlib")}


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(read(built_in()[0]), 20, 60, seed=1)


def faults(fleet: Fleet) -> None:
    """One plant with a string fault, one with dirt too thin to count."""
    string = Fault(0, "string_fault", 10, 30, {}, due=100.0, lost=20.0, daily=dict.fromkeys(range(10, 30), 1.0))
    fleet.faults = [string, Fault(1, "soiling", 10, 30, {}, due=100.0, lost=1.0, daily={})]


def test_a_notice_of_the_right_kind_in_time_is_true_and_credits_what_was_lost_after_it(fleet: Fleet) -> None:
    faults(fleet)
    tally = judge(fleet, [(20, 1, "string_fault")])
    assert (tally.recall("string_fault"), tally.precision("string_fault")) == (1.0, 1.0)
    assert (tally.lost, tally.recovered, tally.delays) == (20.0, 10.0, [10])


@pytest.mark.parametrize("alarm", [(20, 1, "soiling"), (5, 1, "string_fault"), (40, 1, "string_fault")])
def test_a_notice_of_another_kind_too_early_or_too_late_is_false(fleet: Fleet, alarm: tuple[int, int, str]) -> None:
    faults(fleet)
    tally = judge(fleet, [alarm])
    assert tally.precision() == 0.0
    assert tally.recall("string_fault") == 0.0


def test_a_fault_too_small_to_count_is_neither_true_nor_false(fleet: Fleet) -> None:
    faults(fleet)
    tally = judge(fleet, [(20, 2, "soiling")])
    assert sum(tally.notices.values()) == 0
    assert tally.faults["soiling"] == 0


def test_a_notice_on_a_healthy_plant_disturbs_it_once(fleet: Fleet) -> None:
    faults(fleet)
    tally = judge(fleet, [(20, 9, "soiling"), (30, 9, "shading")])
    assert tally.disturbed == 1
    assert tally.precision() == 0.0


def test_a_wrong_station_is_a_sensor_fault_found_only_by_its_own_notice(fleet: Fleet) -> None:
    faults(fleet)
    station = fleet.station_fault
    right = judge(fleet, [(station.begin + 3, FIRST_STATION + station.station, "sensor_fault")])
    wrong = judge(fleet, [(station.begin + 3, FIRST_STATION + (station.station + 1) % 3, "sensor_fault")])
    assert right.true["sensor_fault"] == 1
    assert wrong.true["sensor_fault"] == 0


def test_the_same_seed_gives_the_same_year_and_another_seed_another() -> None:
    year = read(built_in()[0])

    def first_power(seed: int) -> np.ndarray:
        _, day = next(Fleet(year, 5, 60, seed).stream())
        return day.power

    assert np.array_equal(first_power(3), first_power(3), equal_nan=True)
    assert not np.array_equal(first_power(3), first_power(4), equal_nan=True)


def test_a_view_of_the_bench_holds_nothing_from_its_future() -> None:
    fleet = Fleet(read(built_in()[1]), 5, 45, 2)
    for _, view in views(fleet):
        for table in view.frames.values():
            newest = table["time"].cast("int64").to_numpy().max(initial=0)
            assert newest <= view.now


@pytest.mark.parametrize("path", built_in(), ids=lambda p: p.name)
def test_recorded_years_are_read_and_set_against_the_sun(path: Path) -> None:
    year = read(path)
    assert len(year.ghi) == 8760
    assert 600 < year.ghi.sum() / 1000 < 2300
    assert -20 < year.air.mean() < 35


CSV = "# latitude=48.0 longitude=11.5\n# altitude=520\ntime,ghi,air_temperature\n"


def test_a_csv_year_is_read_with_units_and_offset(tmp_path: Path) -> None:
    source = read(built_in()[0])
    stamps = np.datetime64("2019-01-01T00:00") + np.arange(8760) * np.timedelta64(1, "h")
    rows = (f"{t}+00:00,{g:.1f},{a + 273.15:.2f}" for t, g, a in zip(stamps, source.ghi, source.air, strict=True))
    path = tmp_path / "year.csv"
    path.write_text(CSV.replace("11.5", "-79.95").replace("48.0", "36.1") + "\n".join(rows))
    year = read(path)
    assert (year.latitude, year.altitude) == (36.1, 520.0)
    assert year.ghi == pytest.approx(source.ghi, abs=0.06)
    assert year.air == pytest.approx(source.air, abs=0.01)
    assert year.dni.max() > 300


@pytest.mark.parametrize("text", ["", "hello\nworld", CSV + "2019-01-01T00:00+00:00,0,280\n", CSV + "yesterday,1,2\n"])
def test_a_file_that_is_no_year_of_weather_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="odd"):
        read(path)
