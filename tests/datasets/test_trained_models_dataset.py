"""A variant's models in the catalog."""

import shutil
from pathlib import Path

import pytest
from kedro.io import Version

from ctcd.datasets.trained_models_dataset import TrainedModelsDataset
from ctcd.errors import InputError
from ctcd.modeling.architecture import build_model
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.trained_models import TrainedModel, TrainedModels


@pytest.fixture
def trained(tmp_path: Path, tokenizer, pretraining) -> TrainedModels:
    """Models of two seeds, as the store of runs has them."""
    models = []
    for seed in (1, 2):
        model = build_model(pretraining.student, tokenizer, 32, seed, "student")
        folder = tmp_path / "runs" / str(seed) / "student"
        PretrainedModel(model, tokenizer, f"# card {seed}").save(folder)
        models.append(TrainedModel(seed, "student", f"run-{seed}", folder))
    return TrainedModels(tuple(models))


def test_a_variants_models_survive_the_catalog_without_the_store_of_runs(tmp_path: Path, trained) -> None:
    dataset = TrainedModelsDataset(filepath=(tmp_path / "ctcd").as_posix(), version=Version(None, "v1"))
    expected = [model.load().fingerprint() for model in trained]
    dataset.save(trained)
    shutil.rmtree(tmp_path / "runs")
    loaded = dataset.load()
    assert [(model.pretraining_seed, model.role, model.run) for model in loaded] == [
        (1, "student", "run-1"),
        (2, "student", "run-2"),
    ]
    assert [model.load().fingerprint() for model in loaded] == expected
    assert loaded.find("student", 2).load().card == "# card 2"


def test_a_variants_models_are_saved_without_a_second_copy_on_the_disk(tmp_path: Path, trained) -> None:
    trained.save(tmp_path / "version")
    copied = tmp_path / "version" / "student-seed-1" / "model.safetensors"
    assert copied.samefile(trained.find("student", 1).folder / "model.safetensors")


def test_a_model_that_a_variant_has_not_is_asked_for_in_a_sentence(trained) -> None:
    with pytest.raises(InputError, match="no teacher of seed 1: choose from student-seed-1, student-seed-2"):
        trained.find("teacher", 1)
