"""The guard, the outbox and one file per actuator protocol."""
