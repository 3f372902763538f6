"""Connectors: one small file for each kind of foreign system that a city takes readings from."""
