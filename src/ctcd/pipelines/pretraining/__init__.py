"""First weights to a trained teacher and student."""

from ctcd.pipelines.pretraining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
