import pytest

from ctcd.modeling.settings import ModelParameters


@pytest.mark.parametrize(
    ("width", "heads", "share", "expected"),
    [
        (64, 2, 1.0, (64, 100)),
        (64, 2, 0.25, (16, 25)),
        (768, 12, 0.5, (384, 50)),
        (24, 3, 0.5, (12, 50)),
        (30, 3, 0.4, (12, 40)),
        (8, 2, 0.25, (4, 25)),
    ],
)
def test_a_share_scales_widths_and_keeps_the_heads(width: int, heads: int, share: float, expected) -> None:
    shape = ModelParameters(
        architecture="bert", layers=2, width=width, heads=heads, feed_forward=100, width_share=share
    )
    scaled = shape.scaled()
    assert (scaled.width, scaled.feed_forward) == expected
    assert (scaled.heads, scaled.width_share) == (heads, 1.0)
    assert scaled.scaled() == scaled
