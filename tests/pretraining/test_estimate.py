"""What a pre-training takes, against numbers computed by hand."""

import pytest
import torch

from ctcd.distillation.methods import METHODS
from ctcd.engine.hardware import Hardware
from ctcd.engine.settings import OptimiserParameters
from ctcd.modeling.architecture import build_model
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.operations import count_operations
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining import estimate as module
from ctcd.pretraining.budget import operations_of
from ctcd.pretraining.estimate import (
    AssumedVocabulary,
    assumed_sequences,
    combined,
    estimate,
    estimate_memory,
    measure_speed,
)
from ctcd.pretraining.settings import PretrainingParameters

CPU = Hardware(torch.device("cpu"), torch.float32)
CPU_BFLOAT16 = Hardware(torch.device("cpu"), torch.bfloat16)
GPU = Hardware(torch.device("cuda"), torch.bfloat16)
BERT = AssumedVocabulary(30_522)
ADAMW = OptimiserParameters(name="adamw", learning_rate=5e-4, weight_decay=0.01, maximum_gradient_norm=1.0)
# Of a BERT 768 wide: embeddings with their normalisation, a layer, and the head with a bias for each token.
EMBEDDINGS = (30_522 + 128 + 2 + 2) * 768
LAYER = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
HEAD = 768 * 768 + 3 * 768 + 30_522
TEACHER, STUDENT = EMBEDDINGS + 6 * LAYER + HEAD, EMBEDDINGS + 4 * LAYER + HEAD


@pytest.fixture(scope="module")
def paper(pretraining: PretrainingParameters) -> PretrainingParameters:
    def shape(layers: int) -> ModelParameters:
        return ModelParameters(architecture="bert", layers=layers, width=768, heads=12, feed_forward=3072, dropout=0.1)

    steps = 20 * 5_000_000 // 128
    changes = {"teacher": shape(6), "student": shape(4), "batch_size": 128, "steps": steps, "optimiser": ADAMW}
    return pretraining.model_copy(update=changes)


def test_the_papers_recipe_by_hand(paper) -> None:
    found = estimate(paper, METHODS["ctcd"], BERT, 128, GPU, speed=1.0)
    assert found.tokens == 20 * 5_000_000 * 128
    # Twice the weights forward and four times backward, the last layer behind its attention and the head at 19 of 128
    # positions, and two products of the positions with each other.
    share = 19 / 128
    positions = 2 * 128 * 768
    behind_attention = 768 * 768 + 2 * 768 * 3072
    last = 3 * 768 * 768 + positions + share * behind_attention
    layer = 4 * 768 * 768 + 2 * 768 * 3072 + positions
    head = share * (768 * 768 + 768 * 30_522)
    per_token = 6 * ((5 * layer + last + head) + (3 * layer + last + head))
    assert found.operations == pytest.approx(found.tokens * per_token, rel=1e-6)


def test_memory_of_the_papers_recipe_by_hand(paper) -> None:
    memory = estimate_memory(paper, METHODS["ctcd"], BERT, 128, GPU)
    assert memory.weights == 6 * (TEACHER + STUDENT)  # float32, and a copy in bfloat16
    assert memory.gradients == 4 * (TEACHER + STUDENT)
    assert memory.moments == 8 * (TEACHER + STUDENT)
    tokens = 128 * 128
    assert memory.activations == tokens * 10 * 34 * 768  # Korthikanti et al. 2022
    assert memory.logits == pytest.approx(2 * 4 * 0.15 * tokens * 30_522)
    assert memory.total == pytest.approx(
        memory.weights + memory.gradients + memory.moments + memory.activations + memory.logits
    )


def test_memory_follows_precision_dropout_and_attention(paper) -> None:
    dry = paper.model_copy(
        update={role: getattr(paper, role).model_copy(update={"dropout": 0.0}) for role in ("teacher", "student")}
    )
    tokens = 128 * 128
    memory = estimate_memory(dry, METHODS["ctcd"], BERT, 128, CPU)
    assert memory.weights == 4 * (TEACHER + STUDENT)
    assert memory.activations == tokens * 10 * 4 * 16 * 768
    not_fused = estimate_memory(dry, METHODS["ctcd"], BERT, 128, CPU_BFLOAT16)
    assert not_fused.activations == tokens * 10 * (2 * 16 * 768 + 4 * 12 * 128)


def test_memory_of_methods_with_a_source_of_their_own(paper) -> None:
    one_way = estimate_memory(paper, METHODS["one_way"], BERT, 128, CPU)
    assert (one_way.weights, one_way.gradients) == (4 * (TEACHER + STUDENT), 4 * STUDENT)
    alone = estimate_memory(paper, METHODS["teacher_alone"], BERT, 128, CPU)
    assert (alone.weights, alone.gradients, alone.moments) == (4 * TEACHER, 4 * TEACHER, 8 * TEACHER)
    averaged = estimate_memory(paper, METHODS["self_distillation"], BERT, 128, CPU)
    assert (averaged.weights, averaged.moments) == (8 * (TEACHER + STUDENT), 8 * (TEACHER + STUDENT))


def test_an_average_that_is_kept_has_one_number_for_each_weight(paper) -> None:
    settings = paper.model_copy(update={"kept_weights": "average"})
    memory = estimate_memory(settings, METHODS["ctcd"], BERT, 128, GPU)
    assert memory.weights == (6 + 4) * (TEACHER + STUDENT)


def test_muon_keeps_one_number_for_each_weight_in_the_layers_matrices(paper) -> None:
    optimiser = ADAMW.model_copy(update={"name": "muon", "matrix_learning_rate": 0.02})
    memory = estimate_memory(
        paper.model_copy(update={"optimiser": optimiser}), METHODS["teacher_alone"], BERT, 128, CPU
    )
    assert memory.moments == 8 * TEACHER - 4 * 6 * (4 * 768 * 768 + 2 * 768 * 3072)


def test_a_budget_in_minutes_takes_them_and_reads_what_fits(paper) -> None:
    settings = paper.model_copy(update={"steps": 0, "minutes": 5.0})
    found = estimate(settings, METHODS["ctcd"], BERT, 128, CPU, speed=1e12)
    assert found.operations == 300e12
    per_token = sum(each.training for each in operations_of(settings, BERT, 128).values())
    assert found.tokens == pytest.approx(300e12 / per_token)


def test_trainings_one_after_the_other_take_what_they_take_together_and_the_most_memory(paper) -> None:
    teacher, student = (
        estimate(paper, METHODS[f"{role}_alone"], BERT, 128, CPU, 1.0) for role in ("teacher", "student")
    )
    both = combined([teacher, student])
    assert both.operations == teacher.operations + student.operations
    assert both.operations == pytest.approx(estimate(paper, METHODS["ctcd"], BERT, 128, CPU, 1.0).operations)
    assert both.tokens == 2 * paper.steps * 128 * 128
    assert both.memory == teacher.memory != student.memory


def test_sequences_of_so_many_sentences(corpus_parameters) -> None:
    assert assumed_sequences(corpus_parameters) is None
    settings = corpus_parameters.model_copy(update={"sentences": 30_000, "heldout_share": 0.1, "sequence_length": 128})
    assert assumed_sequences(settings) == round(30_000 * 21 * 0.9 / 126)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_counting_on_an_outline_gives_what_counting_on_the_model_gives(architecture: str, pretraining) -> None:
    shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=48)
    vocabulary = AssumedVocabulary(300)
    settings = pretraining.model_copy(update={"teacher": shape, "student": shape})
    model = build_model(shape, vocabulary, 16, 1, "teacher")
    share = 0.15 if FAMILIES[architecture].objective == "mlm" else 1.0
    assert operations_of(settings, vocabulary, 16)["teacher"] == count_operations(model, 16, share)


def test_an_assumed_vocabulary_counts_like_a_tokenizer_of_its_size(tokenizer, pretraining) -> None:
    assumed = operations_of(pretraining, AssumedVocabulary(len(tokenizer)), 32)
    assert assumed == operations_of(pretraining, tokenizer, 32)


def test_the_speed_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.3, 1.0, 1.1, 2.0, 2.5])
    monkeypatch.setattr(module, "perf_counter", lambda: next(times))
    assert measure_speed(CPU) == pytest.approx(2 * 1024**3 / 0.1)


def test_causal_models_have_logits_everywhere(paper) -> None:
    causal = {role: getattr(paper, role).model_copy(update={"architecture": "gpt2"}) for role in ("teacher", "student")}
    memory = estimate_memory(paper.model_copy(update=causal), METHODS["ctcd"], BERT, 128, GPU)
    assert memory.logits == pytest.approx(2 * 4 * 128 * 128 * 30_522)
