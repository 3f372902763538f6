"""A practice for benchmarks: looks at every post, commands the lamps among them, estimates one mean."""

from bench_lamps.decide import decide
from civium.core import Make, Need, Practice

PRACTICE = Practice(
    id="bench_lamps",
    title="Lamps that follow the cold",
    # Not required: it decides on an empty frame too, so that a start is measured and not the wait for data.
    needs=(
        Need(
            "temperature",
            property="air_temperature",
            kind="weather_post",
            unit="K",
            window=10,
            stale=30,
            required=False,
        ),
    ),
    decide=decide,
    every=1.0,
    makes=(Make("mean_air_temperature", "weather_post", "K"),),
    acts_on="weather_post",
)
