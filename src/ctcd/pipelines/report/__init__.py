"""Temporary."""

from kedro.pipeline import Pipeline


def create_pipeline(study):
    return Pipeline([])
