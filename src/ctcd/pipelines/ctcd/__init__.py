"""The study behind the method's name."""

from ctcd.pipelines.ctcd.pipeline import create_pipeline

__all__ = ["create_pipeline"]
