"""Civium, an open city operating system: sense, twin, decide, guard, record."""

__version__ = "0.1.0"
