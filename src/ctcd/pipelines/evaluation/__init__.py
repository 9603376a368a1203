"""Any encoder to scores on a suite of tasks."""

from ctcd.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
