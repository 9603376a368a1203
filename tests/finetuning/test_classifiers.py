from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from ctcd.datasets.classifiers_dataset import ClassifiersDataset
from ctcd.errors import InputError
from ctcd.finetuning import jobs
from ctcd.finetuning.classifiers import Classifier, Classifiers
from ctcd.finetuning.scoring import score_model


@pytest.fixture
def scored(make_model, suite, word_task, number_task, make_settings, execution, stores):
    """Settings to what they give, with one store of fine-tunings."""

    def score(task=word_task, **settings):
        tasks = [replace(word_task, label_names=("without", "with")), number_task]
        chosen = [each for each in tasks if each.name == task.name]
        return score_model(make_model("bert"), suite, chosen, make_settings(**settings), execution, stores)

    return score


def test_a_kept_model_predicts_what_was_scored(scored, suite, word_task):
    result = scored(keep_models=["contains_is"], seeds=2)
    folder = result.classifiers["contains_is"]
    classify = pipeline("text-classification", model=str(folder), truncation=True)
    found = classify(suite.read(word_task).frames["validation"]["sentence"].tolist())
    rows = result.predictions[result.predictions["seed"] == 0]
    assert [each["label"] for each in found] == [("without", "with")[int(value)] for value in rows["prediction"]]
    assert np.allclose([each["score"] for each in found], rows["confidence"], atol=1e-4)


def test_labels_have_the_names_of_the_task_both_ways(scored):
    folder = scored(keep_models=["contains_is"]).classifiers["contains_is"]
    configuration = AutoModelForSequenceClassification.from_pretrained(folder).config
    assert configuration.id2label == {0: "without", 1: "with"}
    assert configuration.label2id == {"without": 0, "with": 1}
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 32


def test_a_model_for_numbers_gives_the_number_that_was_scored(scored, suite, number_task):
    result = scored(number_task, keep_models=["lengths"])
    model = AutoModelForSequenceClassification.from_pretrained(result.classifiers["lengths"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(result.classifiers["lengths"])
    texts = suite.read(number_task).frames["validation"]["sentence"].tolist()
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    assert np.allclose(model(**inputs).logits[:, 0].detach(), result.predictions["prediction"], atol=1e-4)
    assert model.config.problem_type == "regression"


def test_nothing_is_kept_unless_it_is_asked_for(scored, stores):
    assert scored().classifiers == {}
    assert not list(stores.results.folder.glob("*.model"))


def test_a_kept_model_is_found_again_and_one_that_is_missing_is_trained(scored, monkeypatch):
    finetune, trained = jobs.finetune, []
    monkeypatch.setattr(jobs, "finetune", lambda *arguments: trained.append(arguments) or finetune(*arguments))
    plain = scored()
    kept = scored(keep_models=["contains_is"])
    assert len(trained) == 2
    assert scored(keep_models=["contains_is"]).classifiers == kept.classifiers
    pd.testing.assert_frame_equal(scored().predictions, plain.predictions)
    assert len(trained) == 2


def test_classifiers_are_saved_with_a_table_and_found_again(scored, tmp_path):
    folder = scored(keep_models=["contains_is"]).classifiers["contains_is"]
    of_study = [
        Classifier("contains_is", folder, seed, role, "run") for seed in (1, 2) for role in ("teacher", "student")
    ]
    dataset = ClassifiersDataset(filepath=str(tmp_path / "classifiers"))
    dataset.save(Classifiers((*of_study, Classifier("contains_is", folder))))
    loaded = dataset.load()
    assert [each.name for each in loaded] == [
        "teacher-seed-1-contains_is",
        "student-seed-1-contains_is",
        "teacher-seed-2-contains_is",
        "student-seed-2-contains_is",
        "contains_is",
    ]
    found = loaded.find("contains_is", "student", 2)
    assert (found.pretraining_seed, found.role, found.run) == (2, "student", "run")
    assert (found.folder / "config.json").is_file()
    assert loaded.find("contains_is").role == "teacher"
    with pytest.raises(InputError, match=r"the task 'rte' was kept \(there is teacher-seed-1-contains_is"):
        loaded.find("rte")


def test_no_classifiers_are_a_dataset_as_well(tmp_path):
    dataset = ClassifiersDataset(filepath=str(tmp_path / "classifiers"))
    dataset.save(Classifiers(()))
    assert dataset.exists()
    assert list(dataset.load()) == []
    with pytest.raises(InputError, match=r"there is none at all.*finetuning.keep_models"):
        dataset.load().find("rte")


def test_a_model_that_was_fine_tuned_in_bfloat16_is_kept_in_float32(
    make_model, suite, word_task, make_settings, execution, stores
):
    where = execution.model_copy(update={"precision": "bfloat16"})
    settings = make_settings(keep_models=["contains_is"])
    result = score_model(make_model("bert"), suite, [word_task], settings, where, stores)
    model = AutoModelForSequenceClassification.from_pretrained(result.classifiers["contains_is"]).eval()
    weights = list(model.parameters())
    assert all(weight.dtype == torch.float32 for weight in weights)
    assert any((weight != weight.bfloat16()).any() for weight in weights)
    tokenizer = AutoTokenizer.from_pretrained(result.classifiers["contains_is"])
    texts = suite.read(word_task).frames["validation"]["sentence"].tolist()
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    confidences = model(**inputs).logits.softmax(-1).max(-1).values.detach()
    assert np.allclose(confidences, result.predictions["confidence"], atol=0.03)
