"""How the weights of the soft losses change in the course of a training (Peng et al. 2024, arXiv 2410.16215)."""

from typing import Annotated

from pydantic import Field

from ctcd.engine.schedule import share_of_decay
from ctcd.lineage.settings import PositiveShare, Settings, Share


class SoftWeightsParameters(Settings):
    """A factor on the soft weights: from 0 to 1 in the warm-up, a plateau, then linearly to `final_factor`.

    The shares are of the training: `warmup_share` at its start, `decay_share` at its end. With a `decay_share` of 1 the
    decay begins with the end of the warm-up.
    """

    warmup_share: Share = 0.0
    decay_share: PositiveShare = 1.0
    final_factor: Annotated[float, Field(ge=0.0)] = 1.0


def soft_weight_factor(done: float, settings: SoftWeightsParameters) -> float:
    """The factor where a share of the training is done."""
    if done < settings.warmup_share:
        return done / settings.warmup_share
    return 1 + (settings.final_factor - 1) * share_of_decay(done, settings.warmup_share, settings.decay_share)
