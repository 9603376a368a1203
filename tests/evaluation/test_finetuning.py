import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from ctcd.errors import InputError
from ctcd.evaluation.finetuning import TaskSettings, finetune
from ctcd.evaluation.tokenization import tokenize_task
from ctcd.parameters import TaskTraining

FAMILIES = [("bert", True), ("distilbert", False), ("roberta-prelayernorm", False), ("modernbert", False)]


@pytest.fixture(scope="module")
def tokenize(suite, tokenizer):
    def tokenize(task, with_token_types=True):
        return tokenize_task(task, suite.read_all(task), tokenizer, 32, with_token_types)

    return tokenize


@pytest.mark.parametrize(("architecture", "with_token_types"), FAMILIES)
def test_every_family_learns_a_separable_task(
    make_model, make_settings, execution, tokenize, word_task, architecture, with_token_types
):
    tokenized = tokenize(word_task, with_token_types)
    settings = make_settings(epochs=10, dropout=0.0)
    predictions = finetune(make_model(architecture), tokenized, settings, 0, execution)["validation"]
    assert (predictions.values == tokenized.splits["validation"].labels).mean() > 0.8
    assert predictions.confidences.min() >= 0.5
    assert predictions.confidences.max() <= 1.0


def test_regression_learns_a_number(make_model, make_settings, execution, tokenize, number_task):
    tokenized = tokenize(number_task)
    predictions = finetune(make_model("bert"), tokenized, make_settings(epochs=15, dropout=0.0), 0, execution)
    labels = tokenized.splits["validation"].labels
    assert np.corrcoef(predictions["validation"].values, labels)[0, 1] > 0.5
    assert predictions["validation"].confidences is None


def test_a_seed_gives_the_same_predictions_again_and_another_seed_others(
    make_model, make_settings, execution, tokenize, pair_task
):
    def run(seed):
        torch.manual_seed(torch.seed() % 1000)  # whatever the state before
        return finetune(make_model("bert"), tokenize(pair_task), make_settings(), seed, execution)["validation"]

    first = run(0)
    assert np.array_equal(first.confidences, run(0).confidences)
    assert not np.array_equal(first.confidences, run(1).confidences)


def test_the_global_generator_and_the_threads_are_left_alone(make_model, make_settings, execution, tokenize, pair_task):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        finetune(make_model("bert"), tokenize(pair_task), make_settings(), 0, execution)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_predictions_are_those_of_the_model_on_each_example_alone(
    make_model, make_settings, execution, tokenize, pair_task
):
    """With a learning rate of next to nothing the model is the folder's with the seed's head."""
    tokenized = tokenize(pair_task)
    settings = make_settings(learning_rate=1e-12, dropout=0.0, weight_decay=0.0)
    predictions = finetune(make_model("bert"), tokenized, settings, 5, execution)["validation"]
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(make_model("bert"), num_labels=2).eval()
    split = tokenized.splits["validation"]
    for example in range(0, len(split), 5):
        row = slice(split.starts[example], split.starts[example + 1])
        with torch.no_grad():
            logits = model(
                input_ids=torch.tensor(split.token_ids[row].tolist())[None],
                token_type_ids=torch.tensor(split.token_types[row].tolist())[None],
            ).logits[0]
        assert predictions.confidences[example] == pytest.approx(logits.softmax(-1).max().item(), abs=1e-5)


def test_a_training_that_diverges_says_what_to_lower(make_model, make_settings, execution, tokenize, word_task):
    with pytest.raises(InputError, match=r"'contains_is' diverged in .*: lower finetuning.learning_rate"):
        finetune(make_model("bert"), tokenize(word_task), make_settings(learning_rate=1e30), 0, execution)


def test_a_task_may_have_settings_of_its_own(make_settings, word_task, pair_task):
    settings = make_settings(task_training={"contains_is": TaskTraining(epochs=7, learning_rate=1.0)})
    assert TaskSettings.of(word_task, settings) == TaskSettings(7, 8, 1.0)
    assert TaskSettings.of(pair_task, settings) == TaskSettings(
        settings.epochs, settings.batch_size, settings.learning_rate
    )
