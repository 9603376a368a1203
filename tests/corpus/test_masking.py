import pytest
import torch

from ctcd.corpus.masking import MASKED, RANDOM, Masking, mask_tokens, masking_for

SPECIALS = torch.tensor([0, 1, 2, 3, 4])
MASKING = Masking(SPECIALS, mask_id=4, vocabulary_size=1000, share=0.15)


def batch(sequences: int = 64, length: int = 64) -> torch.Tensor:
    tokens = torch.randint(5, 1000, (sequences, length), generator=torch.Generator().manual_seed(3))
    tokens[:, 0], tokens[:, -1] = 2, 3
    return tokens


def test_labels_are_the_true_tokens_and_other_positions_are_untouched() -> None:
    tokens = batch()
    masked = mask_tokens(tokens, MASKING, seed=1, step=0)
    assert torch.equal(masked.labels, tokens.flatten()[masked.positions])
    untouched = torch.ones(tokens.numel(), dtype=torch.bool)
    untouched[masked.positions] = False
    assert torch.equal(masked.input_ids.flatten()[untouched], tokens.flatten()[untouched])


def test_special_tokens_are_never_predicted() -> None:
    masked = mask_tokens(batch(), MASKING, seed=1, step=0)
    assert not torch.isin(masked.labels, SPECIALS).any()


def test_the_number_of_predicted_positions_is_fixed_by_the_shape() -> None:
    counts = {len(mask_tokens(batch(), MASKING, seed=1, step=step).labels) for step in range(20)}
    assert counts == {round(0.15 * 64 * 64)}


def test_positions_are_distinct_and_ascending() -> None:
    positions = mask_tokens(batch(), MASKING, seed=1, step=0).positions
    assert (positions.diff() > 0).all()


def test_eighty_ten_ten() -> None:
    shown, labels = [], []
    for step in range(30):
        masked = mask_tokens(batch(), MASKING, seed=1, step=step)
        shown.append(masked.input_ids.flatten()[masked.positions])
        labels.append(masked.labels)
    shown, labels = torch.cat(shown), torch.cat(labels)
    hidden = (shown == MASKING.mask_id).double().mean().item()
    kept = (shown == labels).double().mean().item()
    assert hidden == pytest.approx(MASKED, abs=0.015)
    assert kept == pytest.approx(1 - MASKED - RANDOM, abs=0.015)


def test_every_ordinary_position_is_chosen_equally_often() -> None:
    tokens = batch(2, 12)
    counts = torch.zeros(tokens.numel())
    for step in range(3000):
        counts[mask_tokens(tokens, MASKING, seed=1, step=step).positions] += 1
    ordinary = counts.view(2, 12)[:, 1:-1].flatten()
    assert counts.view(2, 12)[:, [0, -1]].sum() == 0
    expected = 3000 * round(0.15 * 24) / 20
    assert (ordinary - expected).abs().max() < 5 * (expected * 0.8) ** 0.5


def test_masks_depend_on_seed_and_step_alone() -> None:
    first = mask_tokens(batch(), MASKING, seed=1, step=5)
    torch.rand(7)  # the global generator must not matter
    again = mask_tokens(batch(), MASKING, seed=1, step=5)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    for seed, step in ((2, 5), (1, 6)):
        assert not torch.equal(first.positions, mask_tokens(batch(), MASKING, seed, step).positions)


def test_a_batch_with_few_ordinary_tokens_predicts_no_special_one() -> None:
    tokens = torch.full((2, 16), 3)
    tokens[0, 5] = 77
    masked = mask_tokens(tokens, MASKING, seed=1, step=0)
    assert masked.labels.tolist() == [77]


def test_masking_knows_the_tokenizer(tokenizer) -> None:
    masking = masking_for(tokenizer, 0.2)
    assert masking.mask_id == tokenizer.convert_tokens_to_ids("[MASK]")
    assert masking.vocabulary_size == len(tokenizer)
    assert set(masking.special_ids.tolist()) == set(tokenizer.all_special_ids)
