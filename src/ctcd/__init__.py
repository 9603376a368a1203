"""Co-training and co-distillation of language models, from text to scores, as a Kedro project."""

__version__ = "0.1.0"
