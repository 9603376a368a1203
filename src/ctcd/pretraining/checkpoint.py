"""A training to its state and back."""

import logging

from ctcd.lineage.state import StateStore
from ctcd.pretraining.history import History
from ctcd.pretraining.setup import Training

logger = logging.getLogger(__name__)


def save_training(training: Training, store: StateStore) -> None:
    """Keep everything that the next step depends on. What is random is a function of (seed, step): it has no state."""
    state = {
        "step": training.step,
        "seconds": training.seconds,
        "history": training.history.rows,
        "waiting": training.history.waiting,
        "trainees": {role: trainee.state() for role, trainee in training.trainees.items()},
        "averages": {role: average.weights.state() for role, average in training.averages.items()},
    }
    store.save(state, training.step, training.execution.keep_checkpoints)


def resume_training(training: Training, store: StateStore) -> None:
    """Go on with an unfinished state if there is one; the store holds states of this very training alone."""
    state = store.latest()
    if state is None:
        return
    training.step, training.seconds_before = state["step"], state["seconds"]
    training.history = History(state["history"], [row.to(training.hardware.device) for row in state["waiting"]])
    for role, trainee in training.trainees.items():
        trainee.restore(state["trainees"][role])
    for role, average in training.averages.items():
        average.weights.restore(state["averages"][role])
    logger.info(
        "%s: going on from step %d (%.0f %%)", training.label, training.step, 100 * training.done(training.step)
    )
