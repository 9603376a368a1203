"""Every method and every family, trained for a few steps."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from ctcd.distillation.methods import Term, find_method
from ctcd.distillation.soft_weights import SoftWeightsParameters
from ctcd.errors import InputError
from ctcd.lineage.state import StateStore
from ctcd.modeling.architecture import build_model
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.pretrained import PretrainedModel, load_given_model
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining import loop
from ctcd.pretraining.loop import pretrain


@pytest.fixture
def train(shards, tokenizer, pretraining, execution, tmp_path):
    def train(method: str, frozen=None, label: str = "variant", terms=(), **changes):
        settings = pretraining.model_copy(update=changes)
        store = StateStore(tmp_path / label, label)
        return pretrain(shards, tokenizer, find_method(method, terms=terms), settings, execution, store, frozen)

    return train


@pytest.fixture
def ready(train, tokenizer):
    return PretrainedModel(train("standalone", label="ready")[0]["teacher"], tokenizer, "")


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_each_model_of_standalone_ends_with_the_weights_it_gets_alone(train, pretraining) -> None:
    pair, _ = train("standalone", label="pair")
    wider = pretraining.student.model_copy(update={"width": 64})
    beside_another, _ = train("standalone", label="other", student=wider)
    assert same(pair["teacher"], beside_another["teacher"])
    wider = pretraining.teacher.model_copy(update={"width": 64})
    beside_another, _ = train("standalone", label="third", teacher=wider)
    assert same(pair["student"], beside_another["student"])


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_without_a_partner_gets_the_weights_of_standalone(role: str, train) -> None:
    alone, history = train(f"{role}_alone", label="alone")
    assert list(alone) == [role]
    assert set(history.table()["role"]) == {role, "pair"}
    assert same(alone[role], train("standalone", label="pair")[0][role])


def test_a_frozen_teacher_teaches_the_student_and_stays_as_it_is(train, ready) -> None:
    before = {name: value.clone() for name, value in ready.model.state_dict().items()}
    models, history = train("one_way", ready)
    assert list(models) == ["student"]
    assert set(history.table()["role"]) == {"student", "pair"}
    assert all(torch.equal(value, before[name]) for name, value in ready.model.state_dict().items())
    assert not same(models["student"], train("standalone", label="alone")[0]["student"])


def test_a_frozen_student_teaches_the_teacher(train, ready) -> None:
    models, _ = train("reverse", ready)
    assert list(models) == ["teacher"]


def test_an_online_teacher_is_the_standalone_teacher(train) -> None:
    online, standalone = train("one_way_online", label="a")[0], train("standalone", label="b")[0]
    assert same(online["teacher"], standalone["teacher"])
    assert not same(online["student"], standalone["student"])


def test_self_distillation_trains_both_models_apart(train, pretraining) -> None:
    models, history = train("self_distillation", label="a")
    wider = pretraining.teacher.model_copy(update={"width": 64})
    assert same(models["student"], train("self_distillation", label="b", teacher=wider)[0]["student"])
    assert not same(models["student"], train("standalone", label="c")[0]["student"])
    soft = history.table().query("metric == 'soft_loss' and role == 'student'")["value"]
    assert (soft.iloc[1:] > 0).all()


def test_the_average_that_is_kept_is_that_of_the_weights_after_each_step(train, monkeypatch) -> None:
    one_step, after = loop._one_step, []

    def recorded(training, joint_step, batch):
        rate_factor = one_step(training, joint_step, batch)
        after.append({name: weight.clone() for name, weight in training.trainees["student"].weights.weights.items()})
        return rate_factor

    start = train("student_alone", label="start", steps=0)[0]["student"].state_dict()
    last = train("student_alone", label="last")[0]["student"].state_dict()
    monkeypatch.setattr(loop, "_one_step", recorded)
    averaged, history = train("student_alone", label="a", kept_weights="average", moving_average_decay=0.3)
    expected = {name: start[name] for name in after[0]}
    for number, weights in enumerate(after):
        kept = min(0.3, (1 + number) / (10 + number))
        expected = {name: kept * expected[name] + (1 - kept) * weights[name] for name in weights}
    for name, weight in expected.items():
        torch.testing.assert_close(averaged["student"].state_dict()[name], weight)
        assert torch.equal(after[-1][name], last[name])
    assert set(history.table()["role"]) == {"student", "pair"}


def test_held_out_loss_is_that_of_the_average_that_is_kept(train) -> None:
    losses = [
        train("student_alone", label=label, **changes)[1].table().query("metric == 'heldout_loss'")["value"].item()
        for label, changes in {
            "start": {"steps": 0},
            "last": {},
            "average": {"kept_weights": "average", "moving_average_decay": 0.0},
        }.items()
    ]
    assert losses[0] != losses[1] == pytest.approx(losses[2])


@pytest.mark.parametrize("changes", [{"label_smoothing": 0.1}, {"temperature": 2.0}, {"source_noise": 1.0}])
def test_the_settings_of_the_losses_matter(changes, train) -> None:
    assert not same(train("ctcd", label="a", **changes)[0]["student"], train("ctcd", label="b")[0]["student"])


def test_noise_touches_no_model_that_learns_from_the_true_tokens_alone(train) -> None:
    noisy, plain = train("one_way_online", label="a", source_noise=2.0)[0], train("one_way_online", label="b")[0]
    assert same(noisy["teacher"], plain["teacher"])
    assert not same(noisy["student"], plain["student"])


HIDDEN_STATES = Term(learner="student", signal="hidden_states")
RELATIONS = Term(learner="student", signal="attention_relations", relation_heads=2)


@pytest.mark.parametrize("term", [HIDDEN_STATES, RELATIONS])
def test_a_student_learns_a_term_of_a_frozen_teacher(term: Term, train, ready) -> None:
    without, _ = train("one_way", ready, label="without")
    models, history = train("one_way", ready, terms=[term], steps=30)
    found = history.table().query("metric == @term.metric")
    assert set(found["role"]) == {"student"}
    assert found["value"].iloc[-1] < found["value"].iloc[0]
    assert models["student"].state_dict().keys() == without["student"].state_dict().keys()


def test_terms_touch_no_model_that_does_not_learn_them(train) -> None:
    with_terms, without = (
        train("one_way_online", label=str(len(terms)), terms=terms)[0] for terms in ([HIDDEN_STATES, RELATIONS], [])
    )
    assert same(with_terms["teacher"], without["teacher"])
    assert not same(with_terms["student"], without["student"])


def test_a_model_may_learn_a_term_from_its_own_average(train, pretraining) -> None:
    terms = [HIDDEN_STATES, RELATIONS.model_copy(update={"learner": "teacher"})]
    models, history = train("self_distillation", label="a", terms=terms)
    table = history.table()
    assert set(table[table["metric"] == "hidden_states_loss"]["role"]) == {"student"}
    assert set(table[table["metric"] == "attention_relations_loss"]["role"]) == {"teacher"}
    wider = pretraining.teacher.model_copy(update={"width": 64})
    assert same(models["student"], train("self_distillation", label="b", terms=terms, teacher=wider)[0]["student"])


def test_relations_that_a_frozen_teacher_cannot_be_cut_into_are_said_so(train, ready, pretraining) -> None:
    term, student = RELATIONS.model_copy(update={"relation_heads": 3}), pretraining.student
    student = student.model_copy(update={"width": 24})
    with pytest.raises(InputError, match="Attention 32 wide cannot be cut into 3 relation heads"):
        train("one_way", ready, terms=[term], student=student)


def test_soft_weights_of_zero_are_standalone(train, monkeypatch) -> None:
    monkeypatch.setattr(loop, "soft_weight_factor", lambda done, settings: 0.0)
    without = train("ctcd", label="a")[0]
    assert same(without["student"], train("standalone", label="b")[0]["student"])


def test_the_schedule_of_the_soft_weights_matters(train) -> None:
    fading = train("ctcd", label="a", soft_weights=SoftWeightsParameters(final_factor=0.0))[0]
    assert not same(fading["student"], train("ctcd", label="b")[0]["student"])


@pytest.mark.parametrize(("method", "has_ready"), [("one_way", False), ("ctcd", True)])
def test_a_ready_model_that_is_missing_or_too_many_is_said_so(method: str, has_ready: bool, train, ready) -> None:
    with pytest.raises(InputError, match="This method wants"):
        train(method, ready if has_ready else None)


def test_a_ready_model_of_another_vocabulary_is_refused(train, ready, documents) -> None:
    from ctcd.corpus.settings import TokenizerParameters
    from ctcd.corpus.tokenizer import train_tokenizer

    texts = (document.text for document in documents)
    settings = TokenizerParameters(
        vocabulary_size=500, lowercase=True, minimum_frequency=2, training_characters=100_000
    )
    with pytest.raises(InputError, match="another vocabulary than the corpus"):
        train("one_way", PretrainedModel(ready.model, train_tokenizer(texts, settings), ""))


def test_a_ready_model_of_another_corpus_is_refused_unless_a_user_names_it(train, ready, shards, tmp_path) -> None:
    replace(ready, lineage={"corpus": shards.metadata["fingerprint"]}).save(tmp_path / "same")
    replace(ready, lineage={"corpus": "0f" * 16}).save(tmp_path / "other")
    train("one_way", PretrainedModel.load(tmp_path / "same"), label="same")
    with pytest.raises(InputError, match=f"'{tmp_path / 'other'}' was trained on another corpus"):
        train("one_way", PretrainedModel.load(tmp_path / "other"), label="other")
    train("one_way", load_given_model(tmp_path / "other"), label="given")


def test_a_ready_model_with_more_logits_than_tokens_is_refused(train, ready) -> None:
    ready.model.resize_token_embeddings(len(ready.tokenizer) + 5)
    with pytest.raises(InputError, match="resize_token_embeddings"):
        train("one_way", ready)


def test_a_ready_roberta_counts_the_positions_that_it_does_not_use(train, tokenizer, shards) -> None:
    shape = ModelParameters(architecture="roberta", layers=1, width=16, heads=2, feed_forward=32)
    shorter = build_model(shape, tokenizer, shards.sequence_length - 1, 1, "teacher")
    with pytest.raises(InputError, match=f"reads {shards.sequence_length - 1} tokens"):
        train("one_way", PretrainedModel(shorter, tokenizer, ""))


def test_a_folder_without_an_output_layer_is_no_ready_model(ready, tmp_path) -> None:
    ready.model.base_model.save_pretrained(tmp_path)
    ready.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no whole language model"):
        PretrainedModel.load(tmp_path)


def test_a_ready_model_in_half_precision_teaches_in_float32(train, ready, tmp_path) -> None:
    ready.model.bfloat16().save_pretrained(tmp_path)
    ready.tokenizer.save_pretrained(tmp_path)
    loaded = PretrainedModel.load(tmp_path)
    train("one_way", loaded)
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}


def test_masked_and_causal_models_do_not_learn_together(train, pretraining) -> None:
    with pytest.raises(InputError, match="do not learn together"):
        train("ctcd", teacher=pretraining.teacher.model_copy(update={"architecture": "gpt2"}))


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_every_family_learns_and_is_reopened_by_transformers(architecture: str, train, tokenizer, tmp_path) -> None:
    def shape(layers: int, width: int) -> ModelParameters:
        return ModelParameters(architecture=architecture, layers=layers, width=width, heads=2, feed_forward=2 * width)

    terms = [HIDDEN_STATES, RELATIONS.model_copy(update={"learner": "teacher"})]
    models, history = train("ctcd", teacher=shape(2, 32), student=shape(1, 16), steps=12, batch_size=16, terms=terms)
    losses = history.table().query("metric == 'sampled_heldout_loss' and role == 'teacher'").set_index("step")["value"]
    assert losses[0] == pytest.approx(math.log(len(tokenizer)), abs=0.3)
    assert losses[12] < losses[0] - 0.05

    auto = AutoModelForMaskedLM if FAMILIES[architecture].objective == "mlm" else AutoModelForCausalLM
    tokens = torch.randint(5, len(tokenizer), (2, 16))
    for role, model in models.items():
        PretrainedModel(model, tokenizer, "").save(tmp_path / "saved" / role)
        opened = auto.from_pretrained(tmp_path / "saved" / role).eval()
        with torch.no_grad():
            torch.testing.assert_close(opened(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-5)
