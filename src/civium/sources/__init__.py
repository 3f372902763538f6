"""Doors in: one file per open standard, all ending in one accept path."""
