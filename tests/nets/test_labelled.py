"""How a label reaches a network."""

import torch
from torch import nn

from genlearn.nets import ConcatenatedLabel, ProjectedLabel


def test_a_flat_input_has_the_one_hot_vector_behind_it():
    x, labels = torch.randn(3, 1, 2, 2), torch.tensor([0, 2, 1])
    seen = ConcatenatedLabel(nn.Identity(), 3)(x, labels)
    assert torch.equal(seen, torch.cat([x.flatten(1), torch.eye(3)[labels]], 1))


def test_an_image_has_one_more_channel_for_each_class():
    x, labels = torch.randn(2, 3, 4, 5), torch.tensor([1, 0])
    seen = ConcatenatedLabel(nn.Identity(), 2, planes=True)(x, labels)
    assert torch.equal(seen[:, :3], x)
    assert torch.equal(seen[:, 3:].amax((2, 3)), torch.eye(2)[labels])
    assert torch.equal(seen[:, 3:].amin((2, 3)), torch.eye(2)[labels])


def test_before_training_a_projected_label_counts_for_nothing():
    torch.manual_seed(0)
    net, x = ProjectedLabel(nn.Linear(4, 6), 6, 3), torch.randn(5, 4)
    zero, two = (net(x, torch.full((5,), k)) for k in (0, 2))
    assert zero.shape == (5,)
    assert torch.equal(zero, two)


def test_after_training_of_its_vectors_it_counts():
    torch.manual_seed(0)
    net, x = ProjectedLabel(nn.Linear(4, 6), 6, 3), torch.randn(5, 4)
    nn.init.normal_(net.class_vectors.weight)
    assert ((net(x, torch.full((5,), 0)) - net(x, torch.full((5,), 2))).abs() > 1e-3).all()
