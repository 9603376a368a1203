"""Co-training and co-distillation of language models, from text to scores, as a Kedro project."""

import os

__version__ = "0.1.0"

# Read by PyTorch at its first tensor. A wide model's large tensors come and go at every step; on a CPU the system would
# hand them out anew in pages of 4 kB each.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
