"""Killed like by a power cut, again and again, the same command ends with the very same weights."""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctcd.modeling.pretrained import PretrainedModel

TRAINING = """
import sys
from pathlib import Path

from ctcd.corpus.shards import Shards
from ctcd.corpus.tokenizer import load_tokenizer
from ctcd.distillation.methods import METHODS
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.engine.settings import ExecutionParameters
from ctcd.pretraining.settings import PretrainingParameters
from ctcd.pretraining.loop import pretrain
from ctcd.lineage.state import StateStore

shards, tokenizer, folder, settings, execution = sys.argv[1:]
tokenizer, folder = load_tokenizer(tokenizer), Path(folder)
print("ready", flush=True)
models, _ = pretrain(
    Shards(Path(shards)),
    tokenizer,
    METHODS["self_distillation"],
    PretrainingParameters.model_validate_json(settings),
    ExecutionParameters.model_validate_json(execution),
    StateStore(folder / "state", "killed"),
)
for role, model in models.items():
    PretrainedModel(model, tokenizer, "").save(folder / role)
"""


def digest(folder: Path) -> str:
    weights = b"".join((folder / role / "model.safetensors").read_bytes() for role in ("teacher", "student"))
    return hashlib.sha256(weights).hexdigest()


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_training_that_is_killed_at_random_moments_ends_with_the_same_weights(
    kills: int, shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    settings = pretraining.model_copy(update={"steps": 60, "kept_weights": "average"}).model_dump_json()
    often = execution.model_copy(update={"checkpoint_seconds": 0.01}).model_dump_json()

    def start(name: str) -> subprocess.Popen[str]:
        places = (str(shards.folder), str(tmp_path / "tokenizer"), str(tmp_path / name))
        process = subprocess.Popen(
            [sys.executable, "-c", TRAINING, *places, settings, often], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    assert start("undisturbed").wait() == 0
    moments = random.Random(kills)
    for _ in range(kills):
        process = start("killed")
        time.sleep(moments.uniform(0.0, 0.8))
        process.kill()
        process.wait()
    assert start("killed").wait() == 0
    assert digest(tmp_path / "killed") == digest(tmp_path / "undisturbed")
    assert PretrainedModel.load(tmp_path / "killed" / "teacher").fingerprint()
