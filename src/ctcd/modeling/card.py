"""Model cards: what a saved folder says of itself."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ctcd.modeling.families import FAMILIES
from ctcd.modeling.settings import InitialLayers, ModelParameters

if TYPE_CHECKING:
    from ctcd.pretraining.plan import PlannedRun
    from ctcd.pretraining.settings import PretrainingParameters


class _Kind(NamedTuple):
    name: str
    task: str  # of the hub, and of `transformers.pipeline`
    prompt: str


_KINDS = {
    "mlm": _Kind("masked", "fill-mask", "This function returns the [MASK] of the list."),
    "clm": _Kind("causal", "text-generation", "This function returns"),
}


def model_card(plan: "PlannedRun", role: str, corpus: Mapping[str, Any], history: pd.DataFrame) -> str:
    """Markdown for the hub: how the model was made and how well it predicts held-out words.

    Args:
        plan: the training.
        role: of the model.
        corpus: metadata of the shards.
        history: of the training.
    """
    settings = plan.settings
    shape = settings.teacher if role == "teacher" else settings.student
    last = history[(history["role"] == role) & (history["step"] == history["step"].max())].set_index("metric")["value"]
    tokens, steps = int(history["tokens"].max()), int(history["step"].max())
    kind = _KINDS[FAMILIES[shape.architecture].objective]
    weights = ", ".join(
        [
            *(f"{name} {value:g}" for name, value in asdict(plan.method.weights).items()),
            *(f"{term.learner} {term.signal} {term.weight:g}" for term in plan.method.terms),
        ]
    )
    average = "; the weights are their moving average" if settings.kept_weights == "average" else ""
    return f"""---
library_name: transformers
pipeline_tag: {kind.task}
tags: [co-distillation]
---

# {role.capitalize()} of run `{plan.id}`

A {kind.name} language model of {shape.layers} layers, {shape.width} wide ({shape.architecture}), trained from
{_origin(shape)} by co-training and co-distillation (Lee et al. 2023, arXiv 2311.02849).

| | |
| --- | --- |
| weights of the losses | {weights} |
| corpus | {corpus["source"]} (fingerprint {corpus["fingerprint"]}){_part_of_text(settings)} |
| vocabulary | {corpus["vocabulary_size"]:,} |
| tokens read | {tokens:,} in {steps:,} steps of {settings.batch_size} x {corpus["sequence_length"]}{average} |
| seed | {settings.seed} |
| held-out loss | {last["heldout_loss"]:.3f} nats (unigram entropy {corpus["unigram_entropy"]:.3f}) |
| held-out accuracy | {last["heldout_accuracy"]:.3f} |

```python
from transformers import pipeline

pipeline("{kind.task}", model="<this folder>")("{kind.prompt}")
```
"""


def _origin(shape: ModelParameters) -> str:
    if isinstance(shape.initial, InitialLayers):
        return f"the layers {', '.join(map(str, shape.initial.layers))} of `{_shown(shape.initial.source)}`"
    return f"`{_shown(shape.initial)}`" if shape.initial else "random weights"


def _part_of_text(settings: "PretrainingParameters") -> str:
    sources = "" if settings.sources is None else f", of it {', '.join(settings.sources)}"
    return sources + (f", {settings.training_share:.3g} of the text" if settings.training_share < 1 else "")


def _shown(source: str) -> str:
    """A folder's last name: the others may say whose machine it is."""
    return Path(source).name if Path(source).is_absolute() else source
