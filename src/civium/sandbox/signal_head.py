"""The signal head: the device in the street that obeys wishes and keeps the junction safe whatever is wished.

Enforced here, and nowhere above: no two conflicting protected greens, yellow and clearance between conflicting
greens, minimum green, walk and clearance times of crossings, longest red. A wish names a stage and lapses; without
one, and while somebody has been red for too long, the head runs the fixed-time program of its junction.
"""

from dataclasses import dataclass
from typing import Protocol

from civium.core.clock import MICROSECONDS
from civium.sandbox.junction import Junction
from civium.sandbox.signal_plan import GREEN

LONGEST_WISH_S = 120.0  # a wish that would bind the head for longer is refused
CHANGING = -1


class Street(Protocol):
    """What the head is wired to: lamps that show a state string (SUMO's alphabet) and can be read back."""

    def show(self, signal: str, state: str) -> None: ...

    def shown(self, signal: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """A stage wished for until an instant [us]; ``decision`` is the record that it came from."""

    id: str
    stage: int
    until: int
    decision: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the head reports: the stage shown (-1 while changing) and the decision that it obeys, if any."""

    signal: str
    time: int
    stage: int
    state: str
    parent: str | None


class SignalHead:
    """One signal's controller. ``origin`` [us] is second 0 of the fixed-time program; all instants in [us]."""

    def __init__(self, junction: Junction, street: Street, now: int, origin: int = 0) -> None:
        n = junction.links
        self.junction = junction
        self.wish: Wish | None = None
        self.state = street.shown(junction.id).ljust(n, "r")[:n]
        self._street = street
        self._origin = origin
        self._by_plan = True
        self._target = self.state
        self._since = [now] * n  # when each link last began green, yellow or red
        self._demoted = [now - 3600 * MICROSECONDS] * n  # when each link last lost protection but not green
        self._seen: dict[str, None] = {}
        self._foes = [[j for j in range(n) if junction.conflicts[i, j]] for i in range(n)]
        self._yellow = [round(s * MICROSECONDS) for s in junction.yellow]
        self._min_green = [round(s * MICROSECONDS) for s in junction.min_green]
        self._max_red = round(junction.max_red * MICROSECONDS)
        self._planned_green = [any(state[i] in GREEN for state, _ in junction.program) for i in range(n)]
        self._clearance = [[round(s * MICROSECONDS) for s in row] for row in junction.clearance.tolist()]

    def obey(self, command: str, stage: float | str, until: int, now: int, decision: str = "") -> str:
        """Takes a wish; returns "" or the reason why it is refused. A repeated command id changes nothing."""
        if command in self._seen:
            return ""
        why = self._refusal(stage, until, now)
        if not why:
            self._seen[command] = None
            if len(self._seen) > 256:
                del self._seen[next(iter(self._seen))]
            self.wish = Wish(command, int(float(stage)), until, decision)
        return why

    def _refusal(self, stage: float | str, until: int, now: int) -> str:
        try:
            number = float(stage)
        except ValueError:
            return f"'{stage}' is not the index of a phase"
        if not self.junction.controllable:
            return "this signal has one phase only"
        if number != number // 1 or not 0 <= number < len(self.junction.stages):
            return f"there is no phase {number:g}; this signal has phases 0 to {len(self.junction.stages) - 1}"
        if until <= now:
            return "the wish has lapsed already"
        if until - now > LONGEST_WISH_S * MICROSECONDS:
            return f"a wish may bind the signal for {LONGEST_WISH_S:g} s at most"
        return ""

    def step(self, now: int) -> bool:
        """Lets the head work at an instant [us] (once a second); returns whether what it shows has changed."""
        if self.wish is not None and now >= self.wish.until:
            self.wish = None
        followed = None if self._red_too_long(now) else self.wish
        self._by_plan = followed is None
        wanted = self.junction.stages[followed.stage] if followed else self._planned(now)
        if wanted != self._target and not self._cuts_short(wanted, now):
            self._target = wanted
        if self.state == self._target:
            return False
        shown = self._next(self._target, now)
        if shown == self.state:
            return False
        for i, (old, new) in enumerate(zip(self.state, shown, strict=True)):
            if (old in GREEN) != (new in GREEN) or (old == "y") != (new == "y"):
                self._since[i] = now
            elif old == "G" and new != "G":
                self._demoted[i] = now
        self.state = shown
        self._street.show(self.junction.id, shown)
        return True

    def reading(self, now: int) -> Reading:
        """What the head shows now; its parent is the decision whose wish it shows."""
        stage = self.junction.stage_of(self.state)
        obeyed = self.wish is not None and stage == self.wish.stage
        parent = self.wish.decision if self.wish is not None and obeyed and self.wish.decision else None
        return Reading(self.junction.id, now, stage, self.state, parent)

    def _red_too_long(self, now: int) -> bool:
        """Whether a link that the fixed-time program serves has been red for as long as may be."""
        return any(
            shown not in GREEN and shown != "y" and served and now - since >= self._max_red
            for shown, served, since in zip(self.state, self._planned_green, self._since, strict=True)
        )

    def _planned(self, now: int) -> str:
        return self.junction.planned((now - self._origin) / MICROSECONDS)

    def _cuts_short(self, wanted: str, now: int) -> bool:
        """Whether some green would end before its minimum."""
        return any(
            shown in GREEN and new not in GREEN and now - since < least
            for shown, new, since, least in zip(self.state, wanted, self._since, self._min_green, strict=True)
        )

    def _next(self, target: str, now: int) -> str:
        """The state of this second on the way to ``target``: each link moves as soon as it safely can."""
        walkers_clear = self._walkers_clear(target, now)
        shown = []
        for i, (old, new) in enumerate(zip(self.state, target, strict=True)):
            if old in GREEN:
                if new in GREEN:
                    shown.append(old if new == "G" != old and not self._clear(i, target, now) else new)
                elif self.junction.pedestrian[i]:
                    shown.append("r")
                else:
                    planned = new == "y" and self._by_plan
                    shown.append("y" if walkers_clear or planned else old)
            elif old == "y" and (now - self._since[i] < self._yellow[i] or new == "y"):
                shown.append("y")
            elif new in GREEN:
                shown.append(new if self._clear(i, target, now) else "r")
            else:
                shown.append("r" if new == "y" else new)
        return "".join(shown)

    def _walkers_clear(self, target: str, now: int) -> bool:
        """Whether vehicles may go yellow: those on a crossing that just closed need no longer than the yellow takes."""
        for j, walks in enumerate(self.junction.pedestrian):
            if not walks or target[j] in GREEN:
                continue
            for i in self._foes[j]:
                if self.state[i] in GREEN or target[i] not in GREEN:
                    continue
                gone = 0 if self.state[j] in GREEN else now - self._since[j]
                losing = [k for k in self._foes[i] if self.state[k] in GREEN and target[k] not in GREEN and k != j]
                needed = max((self._yellow[k] + self._clearance[k][i] for k in losing), default=0)
                if self._clearance[j][i] - gone > needed:
                    return False
        return True

    def _clear(self, link: int, target: str, now: int) -> bool:
        """Whether a link may turn (protected) green: all that conflicts and has to go is gone."""
        for j in self._foes[link]:
            shown = self.state[j]
            gone = now - self._since[j]
            if shown == "y":
                if target[j] == "y" or gone < self._yellow[j] or self._clearance[j][link] > 0:
                    return False
            elif shown in GREEN:
                if target[j] not in GREEN:
                    return False
                if target[link] == "G" and (shown == "G" or now - self._demoted[j] < self._yellow[j]):
                    return False
            elif gone < self._clearance[j][link]:
                return False
        return True
