"""A city in a box: simulated devices that talk to the platform only through its real doors."""
