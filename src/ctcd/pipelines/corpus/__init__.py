"""Text to packed sequences."""

from ctcd.pipelines.corpus.pipeline import create_pipeline

__all__ = ["create_pipeline"]
