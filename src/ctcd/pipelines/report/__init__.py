"""Scores and histories of a study's variants -> claims, tables, figures, page."""

from ctcd.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
