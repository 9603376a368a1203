import pytest
import torch

from ctcd.pretraining.masking import MASKED, RANDOM, Masking, mask_tokens, masking_for, next_tokens, with_noise_seeds

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


@pytest.mark.parametrize("shape", [(64, 64), (7, 33), (3, 4), (1, 8), (5, 2)])
def test_every_number_of_sequences_has_its_share_of_the_predicted_positions(shape: tuple[int, int]) -> None:
    sequences, length = shape
    masked = mask_tokens(torch.randint(5, 1000, shape), MASKING, seed=1, step=0)
    for count in range(1, sequences + 1):
        wanted = max(1, round(0.15 * length * count))
        assert int((masked.positions < count * length).sum()) == wanted


def test_halves_hold_all_that_is_predicted() -> None:
    masked = mask_tokens(batch(7, 16), MASKING, seed=1, step=0)
    first, second = masked.halves()
    assert torch.equal(torch.cat([first.input_ids, second.input_ids]), masked.input_ids)
    assert torch.equal(torch.cat([first.labels, second.labels]), masked.labels)
    read = [half.input_ids.flatten()[half.positions] for half in (first, second)]
    assert torch.equal(torch.cat(read), masked.input_ids.flatten()[masked.positions])


def test_a_half_with_nothing_to_predict_is_left_out() -> None:
    (only,) = mask_tokens(batch(2, 3), MASKING, seed=1, step=0).halves()
    assert len(only.labels) == 1


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


def test_special_tokens_are_predicted_only_where_ordinary_ones_do_not_suffice() -> None:
    tokens = torch.full((2, 16), 3)
    tokens[0, 5] = 77
    masked = mask_tokens(tokens, MASKING, seed=1, step=0)
    assert sorted(masked.labels.tolist()) == [3, 3, 3, 3, 77]


def test_masking_knows_the_tokenizer(tokenizer) -> None:
    masking = masking_for(tokenizer, 0.2, torch.device("cpu"))
    assert masking.mask_id == tokenizer.convert_tokens_to_ids("[MASK]")
    assert masking.vocabulary_size == len(tokenizer)
    assert set(masking.special_ids.tolist()) == set(tokenizer.all_special_ids)


def test_next_tokens_are_the_labels_of_all_but_the_last_position() -> None:
    tokens = torch.tensor([[2, 10, 11, 3], [2, 12, 13, 3]])
    predicted = next_tokens(tokens)
    assert torch.equal(predicted.input_ids, tokens)
    assert predicted.positions.tolist() == [0, 1, 2, 4, 5, 6]
    assert predicted.labels.tolist() == [10, 11, 3, 12, 13, 3]


def test_seeds_of_noise_depend_on_seed_and_step_and_go_with_their_half() -> None:
    plain = mask_tokens(batch(), MASKING, seed=1, step=5)
    assert plain.noise_seeds.numel() == 0
    seeded = with_noise_seeds(plain, seed=1, step=5)
    assert len(seeded.noise_seeds.unique()) == len(plain.labels)
    assert torch.equal(torch.cat([half.noise_seeds for half in seeded.halves()]), seeded.noise_seeds)
    for seed, step in ((2, 5), (1, 6)):
        assert not torch.equal(with_noise_seeds(plain, seed, step).noise_seeds, seeded.noise_seeds)


@pytest.mark.gpu
def test_masks_are_the_same_on_a_gpu() -> None:
    device = torch.device("cuda")
    there = MASKING._replace(special_ids=SPECIALS.to(device))
    masked = mask_tokens(batch(), MASKING, seed=1, step=3)
    for one, other in zip(masked, mask_tokens(batch().to(device), there, seed=1, step=3), strict=True):
        assert torch.equal(one, other.cpu())
