"""Kedro dataset classes that do not exist elsewhere."""
