"""What becomes of a training state once its variant is finished."""

import pandas as pd
import pytest

from ctcd.lineage.state import StateStore
from ctcd.pipelines.pretraining.nodes import clear_training_state

HISTORY = pd.DataFrame({"step": [0, 5, 10], "metric": "heldout_loss"})


@pytest.mark.parametrize(("step", "is_kept"), [(10, False), (7, True)])
def test_only_the_state_at_the_end_of_the_history_is_forgotten(step: int, is_kept: bool, tmp_path) -> None:
    store = StateStore(tmp_path / "state", "variant")
    store.save({"step": step}, step, keep=2)
    clear_training_state(store, HISTORY)
    assert (store.latest() is not None) == is_kept


def test_a_variant_without_a_state_is_fine(tmp_path) -> None:
    clear_training_state(StateStore(tmp_path / "state", "variant"), HISTORY)
