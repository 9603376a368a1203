"""Scores and histories to tables, figures and a page."""

from ctcd.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
