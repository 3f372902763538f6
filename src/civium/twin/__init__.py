"""Folds observations into the latest state, holds the city model's layers, and hands out frozen Views."""
