"""What makes a training this one and no other."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ctcd.corpus.documents import Documents, read_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.settings import CorpusParameters
from ctcd.corpus.shards import Shards
from ctcd.corpus.splitting import split_documents
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.distillation.methods import METHODS
from ctcd.distillation.soft_weights import SoftWeightsParameters
from ctcd.engine.settings import ExecutionParameters, OptimiserParameters
from ctcd.errors import InputError
from ctcd.lineage.settings import deep_merge
from ctcd.lineage.state import StateStore
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.initial import InitialModel
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.plan import (
    NEUTRAL,
    TRAINING_VERSION,
    PlannedRun,
    first_difference,
    flatten,
    plan_runs,
    plan_variants,
    started_models,
)
from ctcd.pretraining.settings import (
    PretrainingParameters,
    SharedPretraining,
    VariantParameters,
)

CORPUS = {
    "vocabulary_size": 600,
    "sequence_length": 32,
    "splits": {"train": {"sequences": 1000}},
    "fingerprint": "f00d",
    "source": "a corpus",
    "sources": {"de": {"train": {"sequences": 300}}, "en": {"train": {"sequences": 700}}},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "untrained": {"method": "standalone", "budget": 0},
    "standalone": {"method": "standalone"},
    "ctcd": {"method": "ctcd"},
    "one_way": {"method": "one_way"},
    "reverse": {"method": "reverse"},
    "one_way_online": {"method": "one_way_online"},
    "label_smoothing": {"method": "standalone", "label_smoothing": 0.1},
    "self_distillation": {"method": "self_distillation"},
    "matched": {"method": "teacher_alone", "matched_operations": True},
    "half": {"method": "ctcd", "budget": 0.5},
}
SOURCES = {"one_way": "standalone", "reverse": "standalone"}

# The trainings of all these variants, by the letters of the table below.
TRAININGS = {
    "u": "untrained teacher",
    "v": "untrained student",
    "t": "standalone teacher",
    "s": "standalone student",
    "l": "label_smoothing teacher",
    "m": "label_smoothing student",
    "c": "ctcd",
    "h": "half",
    "w": "one_way",
    "r": "reverse",
    "o": "one_way_online",
    "d": "self_distillation",
    "x": "matched",
}
LETTERS = {name: letter for letter, name in TRAININGS.items()}
TRAINED = set("tslmchwrodx")
ALL = TRAINED | set("uv")
# Who sees the teacher: trained on it, taught by it, or its operations counted. The same for the student.
OF_TEACHER = set("utlchwrodx")
OF_STUDENT = set("vsmchwrodx")
SOFT = set("chwrod")

# What a model starts from needs a model: tests/pretraining/test_initial.py. Seeds are many trainings.
ELSEWHERE = {"teacher.initial", "student.initial", "seeds"}
SHAPE = [name for name in ModelParameters.model_fields if name != "initial"]

# Which trainings are others once a setting is another, by its dotted name in the section `pretraining`.
DEPENDENT: dict[str, set[str]] = {
    **{f"teacher.{name}": OF_TEACHER for name in SHAPE},
    **{f"student.{name}": OF_STUDENT for name in SHAPE},
    "steps": TRAINED,
    "tokens": TRAINED,
    "epochs": TRAINED,
    "minutes": TRAINED,
    "budget": TRAINED - {"h"},  # which has a factor of its own
    "matched_operations": {"w", "r", "d"},  # the others train the pair, or have it already
    "training_share": TRAINED,
    "sources": TRAINED,
    "batch_size": TRAINED,
    "masking_share": TRAINED,
    "temperature": SOFT,
    "label_smoothing": TRAINED - {"l", "m"},  # which have a share of their own
    "source_noise": SOFT,
    "soft_weights.warmup_share": SOFT,
    "soft_weights.decay_share": set(),  # of a factor that stays 1
    "soft_weights.final_factor": SOFT,
    "kept_weights": TRAINED,
    "moving_average_decay": {"d"},
    "warmup_share": TRAINED,
    **{f"optimiser.{name}": TRAINED for name in OptimiserParameters.model_fields},
    "optimiser.matrix_learning_rate": set(),  # of Muon; here it is AdamW
}
# What changes the operations of the student changes how many steps of the teacher alone match them; these do not.
for _name in ("heads", "dropout", "options"):
    DEPENDENT[f"student.{_name}"] = OF_STUDENT - {"x"}
OTHER_VALUES: dict[str, Any] = {
    "architecture": "electra",
    "name": "muon",
    "schedule": "cosine",
    "options": {"bert": {"hidden_act": "relu"}},
    "tokens": 3200,
    "epochs": 2.5,
    "minutes": 3.0,
    "matched_operations": True,
    "sources": ["de"],
    "heads": 4,
    "width": 64,
    "width_share": 0.5,
    "kept_weights": "average",
}


@pytest.fixture(scope="module")
def shared(pretraining: PretrainingParameters) -> SharedPretraining:
    """All settings have a value that may be changed; the optimiser is AdamW, with a rate of Muon's that it ignores."""
    optimiser = pretraining.optimiser.model_copy(update={"name": "adamw"})
    values = pretraining.model_dump(exclude={"seed"}) | {"optimiser": optimiser, "seeds": [1], "steps": 100_000}
    return SharedPretraining.model_validate(values)


def planned(shared: SharedPretraining, corpus: dict[str, Any] = CORPUS) -> dict[str, PlannedRun]:
    """The planned trainings by letter; all seeds but the first have their number behind it."""
    variants = {name: VariantParameters.model_validate({"name": name, **each}) for name, each in VARIANTS.items()}
    sources = {name: SOURCES.get(name) for name in VARIANTS}
    plans = [plan for each in plan_variants(variants, sources, shared, corpus).values() for plan in each]
    first = shared.seeds[0]
    return {
        LETTERS[plan.label.partition(",")[0]] + ("" if plan.settings.seed == first else str(plan.settings.seed)): plan
        for plan in plans
    }


def ids(shared: SharedPretraining, corpus: dict[str, Any] = CORPUS) -> dict[str, str]:
    return {letter: plan.id for letter, plan in planned(shared, corpus).items()}


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings of a section."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def changed(shared: SharedPretraining, dotted: str) -> SharedPretraining:
    """The section with one setting changed."""
    values = shared.model_dump()
    *parents, name = dotted.split(".")
    level = values
    for parent in parents:
        level = level[parent]
    old = level[name]
    level[name] = OTHER_VALUES[name] if name in OTHER_VALUES else _another_number(old)
    assert level[name] != old
    return SharedPretraining.model_validate(values)


def _another_number(value: float) -> float:
    return 2 * value if isinstance(value, int) else 0.75 * value + 0.01


@pytest.mark.parametrize("name", [name for name in leaves(SharedPretraining) if name not in ELSEWHERE])
def test_a_setting_gives_exactly_those_trainings_another_identity_that_depend_on_it(
    name: str, shared: SharedPretraining
) -> None:
    assert name in DEPENDENT, f"write into the table which trainings depend on the new setting '{name}'"
    before, after = ids(shared), ids(changed(shared, name))
    assert {TRAININGS[letter] for letter in before if before[letter] != after[letter]} == {
        TRAININGS[letter] for letter in DEPENDENT[name]
    }


def test_epochs_are_of_the_sources_that_are_trained_on(shared: SharedPretraining) -> None:
    epochs = shared.model_copy(update={"epochs": 4.0, "batch_size": 10})
    steps = {
        name: planned(epochs.model_copy(update={"sources": names}))["c"].settings.steps
        for name, names in {"all": None, "both": ["en", "de"], "de": ["de"]}.items()
    }
    assert steps == {"all": 400, "both": 400, "de": 120}


def test_a_source_that_is_named_twice_makes_no_other_training(shared: SharedPretraining) -> None:
    once, twice = (ids(shared.model_copy(update={"sources": names})) for names in (["de"], ["de", "de"]))
    assert once == twice


def test_all_sources_by_name_are_all_sources(shared: SharedPretraining) -> None:
    assert ids(shared.model_copy(update={"sources": ["en", "de"]})) == ids(shared)


def test_operations_are_matched_with_the_models_that_a_pair_starts_from(shared: SharedPretraining) -> None:
    variant = VariantParameters.model_validate({**VARIANTS["matched"], "name": "m", "student": {"initial": "ours"}})
    assert started_models(variant, shared) == {"student": "ours"}
    deep = InitialModel("given/f00d", shared.student.model_copy(update={"layers": 9}))
    (plan,), (shallow,) = (
        plan_runs(variant, shared, 1, CORPUS, initial={"student": model})
        for model in (deep, InitialModel("given/beef", shared.student))
    )
    assert plan.settings.steps > shallow.settings.steps
    assert not any("beef" in str(value) for value in shallow.identity.values())


def test_a_source_that_the_corpus_has_not_is_refused(shared: SharedPretraining) -> None:
    with pytest.raises(InputError, match="The corpus 'a corpus' has no source 'fr': choose from de, en"):
        planned(shared.model_copy(update={"sources": ["fr"]}))


def test_the_table_knows_no_setting_that_is_gone() -> None:
    assert set(DEPENDENT) == set(leaves(SharedPretraining)) - ELSEWHERE


def test_all_trainings_are_planned_and_all_are_different(shared: SharedPretraining) -> None:
    found = ids(shared)
    assert set(found) == set(TRAININGS)
    assert len(set(found.values())) == len(found)


def test_muons_rate_counts_under_muon(shared: SharedPretraining) -> None:
    muon = changed(shared, "optimiser.name")
    before, after = ids(muon), ids(changed(muon, "optimiser.matrix_learning_rate"))
    assert {letter for letter in before if before[letter] != after[letter]} == TRAINED


def test_when_soft_weights_decay_counts_where_they_do(shared: SharedPretraining) -> None:
    fading = changed(shared, "soft_weights.final_factor")
    before, after = ids(fading), ids(changed(fading, "soft_weights.decay_share"))
    assert {letter for letter in before if before[letter] != after[letter]} == SOFT


def test_when_the_rate_decays_does_not_count_where_it_is_constant(shared: SharedPretraining) -> None:
    constant = shared.model_copy(update={"optimiser": shared.optimiser.model_copy(update={"schedule": "constant"})})
    assert ids(constant) == ids(changed(constant, "optimiser.decay_share"))


def test_a_neutral_value_is_no_part_of_an_identity_and_no_difference(shared: SharedPretraining) -> None:
    identity = planned(shared)["c"].identity
    assert not NEUTRAL.keys() & identity.keys()
    assert first_difference(identity, identity | NEUTRAL) is None
    wanted = identity | {"optimiser.decay_share": 0.5}
    assert first_difference(identity, wanted) == ("optimiser.decay_share", 1.0, 0.5)


def test_the_decay_of_an_average_that_is_kept_counts(shared: SharedPretraining) -> None:
    averaged = changed(shared, "kept_weights")
    before, after = ids(averaged), ids(changed(averaged, "moving_average_decay"))
    assert {letter for letter in before if before[letter] != after[letter]} == TRAINED


def test_masking_does_not_count_where_every_token_is_predicted(shared: SharedPretraining) -> None:
    causal = {
        role: getattr(shared, role).model_copy(update={"architecture": "gpt2"}) for role in ("teacher", "student")
    }
    gpt = shared.model_copy(update=causal)
    assert ids(gpt) == ids(changed(gpt, "masking_share"))


def test_another_corpus_changes_everything(shared: SharedPretraining) -> None:
    before, after = ids(shared), ids(shared, CORPUS | {"fingerprint": "beef"})
    assert {letter for letter in before if before[letter] != after[letter]} == ALL


def test_more_seeds_add_trainings_and_keep_the_others(shared: SharedPretraining) -> None:
    before, after = ids(shared), ids(shared.model_copy(update={"seeds": [1, 2]}))
    assert {letter: after[letter] for letter in before} == before
    assert set(after) == {*before, *(f"{letter}2" for letter in before)}
    assert len(set(after.values())) == len(after)
    assert ids(shared.model_copy(update={"seeds": [2, 1]}))["c"] == after["c2"]


def test_a_source_belongs_to_the_same_seed(shared: SharedPretraining) -> None:
    plans = planned(shared.model_copy(update={"seeds": [1, 2]}))
    assert plans["w"].source == f"{plans['t'].id}/teacher"
    assert plans["w2"].source == f"{plans['t2'].id}/teacher"
    assert plans["r"].source == f"{plans['s'].id}/student"


def test_execution_is_no_part_of_an_identity(shared: SharedPretraining) -> None:
    names = {name.rpartition(".")[2] for plan in planned(shared).values() for name in plan.identity}
    assert not names & set(ExecutionParameters.model_fields)


def test_what_is_untrained_depends_on_shapes_seed_and_corpus_alone(shared: SharedPretraining) -> None:
    plans = planned(shared)
    shape = {f"teacher.{name}" for name in ("architecture", "layers", "width", "heads", "feed_forward", "dropout")}
    decided = {name for name in plans["u"].identity if not name.startswith("method.")}
    assert decided == {*shape, "teacher.options", "version", "data", "source", "steps", "seed"}


def test_equal_variants_under_two_names_share_their_trainings(shared: SharedPretraining) -> None:
    one, other = (
        VariantParameters.model_validate({"name": name, "method": "ctcd", "temperature": 2}) for name in ("a", "b")
    )
    plans = plan_variants({"a": one, "b": other}, {"a": None, "b": None}, shared, CORPUS)
    assert [plan.id for plan in plans["a"]] == [plan.id for plan in plans["b"]]


def test_a_teacher_alone_is_the_teacher_of_standalone(shared: SharedPretraining) -> None:
    variants = {
        name: VariantParameters.model_validate({"name": name, "method": name})
        for name in ("standalone", "teacher_alone", "student_alone")
    }
    plans = plan_variants(variants, dict.fromkeys(variants), shared, CORPUS)
    assert [plan.id for plan in plans["standalone"]] == [
        plans[f"{role}_alone"][0].id for role in ("teacher", "student")
    ]


def test_a_shape_in_shares_of_the_common_one_is_the_same_training_as_in_full(shared: SharedPretraining) -> None:
    shapes = {"share": {"width_share": 0.5}, "full": {"width": 16, "feed_forward": 32}}
    variants = {
        name: VariantParameters.model_validate({"name": name, "method": "ctcd", "student": shape})
        for name, shape in shapes.items()
    }
    plans = plan_variants(variants, dict.fromkeys(variants), shared, CORPUS)
    assert plans["share"][0].id == plans["full"][0].id != planned(shared)["c"].id


def test_other_weights_are_another_training(shared: SharedPretraining) -> None:
    variants = {
        name: VariantParameters.model_validate({"name": name, "method": "ctcd", "weights": weights})
        for name, weights in {"as_is": {}, "same": {"student_soft": 4.0}, "other": {"student_soft": 2.0}}.items()
    }
    plans = plan_variants(variants, dict.fromkeys(variants), shared, CORPUS)
    as_is, same, other = (plans[name][0].id for name in variants)
    assert as_is == same != other


def test_terms_are_another_training_and_no_terms_none(shared: SharedPretraining) -> None:
    term = {"learner": "student", "signal": "hidden_states"}
    bodies: dict[str, list[dict[str, Any]]] = {
        "none": [],
        "zero": [term | {"weight": 0}],
        "one": [term],
        "same": [term | {"weight": 1.0}],
        "more": [term | {"weight": 2}],
    }
    variants = {
        name: VariantParameters.model_validate({"name": name, "method": "ctcd", "terms": terms})
        for name, terms in bodies.items()
    }
    plans = plan_variants(variants, dict.fromkeys(variants), shared, CORPUS)
    none, zero, one, same, more = (plans[name][0].id for name in variants)
    assert none == zero == planned(shared)["c"].id
    assert one == same
    assert len({none, one, more}) == 3


@pytest.mark.parametrize(
    "budget",
    [{"tokens": 100 * 4 * 32}, {"epochs": 0.4}, {"steps": 200, "budget": 0.5}, {"tokens": 25 * 4 * 32, "budget": 4}],
)
def test_one_budget_in_other_words_is_the_same_training(budget: dict[str, Any], shared: SharedPretraining) -> None:
    in_steps = shared.model_copy(update={"steps": 100})
    other = SharedPretraining.model_validate(shared.model_dump() | {"steps": 999} | budget)
    found, expected = ids(other), ids(in_steps)
    if "budget" in budget:  # the variant with a factor of its own has that one
        found.pop("h"), expected.pop("h")
    assert found == expected


def test_whole_numbers_and_their_decimal_forms_are_the_same_training(shared: SharedPretraining) -> None:
    values = shared.model_dump()
    as_text = deep_merge(values, {"temperature": 1, "optimiser": {"learning_rate": "0.003"}, "steps": "100000"})
    assert ids(SharedPretraining.model_validate(as_text)) == ids(shared)


def test_the_first_difference_is_named_with_both_values() -> None:
    found, wanted = {"steps": 1, "optimiser.name": "adamw"}, {"steps": 2, "optimiser.name": "muon", "seed": 1}
    assert first_difference(found, wanted) == ("optimiser.name", "adamw", "muon")
    assert first_difference({}, {"seed": 1}) == ("seed", None, 1)
    assert first_difference(found, dict(found)) is None


def test_nested_names_are_joined_by_dots() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": {}}) == {"a.b.c": 1, "d": {}}


# By version: hard and soft loss of teacher and student in each of five steps, then their held-out losses.
# fmt: off
GOLDEN = {
    1: [
        4.509, 0.01316, 4.515, 0.01316,
        4.404, 0.01195, 4.419, 0.01187,
        4.34, 0.01189, 4.285, 0.01181,
        4.324, 0.01215, 4.23, 0.01207,
        4.229, 0.01127, 4.151, 0.01121,
        4.211, 4.153,
    ],
}
# fmt: on
WORDS = (
    "the",
    "function",
    "returns",
    "a",
    "list",
    "of",
    "names",
    "which",
    "is",
    "sorted",
    "by",
    "length",
    "and",
    "value",
)


@pytest.fixture(scope="module")
def fixed_text(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Text that is the same under every version of Python and of its documentation."""
    folder = tmp_path_factory.mktemp("fixed")
    for document in range(40):
        words = [WORDS[(document * document + 3 * place * (place + document)) % len(WORDS)] for place in range(200)]
        (folder / f"{document:02}.txt").write_text(" ".join(words) + ".")
    # Some of its texts are alike: what was learned from all of them is on record.
    return replace(read_documents(str(folder)), is_distinct=True)


def test_what_is_learned_is_what_this_version_of_the_training_learned_before(
    fixed_text: Documents,
    corpus_parameters: CorpusParameters,
    pretraining: PretrainingParameters,
    execution: ExecutionParameters,
    tmp_path: Path,
) -> None:
    tokenizer = train_tokenizer((document.text for document in fixed_text), corpus_parameters.tokenizer)
    (tmp_path / "shards").mkdir()
    split = split_documents(fixed_text, corpus_parameters.heldout_share)
    write_shards(tmp_path / "shards", fixed_text, split, tokenizer, corpus_parameters)
    soft_weights = SoftWeightsParameters(warmup_share=0.2, final_factor=0.5)
    settings = pretraining.model_copy(update={"steps": 5, "batch_size": 8, "soft_weights": soft_weights})
    store = StateStore(tmp_path / "state", "golden")
    _, history = pretrain(Shards(tmp_path / "shards"), tokenizer, METHODS["ctcd"], settings, execution, store)
    table = history.table()
    losses = table[table["metric"].isin(["hard_loss", "soft_loss", "heldout_loss"])]["value"]
    found = [float(f"{value:.4g}") for value in losses]
    assert found == pytest.approx(GOLDEN[TRAINING_VERSION], rel=1e-3), (
        "The training learns something else than before. If this change was meant, raise TRAINING_VERSION in "
        f"ctcd/pretraining/plan.py, so that no older model is taken for a new one, and store {found} here."
    )
