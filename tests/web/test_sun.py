"""The sun stands where astronomers compute it, and shadows fall away from it."""

import numpy as np
import pandas as pd
import pvlib
import pytest

from civium.web.sun import sun_at

HOURS = pd.date_range("2026-01-15T00:00Z", "2026-12-20T00:00Z", periods=200)


@pytest.mark.parametrize(("lon", "lat"), [(24.94, 60.17), (103.8, 1.35), (-70.6, -33.4)])
def test_the_sun_is_within_a_twentieth_of_a_degree(lon: float, lat: float) -> None:
    there = pvlib.solarposition.get_solarposition(HOURS, lat, lon)
    ours = [sun_at(int(hour.value // 1000), lon, lat) for hour in HOURS]
    assert np.allclose([sun.elevation for sun in ours], there["elevation"], atol=0.05)
    turned = np.abs([sun.azimuth for sun in ours] - there["azimuth"].to_numpy())
    high = there["elevation"].abs().to_numpy() < 85  # near the zenith the direction means nothing
    assert np.minimum(turned, 360 - turned)[high].max() < 0.2
