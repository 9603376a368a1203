"""A trained model to scores on a suite of tasks."""

from ctcd.pipelines.finetuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
