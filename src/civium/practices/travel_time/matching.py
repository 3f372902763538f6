"""From passages to trips: visits at readers, legs between them, samples of links, and which samples are outliers.

Everything is columnar: one lexical sort by device and time, then differences between neighbouring rows.
"""

from dataclasses import dataclass

import numpy as np

from civium.practices.travel_time.network import Bools, Floats, Ints, Network
from civium.practices.travel_time.params import TravelTimeParams

SECOND = 1_000_000  # [us]
TO_SIGMA = 1.4826  # median absolute deviation of normal values to their standard deviation


@dataclass(frozen=True, eq=False, slots=True)
class Passages:
    """A device's pseudonym was heard at a reader (position in the network) at an instant [us]."""

    reader: Ints
    time: Ints
    device: Ints


@dataclass(frozen=True, eq=False, slots=True)
class Legs:
    """A device went from a reader to another without being heard between: it left at ``start`` and at ``end`` [us]."""

    origin: Ints
    target: Ints
    start: Ints
    end: Ints
    device: Ints


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Travel times [s] over links (position in the network), by link and then by the instant of arrival [us]."""

    link: Ints
    end: Ints
    seconds: Floats


def visits_of(heard: Passages, params: TravelTimeParams) -> Passages:
    """One passage for each stay at a reader, at its last detection: there the vehicle leaves the reader's range.

    Detections of a device at the same reader belong to one stay until it was silent for ``pause``, or was heard
    elsewhere.
    """
    order = np.lexsort((heard.reader, heard.time, heard.device))
    reader, time, device = heard.reader[order], heard.time[order], heard.device[order]
    if len(time) == 0:
        return heard
    same = (reader[1:] == reader[:-1]) & (device[1:] == device[:-1])
    goes_on = same & (np.diff(time) <= params.pause * SECOND)
    last = np.append(~goes_on, True)
    return Passages(reader[last], time[last], device[last])


def legs_of(visits: Passages, params: TravelTimeParams) -> Legs:
    """Legs between consecutive visits of a device at two readers, no longer than ``longest``."""
    went = (visits.device[1:] == visits.device[:-1]) & (visits.reader[1:] != visits.reader[:-1])
    went &= np.diff(visits.time) <= params.longest * SECOND
    a, b = np.flatnonzero(went), np.flatnonzero(went) + 1
    return Legs(visits.reader[a], visits.reader[b], visits.time[a], visits.time[b], visits.device[a])


def samples_of(legs: Legs, network: Network, params: TravelTimeParams) -> Samples:
    """The legs that are links; a vehicle that carries several devices counts once."""
    size = len(network.reader)
    index = np.full(size * size, -1, dtype=np.int64)
    index[network.start * size + network.end] = np.arange(len(network.link))
    link = index[legs.origin * size + legs.target]
    seconds = (legs.end - legs.start) / SECOND
    possible = (link >= 0) & (seconds > 0)
    possible &= seconds * params.fastest >= network.length[np.maximum(link, 0)]
    link, start, end = link[possible], legs.start[possible], legs.end[possible]
    order = np.lexsort((start, end, link))
    link, start, end = link[order], start[order], end[order]
    again = np.zeros(len(link), dtype=bool)
    again[1:] = (link[1:] == link[:-1]) & (start[1:] == start[:-1]) & (end[1:] == end[:-1])
    link, start, end = link[~again], start[~again], end[~again]
    return Samples(link, end, (end - start) / SECOND)


def usual(samples: Samples, params: TravelTimeParams) -> Bools:
    """Samples that are no outliers: close to the median of the ``neighbours`` that arrived around them.

    In the logarithm, for travel times are skewed; the allowed deviation follows the neighbours' own spread (median
    absolute deviation), so that stops, detours, bicycles and buses go while a jam, which all are in, stays.
    """
    good = np.zeros(len(samples.link), dtype=bool)
    if len(samples.link) == 0:
        return good
    first = np.flatnonzero(np.append(True, np.diff(samples.link) != 0))
    for begin, end in zip(first, np.append(first[1:], len(samples.link)), strict=True):
        good[begin:end] = _near_median(np.log(samples.seconds[begin:end]), params)
    return good


def _near_median(value: Floats, params: TravelTimeParams) -> Bools:
    width = min(params.neighbours, len(value))
    windows = np.lib.stride_tricks.sliding_window_view(value, width)
    of = np.clip(np.arange(len(value)) - width // 2, 0, len(windows) - 1)
    median = np.median(windows, axis=1)
    sigma = TO_SIGMA * np.median(np.abs(windows - median[:, None]), axis=1)
    allowed = params.spread * np.maximum(sigma, params.narrowest)
    near: Bools = np.abs(value - median[of]) <= allowed[of]
    return near


@dataclass(frozen=True, eq=False, slots=True)
class Times:
    """By link: vehicles matched, mean travel time [s] and its standard error [s]; NaN where too few."""

    count: Ints
    mean: Floats
    error: Floats


def times_of(samples: Samples, links: int, params: TravelTimeParams) -> Times:
    """Mean and standard error of each link's samples; of at least ``fewest``."""
    count = np.bincount(samples.link, minlength=links)
    enough = count >= params.fewest
    n = np.maximum(count, 1)
    mean = np.bincount(samples.link, samples.seconds, links) / n
    square = np.bincount(samples.link, (samples.seconds - mean[samples.link]) ** 2, links)
    error = np.sqrt(square / np.maximum(n - 1, 1) / n)
    return Times(count, np.where(enough, mean, np.nan), np.where(enough, error, np.nan))


def flows_of(legs: Legs, readers: int, params: TravelTimeParams) -> Ints:
    """Trips from reader to reader (readers, readers): a trip is a device's legs without a pause between them.

    A flow of fewer than ``fewest`` is told as 0, for it says too much about a person.
    """
    if len(legs.device) == 0:
        return np.zeros((readers, readers), dtype=np.int64)
    joined = (legs.device[1:] == legs.device[:-1]) & (legs.end[:-1] == legs.start[1:])
    begins, ends = np.append(True, ~joined), np.append(~joined, True)
    pair = legs.origin[begins] * readers + legs.target[ends]
    flows = np.bincount(pair, minlength=readers * readers).reshape(readers, readers)
    np.fill_diagonal(flows, 0)
    return np.where(flows >= params.fewest, flows, 0)
