import pytest

from ctcd.distillation.soft_weights import SoftWeightsParameters, soft_weight_factor
from ctcd.engine.schedule import learning_rate_factor


def test_soft_weights_are_constant_unless_asked() -> None:
    assert {soft_weight_factor(done / 10, SoftWeightsParameters()) for done in range(11)} == {1.0}


def test_soft_weights_rise_from_zero_and_then_go_to_their_final_factor() -> None:
    settings = SoftWeightsParameters(warmup_share=0.2, final_factor=0.25)
    factors = [soft_weight_factor(done / 10, settings) for done in range(11)]
    assert factors[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert factors[2:] == pytest.approx([1 - 0.75 * done / 8 for done in range(9)])


def test_between_warm_up_and_decay_soft_weights_stay_as_they_are() -> None:
    settings = SoftWeightsParameters(warmup_share=0.1, decay_share=0.4, final_factor=0.5)
    factors = [soft_weight_factor(done / 10, settings) for done in range(11)]
    assert factors == pytest.approx([0, 1, 1, 1, 1, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8])


def test_soft_weights_and_learning_rate_can_have_one_shape() -> None:
    settings = SoftWeightsParameters(warmup_share=0.1, decay_share=0.3, final_factor=0.0)
    for done in range(11):
        expected = learning_rate_factor(done / 10, 0.1, "linear", 0.3)
        assert soft_weight_factor(done / 10, settings) == pytest.approx(expected)
