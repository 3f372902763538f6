"""The fastest way through the streets for a given time to drive along each of them."""

import heapq

import numpy as np

from civium.practices.emergency_corridor.city_map import Floats, Ints, Place, Streets


def fastest(streets: Streets, times: Floats, starts: list[Place], targets: list[Place]) -> tuple[Ints, float, Place]:
    """Streets of the fastest route (Dijkstra 1959), its time [s], and the start that it begins at.

    ``times`` [s] by street; of the first and the last street only the part that is driven counts, and a start costs one
    second more for each metre that it lies away. The route is empty and its time infinite where no target can be
    reached. Ties go to the street with the lower number, so that the same streets give the same route.
    """
    goal = {place.street: place for place in reversed(targets)}
    pace = times / streets.length
    best: dict[int, tuple[float, int]] = {}  # by street: time at its end, street before it
    heap: list[tuple[float, int, int]] = []
    arrival: tuple[float, int, int] | None = None
    begin = {place.street: place for place in reversed(starts)}
    for street, place in begin.items():
        end = goal.get(street)
        if end is not None and end.along >= place.along:
            there = (place.distance + float(pace[street]) * (end.along - place.along), street, -1)
            arrival = min(arrival, there) if arrival else there
        ahead = float(pace[street]) * max(float(streets.length[street]) - place.along, 0.0)
        heapq.heappush(heap, (place.distance + ahead, street, -1))
    while heap:
        time, street, before = heapq.heappop(heap)
        if arrival is not None and time >= arrival[0]:
            break
        if street in best:
            continue
        best[street] = (time, before)
        for onward, turning in zip(streets.following[street], streets.turning[street], strict=True):
            end = goal.get(onward)
            if end is not None:
                there = (time + turning + float(pace[onward]) * end.along, onward, street)
                arrival = min(arrival, there) if arrival else there
            if onward not in best:
                heapq.heappush(heap, (time + turning + float(times[onward]), onward, street))
    if arrival is None:
        return np.zeros(0, dtype=np.int64), float("inf"), Place(-1, 0.0, 0.0)
    time, street, before = arrival
    way = [street]
    while before >= 0:
        way.append(before)
        before = best[before][1]
    way.reverse()
    start = begin[way[0]]
    return np.array(way, dtype=np.int64), time - start.distance, start
