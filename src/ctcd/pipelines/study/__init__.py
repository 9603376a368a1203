"""Compositions: a set of variants that answers one question, from text to report."""

from ctcd.pipelines.study.pipeline import create_pipeline

__all__ = ["create_pipeline"]
