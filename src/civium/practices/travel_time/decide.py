"""Travel time, speed and carbon dioxide of each link over the last quarter of an hour."""

import numpy as np

from civium.core.practice import Estimate, Plan, State
from civium.core.view import View, column
from civium.practices.travel_time.emission import grams_per_metre
from civium.practices.travel_time.matching import (
    SECOND,
    Passages,
    Samples,
    legs_of,
    samples_of,
    times_of,
    usual,
    visits_of,
)
from civium.practices.travel_time.network import Network, network_of
from civium.practices.travel_time.params import TravelTimeParams

SIGMAS_95 = 1.96


def decide(view: View, state: State, params: TravelTimeParams) -> tuple[Plan, State]:
    """One turn for all links. ``NeedUnmet`` where no link is known between two readers."""
    network = network_of(view.things)
    samples = samples_of(legs_of(visits_of(passages(view, network), params), params), network, params)
    fresh = usual(samples, params) & (samples.end > view.now - params.span * SECOND)
    kept = Samples(samples.link[fresh], samples.end[fresh], samples.seconds[fresh])
    times = times_of(kept, len(network.link), params)
    speed = network.length / times.mean
    flow = times.count / params.penetration / params.span
    carbon = grams_per_metre("CO2", speed) / 1000.0 * network.length * flow
    begin = view.now - round(params.span * SECOND)
    estimates = []
    for n in np.flatnonzero(~np.isnan(times.mean)).tolist():
        thing, half = int(network.link[n]), SIGMAS_95 * float(times.error[n])
        mean = float(times.mean[n])
        low, high = max(mean - half, 0.1), mean + half
        length = float(network.length[n])
        estimates += [
            Estimate(thing, "travel_time", begin, mean, view.now, low, high),
            Estimate(thing, "travel_speed", begin, float(speed[n]), view.now, length / high, length / low),
            Estimate(thing, "traffic_volume", begin, float(flow[n]), view.now),
            Estimate(thing, "carbon_dioxide", begin, float(carbon[n]), view.now),
        ]
    told = int((~np.isnan(times.mean)).sum())
    slow = int((speed < params.slow * network.free_speed).sum())
    because = (
        f"{told} of {len(network.link)} links have {params.fewest} matched vehicles or more, {slow} of them are slow; "
        f"{int((samples.end > begin).sum() - fresh.sum())} samples were outliers"
    )
    return Plan(estimates=tuple(estimates), because=because), state


def passages(view: View, network: Network) -> Passages:
    """The passages of a View at its readers."""
    frame = view.frames["passage"]
    thing = column(frame, "thing").astype(np.int64)
    value = column(frame, "value").astype(np.float64)
    whole = np.isfinite(value) & (value >= 0) & (value < 2.0**53)
    at = np.clip(np.searchsorted(network.reader, thing), 0, max(len(network.reader) - 1, 0))
    known = whole & (network.reader[at] == thing) if len(network.reader) else np.zeros(len(thing), dtype=bool)
    time = column(frame, "time").astype(np.int64)
    return Passages(at[known], time[known], value[known].astype(np.int64))
