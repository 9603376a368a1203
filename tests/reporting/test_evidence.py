import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from ctcd.errors import InputError
from ctcd.reporting.evidence import Evidence, load_all
from ctcd.reporting.evidence_pages import write_pages
from ctcd.studies.study import Claim

CLAIM = Claim(better="ctcd student", than="standalone student", on="heldout_loss", primary=True)
Losses = dict[str, list[float]]
LOSSES: Losses = {"ctcd student": [4.0, 4.1, 4.05], "standalone student": [4.2, 4.25, 4.3]}


@pytest.fixture
def make(make_losses: Callable[..., pd.DataFrame]) -> Callable[..., Evidence]:
    """Evidence of one claim, from losses by seed."""

    def make(losses: Losses = LOSSES, first_seed: int = 1, study: str = "own", scale: str = "base") -> Evidence:
        rows = [
            (model, seed, "heldout_loss", "all", value)
            for model, values in losses.items()
            for seed, value in enumerate(values, start=first_seed)
        ]
        table = pd.DataFrame(rows, columns=["model", "pretraining_seed", "measure", "part", "value"])
        facts = {"Commit": ["abc"], "Pre-training seeds": [str(first_seed)]}
        return Evidence(study, scale, "Is it?", (CLAIM,), table, {"steps": 3}, {"method": {"a": 1}}, facts, "kedro run")

    return make


def test_what_is_kept_is_read_back(make, tmp_path: Path) -> None:
    evidence = make()
    evidence.save(tmp_path)
    (found,) = load_all(tmp_path)
    assert replace(found, measurements=evidence.measurements) == evidence
    key = ["model", "pretraining_seed"]
    pd.testing.assert_frame_equal(
        found.measurements.set_index(key).sort_index(), evidence.measurements.set_index(key).sort_index()
    )


def test_the_same_evidence_gives_the_same_bytes(make, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make().save(tmp_path / name)
        write_pages(tmp_path / name, load_all(tmp_path / name), {})
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 5  # measurements, facts, figure, page, index
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_seeds_of_another_time_join_those_that_are_kept(make) -> None:
    joined = make().joined(make({model: [value + 1 for value in values] for model, values in LOSSES.items()}, 4))
    assert joined.seeds == 6
    assert joined.facts == {"Commit": ["abc"], "Pre-training seeds": ["1", "4"]}
    differences = [0.2, 0.15, 0.25] * 2
    assert joined.checked_claims()["p"].item() == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_a_seed_that_is_measured_again_counts_once(make) -> None:
    again = make({model: [value + 1 for value in values] for model, values in LOSSES.items()})
    assert make().joined(again).measurements["value"].min() == 5.0


@pytest.mark.parametrize("kind", ["settings", "differences"])
def test_seeds_of_other_settings_are_refused(make, kind: str) -> None:
    with pytest.raises(InputError, match="'own' that are kept were trained with new = None, the new ones with"):
        make().joined(replace(make(), **{kind: {**getattr(make(), kind), "new": {"b": 2}}}))


def test_index_and_page_say_what_the_primary_claim_came_out_with(make, tmp_path: Path) -> None:
    evidence = [make(), make(scale="hour"), make(study="second")]
    for each in evidence:
        each.save(tmp_path)
    remark = tmp_path / "base" / "own" / "remarks.md"
    remark.write_text("The plateau ends early.\n", encoding="utf-8")
    (tmp_path / "by_hand.md").write_text("# How it was chosen\n", encoding="utf-8")
    quotes = {"own": [{"text": "It is 1.66 points", "source": "a paper"}]}
    written = write_pages(tmp_path, evidence, quotes)
    assert [path.name for path in written] == ["README.md", "own.md", "second.md"]
    index, page = written[0].read_text(), written[1].read_text()
    row = next(line for line in index.splitlines() if line.startswith("| [own](own.md) | base |"))
    assert "ctcd student − standalone student, held-out loss" in row
    assert "| +0.200 nats | +0.076 to +0.324 | 3 | **better** | 0 of 0 |" in row
    assert "- [How it was chosen](by_hand.md)" in index
    for part in (
        "# own: Is it?",
        "scale of `base`",
        "scale of `hour`",
        "The plateau ends early.",
        "1.66 points (a paper)",
    ):
        assert part in page
    assert "| ctcd student | 4.050 (0.050) |" in page


def test_the_figure_has_a_dot_and_a_label_for_every_claim(make, tmp_path: Path) -> None:
    make().save(tmp_path)
    write_pages(tmp_path, load_all(tmp_path), {})
    text = (tmp_path / "base" / "own" / "claims.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "ctcd student − standalone student" in text
