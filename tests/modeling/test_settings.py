import pytest
from pydantic import ValidationError

from ctcd.modeling.settings import ModelParameters


def shape(width: int, heads: int, share: float, feed_forward: int = 100) -> ModelParameters:
    return ModelParameters(
        architecture="bert", layers=2, width=width, heads=heads, feed_forward=feed_forward, width_share=share
    )


@pytest.mark.parametrize(
    ("width", "heads", "share", "expected"),
    [
        (64, 2, 1.0, (64, 2, 100)),
        (64, 2, 0.25, (16, 2, 25)),
        (768, 12, 0.5, (384, 12, 50)),
        (24, 12, 0.25, (6, 6, 25)),
        (8, 8, 0.125, (1, 1, 12)),
    ],
)
def test_a_share_scales_widths_and_keeps_the_heads_that_divide(width, heads, share, expected) -> None:
    scaled = shape(width, heads, share).scaled()
    assert (scaled.width, scaled.heads, scaled.feed_forward) == expected
    assert scaled.width_share == 1.0
    assert scaled.scaled() == scaled


def test_a_share_that_leaves_no_whole_width_is_refused() -> None:
    with pytest.raises(ValidationError, match="width 30 times width_share 0.25 is no whole number"):
        shape(30, 2, 0.25)
