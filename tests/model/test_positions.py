import math

import pytest
import torch

from ctran.model import Backbone, CTran
from ctran.model.positions import sine


def test_each_place_has_its_own_code_of_row_and_column():
    code = sine((3, 4), 8)
    assert code.shape == (12, 8) and len(torch.unique(code, dim=0)) == 12
    for place, (y, x) in enumerate((y, x) for y in range(3) for x in range(4)):
        rates = [1.0, 10000 ** (-4 / 8)]
        expected = [f(n * r) for n in (y, x) for r in rates for f in (math.sin, math.cos)]
        assert code[place].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sine((2, 2), 6)


def test_with_positions_the_order_of_image_tokens_matters(images):
    options = {"num_labels": 3, "token_dim": 16, "num_layers": 1, "num_heads": 2}
    model = CTran(Backbone("test_resnet"), positions="sine", **options).eval()
    states = torch.zeros(3, 3, dtype=torch.long)
    with torch.no_grad():
        features = model.encode_images(images)
        turned = type(features)(features.tokens.flip(1), features.grid)
        assert not torch.allclose(model.predict_labels(features, states), model.predict_labels(turned, states), atol=1e-4)
