"""What a practice is worth: scenarios, baselines and scores. See ``score``."""
