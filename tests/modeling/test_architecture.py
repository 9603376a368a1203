import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from transformers import AutoConfig

from ctcd.errors import InputError
from ctcd.modeling.architecture import build_model, has_dropout, parameter_count, readable_length
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.logits import PredictedLogits
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.settings import ModelParameters


def shape(architecture: str = "bert", **changes) -> ModelParameters:
    values = {"architecture": architecture, "layers": 2, "width": 32, "heads": 2, "feed_forward": 64, **changes}
    return ModelParameters(**values)


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_a_saved_model_is_the_same_when_opened_by_transformers(architecture: str, tokenizer, tmp_path) -> None:
    model = build_model(shape(architecture), tokenizer, 16, seed=1, role="teacher").eval()
    PretrainedModel(model, tokenizer, "card").save(tmp_path)
    opened = PretrainedModel.load(tmp_path)
    assert opened.folder == tmp_path
    assert opened.card == "card"
    tokens = torch.randint(5, len(tokenizer), (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(opened.model.eval()(tokens).logits, model(tokens).logits)


def test_weights_depend_on_seed_and_role_alone(tokenizer) -> None:
    def embedding(seed: int, role: str) -> torch.Tensor:
        return build_model(shape(), tokenizer, 16, seed, role).get_input_embeddings().weight

    first = embedding(1, "teacher")
    torch.rand(3)
    assert torch.equal(first, embedding(1, "teacher"))
    assert not torch.equal(first, embedding(2, "teacher"))
    assert not torch.equal(first, embedding(1, "student"))


def test_building_leaves_the_global_random_state_alone(tokenizer) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    build_model(shape(), tokenizer, 16, 1, "teacher")
    assert torch.equal(torch.rand(2), expected)


def test_the_shape_is_what_was_asked_for(tokenizer) -> None:
    model = build_model(shape(layers=3, dropout=0.2), tokenizer, 16, 1, "teacher")
    configuration = model.config
    assert (configuration.num_hidden_layers, configuration.hidden_size, configuration.intermediate_size) == (3, 32, 64)
    assert configuration.hidden_dropout_prob == 0.2
    assert configuration.vocab_size == len(tokenizer)
    assert configuration.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_the_feed_forward_size_is_what_was_asked_for(architecture: str, tokenizer) -> None:
    model = build_model(shape(architecture, feed_forward=80), tokenizer, 16, 1, "teacher")
    sizes = {size for weight in model.parameters() for size in weight.shape}
    assert (160 if architecture == "modernbert" else 80) in sizes  # ModernBERT's holds the gate too


def test_parameters_are_counted_once_where_weights_are_tied(tokenizer) -> None:
    model = build_model(shape(), tokenizer, 16, 1, "teacher")
    vocabulary, width, hidden = len(tokenizer), 32, 64
    layer = 4 * (width * width + width) + 2 * width * hidden + hidden + width + 4 * width
    embeddings = (vocabulary + 16 + 2) * width + 2 * width
    head = width * width + width + 2 * width + vocabulary
    assert parameter_count(model) == embeddings + 2 * layer + head


def test_options_reach_the_configuration(tokenizer) -> None:
    model = build_model(
        shape(options={"bert": {"initializer_range": 0.5, "rotary": None}, "gpt2": {"n_inner": 3}}),
        tokenizer,
        16,
        1,
        "teacher",
    )
    assert model.config.initializer_range == 0.5


def test_an_option_that_does_not_exist_is_said_so(tokenizer) -> None:
    with pytest.raises(InputError, match="no option 'rotary'"):
        build_model(shape(options={"bert": {"rotary": 1}}), tokenizer, 16, 1, "teacher")


def test_an_architecture_that_is_no_family_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no architecture 'brt': choose from bert, distilbert, electra, gpt2, llama, "):
        shape("brt")


def test_a_family_is_one_entry(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no architecture 'ernie'"):
        shape("ernie")
    monkeypatch.setitem(FAMILIES, "ernie", FAMILIES["bert"])
    model = build_model(shape("ernie", dropout=0.1, feed_forward=80), tokenizer, 16, 1, "teacher")
    assert (model.config.model_type, model.config.intermediate_size, has_dropout(model)) == ("ernie", 80, True)
    positions = torch.tensor([1, 5])
    assert PredictedLogits(model)(torch.full((1, 16), 7), positions).shape == (2, len(tokenizer))


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_a_family_knows_the_names_that_its_models_use(architecture: str, tokenizer) -> None:
    family, model = FAMILIES[architecture], build_model(shape(architecture), tokenizer, 16, 1, "teacher")
    for name in (family.feed_forward, *family.dropouts):
        assert hasattr(model.config, name), name
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert set(family.projections) <= names
    assert family.projections or not names & {"query", "q_lin", "q_proj"}


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_a_model_reads_the_length_that_it_is_trained_on(architecture: str, padding: int) -> None:
    configuration = build_model(shape(architecture), LatePadding(padding), 64, 1, "teacher").config
    assert readable_length(configuration) == 64


@pytest.mark.parametrize("name", ["xlm-roberta", "camembert"])
def test_a_family_that_is_only_fine_tuned_may_count_positions_as_roberta_does(name: str) -> None:
    assert readable_length(AutoConfig.for_model(name, max_position_embeddings=514)) == 512


def test_settings_are_read_without_loading_pytorch() -> None:
    program = (
        "import sys, ctcd.parameters; from ctcd.tasks.settings import ExtraTaskParameters\n"
        "ExtraTaskParameters(text_columns='text', metrics='accuracy')\n"
        "sys.exit(bool({'torch', 'transformers', 'sklearn', 'scipy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="not a multiple of heads"):
        shape(heads=3)


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_dropout_is_found_whatever_a_family_calls_it(architecture: str, tokenizer) -> None:
    with_it, without = (
        build_model(shape(architecture, dropout=dropout), tokenizer, 16, seed=1, role="teacher")
        for dropout in (0.1, 0.0)
    )
    assert has_dropout(with_it)
    assert not has_dropout(without)


def test_dropout_that_an_option_sets_is_found(tokenizer) -> None:
    own = shape(options={"bert": {"attention_probs_dropout_prob": 0.1}})
    assert has_dropout(build_model(own, tokenizer, 16, seed=1, role="teacher"))


def test_every_dropout_of_modernbert_is_set(tokenizer) -> None:
    configuration = build_model(shape("modernbert", dropout=0.1), tokenizer, 16, 1, "teacher").config
    assert [configuration.attention_dropout, configuration.embedding_dropout, configuration.mlp_dropout] == [0.1] * 3


@pytest.mark.parametrize("architecture", ["roberta", "roberta-prelayernorm"])
def test_a_padding_token_that_comes_late_leaves_room_for_all_positions(architecture: str) -> None:
    vocabulary = LatePadding()
    model = build_model(shape(architecture), vocabulary, 16, 1, "teacher")
    assert model(input_ids=torch.full((1, 16), 7)).logits.shape == (1, 16, len(vocabulary))


@dataclass(frozen=True)
class LatePadding:
    pad_token_id: int = 5
    cls_token_id: int = 1
    sep_token_id: int = 2

    def __len__(self) -> int:
        return 20


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("bert", {"options": {"bert": {"hidden_act": "nonsense"}}}),
        ("bert", {"options": {"bert": {"initializer_range": "wide"}}}),
        ("llama", {"width": 30, "heads": 2}),
    ],
)
def test_what_a_family_refuses_is_said_in_a_sentence(architecture: str, changes: dict, tokenizer) -> None:
    with pytest.raises(InputError, match=f"No '{architecture}' can be built"):
        build_model(shape(architecture, **changes), tokenizer, 16, 1, "teacher")
