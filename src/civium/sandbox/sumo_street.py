"""Lamps of signal heads in a running SUMO."""

from typing import Any


class SumoStreet:
    """The lamps in a running SUMO; ``sim`` is libsumo or a TraCI connection."""

    def __init__(self, sim: Any) -> None:
        self._lamps = sim.trafficlight

    def show(self, signal: str, state: str) -> None:
        """Sets the lamps."""
        self._lamps.setRedYellowGreenState(signal, state)

    def shown(self, signal: str) -> str:
        """Reads the lamps."""
        return str(self._lamps.getRedYellowGreenState(signal))
