"""Alarms: what the city's rules find, who is told of it and until when, and what they did about it."""
