"""Kedro's settings of the project. What is not here has Kedro's default."""

import logging
import os
import warnings

from ctcd.hooks.declare import DeclareHook
from ctcd.hooks.estimate import EstimateHook
from ctcd.hooks.stages import ProjectHooks
from ctcd.hooks.tracking import TrackingHook

# Kedro, MLflow and Hugging Face read this one. A packaged run has no `.telemetry` file.
os.environ.setdefault("DO_NOT_TRACK", "true")
# A bar per saved or loaded model, and a table of the weights that a classifier adds to a pre-trained model.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

# Nobody who runs the project can act upon these.
warnings.filterwarnings("ignore", message=r"One or more dataset names contain '\.' characters", category=UserWarning)
warnings.filterwarnings("ignore", message=r"ORJSONResponse is deprecated")
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated", category=UserWarning)
# PyTorch's compiler, on its own choices and on float32 products that are meant to be exact.
warnings.filterwarnings("ignore", module=r"torch\._inductor", category=UserWarning)
# The server of `kedro viz` is a process of its own, which reads no settings before it warns.
os.environ.setdefault("PYTHONWARNINGS", "ignore:ORJSONResponse is deprecated")
logging.getLogger("kedro.runner.sequential_runner").addFilter(
    lambda record: not record.getMessage().startswith("No nodes ran.")
)

# Hooks run from the last to the first: variants are declared, then the input is checked, then the run is estimated.
HOOKS = (TrackingHook(), EstimateHook(), ProjectHooks(), DeclareHook())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Without it an environment that sets one parameter would drop all its neighbours in base.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
