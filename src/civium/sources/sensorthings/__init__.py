"""OGC SensorThings API 1.1, part 1: pure functions between its JSON and URLs and the catalogue and store."""
