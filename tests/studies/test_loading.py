"""Study files: what they may say, and the sentence that names the file for what they may not."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from ctcd.errors import InputError
from ctcd.studies.loading import PACKAGE_FOLDER, all_studies, declared_variants, load_studies
from ctcd.studies.study import Study

Write = Callable[..., Path]
QUESTION = "question: Which one is better?\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a study file into a user's folder; returns its path."""

    def write(text: str, name: str = "own.yml", folder: str = "own") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(QUESTION + dedent(text), encoding="utf-8")
        return path

    return write


def load(path: Path) -> Study:
    """The study of a file beside those of the package."""
    return load_studies([PACKAGE_FOLDER, path.parent])[path.stem]


def test_the_studies_of_the_package_load() -> None:
    studies = load_studies([PACKAGE_FOLDER])
    named = "ctcd methods matched controls from_teacher from_ready loss_weights combination negative_transfer"
    assert set(studies) >= set(named.split())
    for study in studies.values():
        assert study.question.endswith("?")
        assert sum(claim.primary for claim in study.claims) == 1
    assert set(studies["ctcd"].variants) == {"untrained", "standalone", "ctcd"}
    assert [name for name, study in studies.items() if not study.is_self_contained] == [
        "domains",
        "from_ready",
        "from_teacher",
        "multilingual",
    ]


def test_a_study_in_a_folder_of_the_users_is_found(write: Write) -> None:
    path = write("variants: {standalone: , warm: {like: ctcd, temperature: 2}}")
    program = (
        "from ctcd.pipeline_registry import register_pipelines\n"
        "print([node.name for node in register_pipelines()['own'].nodes])"
    )
    command, environment = [sys.executable, "-c", program], os.environ | {"CTCD_STUDIES": str(path.parent)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "'warm.pretrain'" in result.stdout
    assert "'standalone.pretrain'" in result.stdout


def test_a_folder_of_the_users_that_is_not_there_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTCD_STUDIES", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no folder '.*nowhere' of studies: correct CTCD_STUDIES"):
        all_studies.__wrapped__()


def test_what_a_variant_is_like_is_merged_deeply(write: Write) -> None:
    study = load(
        write(
            """
            variants:
              base:
                method: ctcd
                student: {layers: 3, options: {modernbert: {local_attention: 8}}}
                temperature: 2
                budget: 0.5
              small: {like: base, student: {width: 32}}
              smallest:
                like: small
                student: {layers: 1, options: {modernbert: {classifier_pooling: mean}}}
                budget: 1
            """
        )
    )
    student = {"layers": 3, "options": {"modernbert": {"local_attention": 8}}, "width": 32}
    assert study.variants["small"].settings == {
        "method": "ctcd",
        "student": student,
        "temperature": 2,
        "budget": 0.5,
    }
    assert study.variants["smallest"].settings == {
        "method": "ctcd",
        "student": {
            "layers": 1,
            "width": 32,
            "options": {"modernbert": {"local_attention": 8, "classifier_pooling": "mean"}},
        },
        "temperature": 2,
        "budget": 1,
    }


def test_settings_of_a_study_are_those_of_its_variants_unless_a_variant_says_otherwise(write: Write) -> None:
    study = load(
        write(
            """
            settings: {corpus: news, budget: 0.5, finetuning: {suite: extra, seeds: 2}}
            variants:
              one: {like: ctcd}
              other: {like: ctcd, budget: 2, finetuning: {seeds: 3}}
            """
        )
    )
    one, other = study.variants["one"], study.variants["other"]
    assert (one.corpus, other.corpus) == ("news", "news")
    assert one.settings["finetuning"] == {"suite": "extra", "seeds": 2}
    assert other.settings["finetuning"] == {"suite": "extra", "seeds": 3}
    assert (one.settings["budget"], other.settings["budget"]) == (0.5, 2)


def test_a_shared_variant_under_the_settings_of_a_study_is_another_one(write: Write) -> None:
    path = write("settings: {temperature: 2}\nvariants: {ctcd: }")
    with pytest.raises(InputError, match=r"variant 'ctcd' means one thing in '.*' and another in '.*own.yml': rename"):
        load(path)


def test_a_source_on_another_corpus_is_refused(write: Write) -> None:
    path = write("variants: {standalone: , taught: {like: one_way, corpus: news}}")
    with pytest.raises(InputError, match="'taught' learns from 'standalone', which is trained on another corpus"):
        load(path)


def test_a_model_on_another_corpus_to_start_from_is_refused(write: Write) -> None:
    path = write("variants: {standalone: , cut: {like: ctcd, corpus: news, student: {initial: standalone student}}}")
    with pytest.raises(InputError, match="'cut' starts from 'standalone', which is trained on another corpus"):
        load(path)


def test_a_claim_on_a_measure_that_is_not_known_is_refused(write: Write) -> None:
    claims = "claims: [{better: ctcd student, than: standalone teacher, on: luck}]"
    with pytest.raises(InputError, match="there is no measure 'luck': choose from .*heldout_loss"):
        load(write(f"variants: {{standalone: , ctcd: }}\n{claims}"))


def test_a_difference_keeps_the_rest_of_the_shared_shape(write: Write, shared_pretraining) -> None:
    from ctcd.pretraining.settings import VariantParameters

    studies = {"own": load(write("variants: {deep: {like: ctcd, student: {layers: 3}}}"))}
    variant = VariantParameters.model_validate(declared_variants(studies)["deep"])
    settings = variant.settings(shared_pretraining, seed=5)
    assert settings.student == shared_pretraining.student.model_copy(update={"layers": 3})
    assert (settings.teacher, settings.seed) == (shared_pretraining.teacher, 5)


def test_a_variant_that_is_like_another_one_may_take_another_source(write: Write) -> None:
    study = load(
        write(
            """
            variants:
              warm: {like: standalone, temperature: 2}
              from_warm: {like: one_way, source: warm}
            """
        )
    )
    assert study.variants["from_warm"].source == "warm"
    assert [variant.name for variant in study.in_order()] == ["warm", "from_warm"]


def test_a_variant_that_starts_from_another_ones_model_comes_behind_it(write: Write) -> None:
    study = load(
        write(
            """
            variants:
              last: {method: one_way, source: middle, student: {initial: middle teacher}}
              middle: {like: standalone, teacher: {initial: {from: standalone teacher, layers: [0, 1]}}}
              standalone:
            """
        )
    )
    assert [variant.name for variant in study.in_order()] == ["standalone", "middle", "last"]
    assert study.variants["middle"].started_from == {"teacher": ("standalone", "teacher")}
    assert study.variants["last"].parents == ["middle", "middle"]


def test_a_folder_or_a_given_model_to_start_from_is_no_variant(write: Write) -> None:
    study = load(write("variants: {m: {like: ctcd, teacher: {initial: given}, student: {initial: models/ours}}}"))
    assert study.variants["m"].parents == []
    assert any(variant.needs_given_model for variant in study.variants.values())


def test_what_an_untrained_role_starts_from_is_not_needed(write: Write) -> None:
    study = load(write("variants: {m: {method: student_alone, teacher: {initial: given}}}"))
    assert not any(variant.needs_given_model for variant in study.variants.values())


def test_on_is_a_word_and_no_truth_value(write: Write) -> None:
    claims = "claims: [{better: ctcd student, than: standalone teacher, on: heldout_loss, primary: true}]"
    study = load(write(f"variants: {{standalone: , ctcd: }}\n{claims}"))
    assert (study.claims[0].on, study.claims[0].primary) == ("heldout_loss", True)


def test_reading_studies_leaves_the_yaml_of_everybody_else_alone(write: Write) -> None:
    load(write("variants: {standalone: }"))
    assert yaml.safe_load("a: on") == {"a": True}


SENTENCES: dict[str, tuple[str, str]] = {
    "unknown variant": ("variants: {ctcd2: }", "knows no variant 'ctcd2'"),
    "unknown like": ("variants: {mine: {like: nothing}}", "knows no variant 'nothing'"),
    "like in a circle": ("variants: {one: {like: two}, two: {like: one}}", "in a circle: one -> two -> one"),
    "like itself": ("variants: {one: {like: one}}", "in a circle: one -> one"),
    "no method": ("variants: {one: {temperature: 2}}", "'one' has no method"),
    "unknown method": ("variants: {one: {method: ctdc}}", "no method 'ctdc'"),
    "unknown weight": ("variants: {one: {method: ctcd, weights: {student_softt: 1}}}", "student_softt"),
    "weight that is no number": ("variants: {one: {method: ctcd, weights: {student_soft: x}}}", "weights.student_soft"),
    "no mapping as a variant": ("variants: {one: 3}", "variants.one"),
    "bad name of a variant": ("variants: {One-Two: {like: ctcd}}", "'One-Two' needs another name"),
    "reserved name of a variant": ("variants: {given: {like: ctcd}}", "'given' needs another name"),
    "like a list": ("variants: {one: {like: [ctcd]}}", "knows no variant"),
    "two names of a variant": ("variants: {one: {like: ctcd, name: two}}", "'one' has a `name`"),
    "bad name of a corpus": ("variants: {mine: {like: ctcd, corpus: My text}}", "corpus 'My text' needs another name"),
    "claim about nothing": (
        "variants: {ctcd: }\nclaims: [{better: ctcd student, than: standalone teacher}]",
        "'standalone teacher', which it does not train",
    ),
    "claim about an untrained role": (
        "variants: {standalone: , one_way: }\nclaims: [{better: one_way teacher, than: standalone teacher}]",
        "'one_way teacher', which it does not train",
    ),
    "two primary claims": (
        "variants: {ctcd: }\nclaims:\n"
        "  - {better: ctcd student, than: ctcd teacher, primary: true}\n"
        "  - {better: ctcd teacher, than: ctcd student, primary: true}",
        "two primary claims",
    ),
    "claim on something else": (
        "variants: {ctcd: }\nclaims: [{better: ctcd student, than: ctcd teacher, on: speed}]",
        "claims.0.on",
    ),
    "no source": ("variants: {mine: {method: one_way}}", "learns from a frozen teacher: give its `source`"),
    "source that nothing is learned from": ("variants: {standalone: , m: {like: ctcd, source: standalone}}", "remove"),
    "source that is not in the study": ("variants: {one_way: }", "learns from 'standalone': add that variant"),
    "source that does not train the role": (
        "variants: {alone: {method: student_alone}, mine: {method: one_way, source: alone}}",
        "the teacher of 'alone', which trains none",
    ),
    "source that has a source": (
        "variants:\n  standalone:\n  back: {method: reverse, source: standalone}\n"
        "  again: {method: one_way, source: back}",
        "learns from another variant itself",
    ),
    "start that is not in the study": (
        "variants: {m: {like: ctcd, student: {initial: standalone teacher}}}",
        "'m' starts from 'standalone': add that variant",
    ),
    "start that is not trained": (
        "variants: {a: {method: student_alone}, m: {like: ctcd, student: {initial: {from: a teacher, layers: even}}}}",
        "starts from the teacher of 'a', which trains none",
    ),
    "starts in a circle": (
        "variants:\n  a: {like: ctcd, student: {initial: b teacher}}\n  b: {like: ctcd, student: {initial: a teacher}}",
        "need each other's models: a -> b -> a",
    ),
    "start from itself": ("variants: {a: {like: ctcd, student: {initial: a teacher}}}", "models: a -> a"),
    "start and source in a circle": (
        "variants:\n  a: {like: standalone, teacher: {initial: b student}}\n  b: {method: one_way, source: a}",
        "need each other's models",
    ),
    "unknown key": ("variants: {ctcd: }\nfigures: none", "figures"),
    "unknown key of a claim": (
        "variants: {ctcd: }\nclaims: [{better: ctcd student, then: ctcd teacher}]",
        "claims.0.",
    ),
    "no variants": ("claims: []", "variants"),
    "not one variant": ("variants: {}", "variants: dictionary should have at least 1 item"),
    "not YAML": ("variants: {ctcd: [", "is not YAML"),
}


@pytest.mark.parametrize(("text", "words"), SENTENCES.values(), ids=SENTENCES)
def test_what_is_wrong_in_a_study_is_one_sentence_that_names_the_file(text: str, words: str, write: Write) -> None:
    path = write(text)
    sentence = sentence_of(path)
    assert words in sentence
    assert str(path) in sentence


@pytest.mark.parametrize("content", [b"- a list", b"question: caf\xe9", b""])
def test_a_file_that_is_no_mapping_in_utf_8_is_one_sentence(content: bytes, write: Write) -> None:
    path = write("")
    path.write_bytes(content)
    assert str(path) in sentence_of(path)


@pytest.mark.parametrize("name", ["corpus.yml", "all_studies.yml", "Two Words.yml"])
def test_a_study_cannot_have_the_name_of_another_pipeline(name: str, write: Write) -> None:
    path = write("variants: {ctcd: }", name)
    assert f"'{path}' cannot be a study" in sentence_of(path)


def test_two_studies_of_one_name_are_one_sentence(write: Write) -> None:
    path = write("variants: {ctcd: }", "methods.yml")
    assert f"two studies 'methods': rename '{path}'" in sentence_of(path)


def test_one_name_with_two_meanings_is_one_sentence_that_names_both_files(write: Write) -> None:
    first = write("variants: {mine: {like: ctcd, temperature: 2}}", "first.yml")
    second = write("variants: {mine: {like: ctcd, temperature: 3}}", "second.yml")
    sentence = sentence_of(second)
    assert f"'mine' means one thing in '{first}' and another in '{second}'" in sentence


def test_one_name_with_one_meaning_may_stand_in_two_studies(write: Write) -> None:
    for name in ("first.yml", "second.yml"):
        path = write("variants: {mine: {like: ctcd, temperature: 2}}", name)
    studies = load_studies([PACKAGE_FOLDER, path.parent])
    assert studies["first"].variants["mine"] == studies["second"].variants["mine"]


def test_a_variants_own_body_comes_before_the_shared_one(write: Write) -> None:
    """Here it gives a name of the package another meaning, which is refused as such."""
    path = write("variants: {ctcd: {method: ctcd, temperature: 2}}")
    assert "'ctcd' means one thing in" in sentence_of(path)


def sentence_of(path: Path) -> str:
    """What loading a file is refused with."""
    with pytest.raises(InputError) as raised:
        load(path)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_declared_settings_are_those_that_a_variant_may_have(write: Write) -> None:
    declared: dict[str, dict[str, Any]] = declared_variants(load_studies([PACKAGE_FOLDER]))
    assert declared["label_smoothing"] == {"name": "label_smoothing", "method": "standalone", "label_smoothing": 0.1}
    assert declared["one_way"] == {"name": "one_way", "method": "one_way"}
