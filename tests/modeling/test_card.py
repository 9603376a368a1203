import pandas as pd
import yaml

from ctcd.distillation.methods import METHODS, Term, find_method
from ctcd.modeling.card import model_card
from ctcd.pretraining.history import COLUMNS
from ctcd.pretraining.plan import PlannedRun


def test_the_card_says_how_the_model_was_made_and_how_good_it_is(pretraining) -> None:
    rows = [[6, 6 * 4 * 32, role, name, value] for role, loss in (("teacher", 5.5), ("student", 5.75))
            for name, value in (("heldout_loss", loss), ("heldout_accuracy", 0.25))]  # fmt: skip
    corpus = {
        "source": "my texts",
        "fingerprint": "f00d",
        "vocabulary_size": 600,
        "sequence_length": 32,
        "unigram_entropy": 6.25,
    }
    plan = PlannedRun("ctcd, seed 1", METHODS["ctcd"], pretraining, None, "f00d")
    card = model_card(plan, "student", corpus, pd.DataFrame(rows, columns=COLUMNS))
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "fill-mask"
    for fact in ("1 layers, 32 wide", "my texts (fingerprint f00d)", "768 in 6 steps", "5.750 nats", "6.250", "0.250",
                 f"Student of run `{plan.id}`", "student_soft 4", "| seed | 1 |"):  # fmt: skip
        assert fact in card


def test_the_card_names_terms_the_part_of_the_text_and_the_average(pretraining) -> None:
    rows = [[6, 768, "student", name, 0.25] for name in ("heldout_loss", "heldout_accuracy")]
    corpus = {"source": "", "fingerprint": "", "vocabulary_size": 6, "sequence_length": 3, "unigram_entropy": 6.25}
    method = find_method("ctcd", terms=[Term(learner="student", signal="hidden_states", weight=0.5)])
    changes = {"sources": ["de", "en"], "training_share": 0.02, "kept_weights": "average"}
    plan = PlannedRun("ctcd, seed 1", method, pretraining.model_copy(update=changes), None, "f00d")
    card = model_card(plan, "student", corpus, pd.DataFrame(rows, columns=COLUMNS))
    for fact in (
        "student_soft 4, student hidden_states 0.5 |",
        ", of it de, en, 0.02 of the text |",
        "moving average |",
    ):
        assert fact in card
