import shutil

import pytest
from transformers import AutoConfig, AutoModel, GPT2TokenizerFast

from ctcd.errors import InputError
from ctcd.finetuning.scoring import score_model
from ctcd.modeling.model_folder import ModelFolder, find_model


@pytest.fixture
def folder(make_model, tmp_path):
    return shutil.copytree(make_model("bert").folder, tmp_path / "model")


def test_a_folder_is_a_model_of_its_name(folder):
    model = find_model(str(folder))
    assert model.name == "model"
    assert model.configuration().model_type == "bert"


@pytest.mark.parametrize("source", ["nowhere/at/all", "/nowhere", "./nowhere", "README.md"])
def test_a_missing_folder_is_one_sentence(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("a file")
    with pytest.raises(InputError, match=rf"There is no model folder '{source}'"):
        find_model(source)


def test_a_name_that_the_hub_does_not_have_is_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise OSError("no such repository")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(InputError, match=r"no folder 'owner/name', and no model .*no such repository"):
        find_model("owner/name")


def test_a_name_on_the_hub_is_fetched_and_keeps_its_name(monkeypatch, folder, tmp_path):
    place = tmp_path / "models--owner--name" / "snapshots" / "abc"
    shutil.copytree(folder, place)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(place))
    assert find_model("owner/name").name == "owner/name"


@pytest.mark.parametrize(
    ("removed", "sentence"),
    [
        ("config.json", "is no model folder"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_a_folder_without_a_part_of_the_model_is_one_sentence(folder, removed, sentence):
    (folder / removed).unlink()
    with pytest.raises(InputError, match=sentence):
        ModelFolder(folder).configuration()


def test_a_folder_without_a_tokenizer_is_one_sentence(folder):
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        ModelFolder(folder).tokenizer()


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "no known model"), ('{"model_type": "vit"}', "family 'vit', which has no classif")]
)
def test_a_configuration_that_is_none_or_no_encoders_is_one_sentence(folder, text, sentence):
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        ModelFolder(folder).configuration()


def test_fingerprints_are_of_the_content(folder, tmp_path):
    model = ModelFolder(folder)
    before = model.fingerprint()
    copy = ModelFolder(shutil.copytree(folder, tmp_path / "copy"))
    assert copy.fingerprint() == before
    assert copy.with_random_weights().fingerprint() != before
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert model.fingerprint() != before
    assert model.with_random_weights().fingerprint() == copy.with_random_weights().fingerprint()


SHAPES = {
    "bert": {},
    "roberta": {"max_position_embeddings": 34, "type_vocab_size": 1},
    "distilbert": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64},
    "electra": {"embedding_size": 16},
    "modernbert": {},
    "megatron-bert": {},
    "gpt2": {"n_positions": 32},
}


@pytest.mark.parametrize("family", SHAPES)
def test_models_of_many_families_are_scored(
    family, tokenizer, tmp_path, suite, pair_task, make_settings, execution, stores
):
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    own = GPT2TokenizerFast.from_pretrained(_bytes_only(tmp_path)) if family == "gpt2" else tokenizer
    names = {"pad_token_id": own.pad_token_id, "bos_token_id": None, "eos_token_id": own.eos_token_id}
    configuration = AutoConfig.for_model(
        family, **{**shape, "max_position_embeddings": 32, **SHAPES[family]}, vocab_size=len(own), **names
    )
    AutoModel.from_config(configuration).save_pretrained(tmp_path / family)
    own.save_pretrained(tmp_path / family)
    model = find_model(str(tmp_path / family))
    result = score_model(model, suite, [pair_task], make_settings(maximum_length=None), execution, stores)
    assert result.failures.empty
    assert len(result.predictions) == len(suite.read(pair_task).frames["validation"])


def _bytes_only(folder):
    """A GPT-2 tokenizer that knows bytes and nothing else; it has no padding token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    learner = Tokenizer(models.BPE({**vocabulary, "<|endoftext|>": len(vocabulary)}, []))
    learner.pre_tokenizer, learner.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    GPT2TokenizerFast(tokenizer_object=learner).save_pretrained(folder / "tokenizer")
    return folder / "tokenizer"
