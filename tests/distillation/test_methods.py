import pytest
from pydantic import ValidationError

from ctcd.distillation.methods import METHODS, Term, Weights, check_relation_heads, find_method
from ctcd.errors import InputError


def test_ctcd_has_the_weights_of_the_paper() -> None:
    assert find_method("ctcd").weights == Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4)


def test_standalone_has_hard_losses_only() -> None:
    assert find_method("standalone").weights == Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=0)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=f"choose one of {', '.join(METHODS)}"):
        find_method("ctdc")


def test_single_weights_can_be_replaced() -> None:
    assert find_method("ctcd", {"student_soft": 2.0}).weights == Weights(1, 1, 1, 2.0)
    assert METHODS["ctcd"].weights.student_soft == 4


@pytest.mark.parametrize(("name", "weight"), [("one_way", "teacher_hard"), ("reverse", "student_soft")])
def test_a_weight_of_a_model_that_is_not_trained_is_refused(name: str, weight: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' does not train the .*: remove its weight '{weight}'"):
        find_method(name, {weight: 1.0})


def test_only_methods_with_a_ready_model_train_one_role() -> None:
    assert find_method("one_way").trained == ("student",)
    assert find_method("reverse").trained == ("teacher",)
    assert all(method.trained == ("teacher", "student") for method in METHODS.values() if method.frozen is None)


@pytest.mark.parametrize(
    ("name", "weights", "role"),
    [("standalone", {"student_hard": 0}, "student"), ("ctcd", {"teacher_hard": 0, "teacher_soft": 0}, "teacher")],
)
def test_a_model_with_nothing_to_learn_from_is_refused(name: str, weights: dict, role: str) -> None:
    with pytest.raises(InputError, match=f"would train the {role} with both weights 0"):
        find_method(name, weights)


HIDDEN_STATES = Term(learner="student", signal="hidden_states")
RELATIONS = Term(learner="student", signal="attention_relations", relation_heads=4)


def test_terms_come_on_top_of_a_method() -> None:
    method = find_method("one_way", terms=[HIDDEN_STATES, RELATIONS])
    assert method.terms == (HIDDEN_STATES, RELATIONS)
    assert method.weights == METHODS["one_way"].weights
    assert METHODS["one_way"].terms == ()


def test_a_term_of_weight_zero_is_none() -> None:
    assert find_method("ctcd", terms=[HIDDEN_STATES.model_copy(update={"weight": 0})]) == METHODS["ctcd"]


def test_a_frozen_model_is_needed_for_a_term_as_for_a_soft_loss() -> None:
    alone = find_method("one_way", {"student_soft": 0})
    assert not alone.has_source
    with_term = find_method("one_way", {"student_soft": 0}, [HIDDEN_STATES])
    assert with_term.has_source
    assert with_term.sources == ("teacher",)


def test_models_with_terms_are_trained_together() -> None:
    assert len(find_method("standalone").independent_parts()) == 2
    assert len(find_method("standalone", terms=[HIDDEN_STATES]).independent_parts()) == 1


def test_a_term_of_a_model_that_is_not_trained_is_refused() -> None:
    with pytest.raises(InputError, match="'reverse' does not train the student: remove its term 'hidden_states'"):
        find_method("reverse", terms=[HIDDEN_STATES])


def test_a_term_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="The student has two terms 'hidden_states'"):
        find_method("ctcd", terms=[HIDDEN_STATES, HIDDEN_STATES.model_copy(update={"weight": 2})])


@pytest.mark.parametrize(
    "values", [{"signal": "attention_relations"}, {"signal": "hidden_states", "relation_heads": 2}]
)
def test_relation_heads_belong_to_relations(values: dict) -> None:
    with pytest.raises(ValidationError, match="relation_heads belong to attention_relations"):
        Term.model_validate({"learner": "student", **values})


def test_relation_heads_must_divide_the_width() -> None:
    check_relation_heads([HIDDEN_STATES, RELATIONS], [32, 48])
    with pytest.raises(InputError, match="Attention 30 wide cannot be cut into 4 relation heads"):
        check_relation_heads([RELATIONS], [32, 30])
