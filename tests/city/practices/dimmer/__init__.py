"""A small practice for tests: turns lamps up when it is cold, and estimates the mean."""

from civium.core import Make, Need, Practice
from dimmer.decide import DimmerParams, decide

PRACTICE = Practice(
    id="dimmer",
    title="Dims lamps",
    needs=(Need("temperature", property="air_temperature", kind="lamp_post", unit="K", window=60, stale=30),),
    decide=decide,
    every=1.0,
    makes=(Make("mean_temperature", "lamp_post", "K"),),
    acts_on="lamp_post",
    params=DimmerParams,
)
