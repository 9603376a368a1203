"""A trained model to its accuracy on minimal pairs."""

from ctcd.pipelines.minimal_pairs.pipeline import create_pipeline

__all__ = ["create_pipeline"]
