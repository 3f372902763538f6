"""What every connector stands on: its nouns, the mapping of foreign fields, the way in, and who attends to it."""
