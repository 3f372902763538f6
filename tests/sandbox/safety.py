"""What a junction must never show, second by second."""

from collections.abc import Sequence

from civium.sandbox.junction import Junction
from civium.sandbox.signal_plan import GREEN

CHANGES_S = 30.0  # that a stage may take to come after it is due


def keeps_safe(junction: Junction, states: Sequence[str]) -> None:
    """Asserts that conflicts, minimum greens, yellows and clearances hold, and that nobody stays red for ever."""
    n = junction.links
    began = [0] * n  # when each link's present aspect began
    ended = [-3600] * n  # when each link was last green or yellow
    for t in range(1, len(states)):
        old, new = states[t - 1], states[t]
        protected = [i for i in range(n) if new[i] == "G"]
        assert not junction.conflicts[protected][:, protected].any()
        for i in range(n):
            was, is_ = old[i] in GREEN, new[i] in GREEN
            if was and not is_:
                assert t - began[i] >= junction.min_green[i] or began[i] == 0
                assert new[i] == ("r" if junction.pedestrian[i] else "y")
            if old[i] == "y" and new[i] != "y":
                assert t - began[i] >= junction.yellow[i]
            if is_ and not was:
                for j in range(n):
                    if junction.conflicts[i, j] and new[j] not in GREEN:
                        assert new[j] != "y"
                        assert t - ended[j] >= junction.clearance[j, i]
        for i in range(n):
            if (old[i] in GREEN) != (new[i] in GREEN) or (old[i] == "y") != (new[i] == "y"):
                began[i] = t
            if old[i] in GREEN or old[i] == "y":
                ended[i] = t
    served = [any(state[i] in GREEN for state, _ in junction.program) for i in range(n)]
    longest = junction.max_red + junction.cycle + CHANGES_S
    red = [0] * n
    for state in states:
        red = [0 if state[i] in GREEN else red[i] + 1 for i in range(n)]
        assert not [i for i in range(n) if served[i] and red[i] > longest]
