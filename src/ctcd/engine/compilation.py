"""Whether code for a GPU can be compiled here."""

import os
import shutil
from functools import lru_cache
from importlib.util import find_spec


@lru_cache(maxsize=1)
def can_compile_for_gpu() -> bool:
    """PyTorch compiles through Triton, which not every system has, and which itself needs a C compiler."""
    compilers = (os.environ.get("CC"), "gcc", "clang", "cc")
    return find_spec("triton") is not None and any(shutil.which(name) for name in compilers if name)
