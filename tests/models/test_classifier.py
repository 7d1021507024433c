"""A classifier: the loss it names, and whether it learns."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genlearn.models import Classifier


def test_the_loss_is_minus_the_log_probability_of_the_right_class():
    """For features that are the image itself, and a head whose weights are known."""
    model = Classifier(nn.Flatten(), 2, 3, (1, 1, 2), levels=2)
    with torch.no_grad():
        model.head[1].weight.copy_(torch.tensor([[1.0, 0], [0, 1], [0, 0]]))
        model.head[1].bias.zero_()
    x = torch.tensor([[[[1, 0]]], [[[0, 1]]]], dtype=torch.uint8)  # seen as (1, -1) and (-1, 1)
    high, low = F.silu(torch.tensor([1.0, -1.0])).tolist()
    total = math.exp(high) + math.exp(low) + 1
    terms = model.loss(x, torch.tensor([0, 2]))
    expected = (math.log(total) - high + math.log(total)) / 2
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["accuracy"] == 0.5
    assert model.classify(x).tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 5, 7)], ids=str)
def test_images_of_any_size_have_features_and_logits(shape):
    model = Classifier.conv(shape, 256, 5, channels=(4, 6), width=7)
    x = torch.randint(256, (3, *shape), dtype=torch.uint8)
    assert model.features(x).shape == (3, 7)
    assert model.logits(x).shape == (3, 5)
    assert model.classify(x).dtype == torch.int64


def test_images_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    model = Classifier.conv((1, 8, 8), 17, 5, channels=(4, 6)).eval()
    x = torch.randint(17, (4, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(model.logits(x)[:2], model.logits(x[:2]))


def test_one_class_is_no_choice():
    with pytest.raises(ValueError, match="at least 2 classes apart, got 1"):
        Classifier.conv((1, 8, 8), 17, 1)
