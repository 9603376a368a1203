import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from ctcd.errors import InputError
from ctcd.finetuning import finetune as module
from ctcd.finetuning.finetune import TaskSettings, usual_learning_rate
from ctcd.finetuning.settings import TaskTraining
from ctcd.modeling.model_folder import ModelFolder

FAMILIES = [("bert", True), ("distilbert", False), ("roberta-prelayernorm", False), ("modernbert", False)]


@pytest.fixture(scope="module")
def finetune(make_model, execution):
    def run(architecture, tokenized, settings, seed=0, precision="float32"):
        training = TaskSettings.of(tokenized.task, settings, 32, 100)
        where = execution.model_copy(update={"precision": precision})
        return module.finetune(make_model(architecture), tokenized, training, seed, where)

    return run


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("architecture", "with_token_types"), FAMILIES)
def test_every_family_learns_a_separable_task(
    finetune, make_settings, tokenize, word_task, architecture, with_token_types, precision
):
    tokenized = tokenize(word_task, with_token_types)
    settings = make_settings(epochs=10, dropout=0.0)
    predictions = finetune(architecture, tokenized, settings, precision=precision)["validation"]
    assert (predictions.values == tokenized.splits["validation"].labels).mean() > 0.8
    assert predictions.confidences.min() >= 0.5
    assert predictions.confidences.max() <= 1.0


def test_regression_learns_a_number(finetune, make_settings, tokenize, number_task):
    tokenized = tokenize(number_task)
    predictions = finetune("bert", tokenized, make_settings(epochs=15, dropout=0.0))
    labels = tokenized.splits["validation"].labels
    assert np.corrcoef(predictions["validation"].values, labels)[0, 1] > 0.5
    assert predictions["validation"].confidences is None


def test_a_seed_gives_the_same_predictions_again_and_another_seed_others(finetune, make_settings, tokenize, pair_task):
    def run(seed):
        torch.manual_seed(torch.seed() % 1000)  # whatever the state before
        return finetune("bert", tokenize(pair_task), make_settings(), seed)["validation"]

    first = run(0)
    assert np.array_equal(first.confidences, run(0).confidences)
    assert not np.array_equal(first.confidences, run(1).confidences)


def test_the_global_generator_and_the_threads_are_left_alone(finetune, make_settings, tokenize, pair_task):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        finetune("bert", tokenize(pair_task), make_settings())
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_predictions_are_those_of_the_model_on_each_example_alone(
    finetune, make_model, make_settings, tokenize, pair_task
):
    """With a learning rate of next to nothing the model is the folder's with the seed's head."""
    tokenized = tokenize(pair_task)
    settings = make_settings(learning_rate=1e-12, dropout=0.0, weight_decay=0.0)
    predictions = finetune("bert", tokenized, settings, 5)["validation"]
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(make_model("bert").folder, num_labels=2).eval()
    split = tokenized.splits["validation"]
    for example in range(0, len(split), 5):
        row = slice(split.starts[example], split.starts[example + 1])
        with torch.no_grad():
            logits = model(
                input_ids=torch.tensor(split.token_ids[row].tolist())[None],
                token_type_ids=torch.tensor(split.token_types[row].tolist())[None],
            ).logits[0]
        assert predictions.confidences[example] == pytest.approx(logits.softmax(-1).max().item(), abs=1e-5)


def test_a_training_that_diverges_says_what_to_lower(finetune, make_settings, tokenize, word_task):
    with pytest.raises(InputError, match=r"'contains_is' diverged in .*: lower finetuning.learning_rate"):
        finetune("bert", tokenize(word_task), make_settings(learning_rate=1e30))


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_one_batch_that_is_not_finite_does_not_destroy_the_weights(
    finetune, make_settings, tokenize, word_task, monkeypatch, bad
):
    calls, loss = [], module._loss

    def sometimes_bad(*given):
        calls.append(1)
        return loss(*given) * (bad if len(calls) == 3 else 1.0)

    monkeypatch.setattr(module, "_loss", sometimes_bad)
    tokenized = tokenize(word_task)
    predictions = finetune("bert", tokenized, make_settings(epochs=10, dropout=0.0))["validation"]
    assert (predictions.values == tokenized.splits["validation"].labels).mean() > 0.8


def test_a_task_may_have_settings_of_its_own(make_settings, word_task, pair_task):
    settings = make_settings(task_training={"contains_is": TaskTraining(epochs=7, learning_rate=1.0)})
    own, shared = TaskSettings.of(word_task, settings, 32, 100), TaskSettings.of(pair_task, settings, 32, 100)
    assert (own.epochs, own.batch_size, own.learning_rate) == (7, 8, 1.0)
    assert (shared.epochs, shared.batch_size, shared.learning_rate) == (1, 8, settings.learning_rate)


@pytest.mark.parametrize(
    ("examples", "epochs"), [(80, 6), (100, 5), (799, 1), (8000, 1)], ids=["ten", "not_whole", "nearly", "many"]
)
def test_few_examples_are_seen_as_often_as_the_least_number_of_steps_needs(
    make_settings, word_task, pair_task, examples, epochs
):
    own = {"contains_is": TaskTraining(epochs=2)}
    settings = make_settings(epochs=1, minimum_steps=60, batch_size=8, task_training=own)
    assert TaskSettings.of(pair_task, settings, 32, examples).epochs == epochs
    assert TaskSettings.of(word_task, settings, 32, examples).epochs == 2


@pytest.mark.parametrize(("width", "published"), [(768, 3e-5), (384, 1e-4), (256, 2e-4), (64, 3e-3), (32, 3e-3)])
def test_a_learning_rate_that_is_not_set_is_the_published_one_of_the_width(make_settings, word_task, width, published):
    training = TaskSettings.of(word_task, make_settings(learning_rate=None), width, 100)
    assert training.learning_rate == usual_learning_rate(width) == pytest.approx(published, rel=0.2)


@pytest.mark.parametrize(("examples", "published"), [(104_743, 32), (363_846, 128), (392_702, 128)])
def test_a_batch_size_that_is_not_set_is_the_published_one_of_the_task(make_settings, word_task, examples, published):
    assert TaskSettings.of(word_task, make_settings(batch_size=None), 32, examples).batch_size == published


def test_random_weights_do_not_depend_on_those_in_the_folder(make_model, make_settings, execution, tokenize, pair_task):
    training = TaskSettings.of(pair_task, make_settings(learning_rate=1e-12), 32, 100)

    def run(model):
        return module.finetune(model, tokenize(pair_task), training, 0, execution)["validation"].confidences

    model = make_model("bert")
    random = run(model.with_random_weights())
    assert np.array_equal(random, run(model.with_random_weights()))
    assert not np.array_equal(random, run(model))


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "modernbert"])
def test_a_ready_classifier_keeps_its_encoder_and_gets_a_new_head(
    make_model, make_settings, execution, tokenize, word_task, number_task, tmp_path, architecture
):
    ready = AutoModelForSequenceClassification.from_pretrained(make_model(architecture).folder, num_labels=3)
    ready.save_pretrained(tmp_path)
    make_model(architecture).tokenizer().save_pretrained(tmp_path)
    model, encoder = ModelFolder(tmp_path), f"{ready.base_model_prefix}."
    tokenized = tokenize(word_task, False)
    heads = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = module._load(model, module._configuration(model, tokenized, None))
        for name, value in network.state_dict().items():
            if name.startswith(encoder):
                assert torch.equal(value, ready.state_dict()[name]), name
            elif value.ndim == 2:
                heads.append(value)
    half = len(heads) // 2
    assert half
    assert not any(torch.equal(one, other) for one, other in zip(heads[:half], heads[half:], strict=True))
    training = TaskSettings.of(number_task, make_settings(), 32, 100)
    module.finetune(model, tokenize(number_task, False), training, 0, execution)


def test_the_models_own_dropout_is_kept_unless_one_is_set(make_model, tokenize, word_task):
    model, tokenized = make_model("distilbert"), tokenize(word_task, False)
    own = AutoConfig.from_pretrained(model.folder)
    kept = module._configuration(model, tokenized, None)
    assert (kept.dropout, kept.seq_classif_dropout) == (own.dropout, own.seq_classif_dropout)
    changed = module._configuration(model, tokenized, 0.3)
    assert {changed.dropout, changed.attention_dropout, changed.seq_classif_dropout} == {0.3}
