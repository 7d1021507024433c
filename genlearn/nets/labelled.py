"""Two ways to tell a network a label beside its input.

Sources: Mirza and Osindero (2014), Conditional Generative Adversarial Nets, arXiv 1411.1784, for
concatenation; Miyato and Koyama (2018), cGANs with Projection Discriminator, arXiv 1802.05637.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConcatenatedLabel(nn.Module):
    """A network that is given the label's one-hot vector behind its input.

    Args:
        net: maps what :meth:`forward` says.
        classes: labels are 0 … classes - 1.
        planes: whether inputs are images that stay images: each class is then one more channel, all
            ones or all zeros. Otherwise inputs are flattened.
    """

    def __init__(self, net: nn.Module, classes: int, planes: bool = False) -> None:
        super().__init__()
        self.net, self.classes, self.planes = net, classes, planes

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Apply the network to (N, D + classes), or to (N, C + classes, H, W) with planes."""
        beside = F.one_hot(labels, self.classes).to(x.dtype)
        if self.planes:
            beside = beside[:, :, None, None].expand(-1, -1, *x.shape[2:])
        else:
            x = x.flatten(1)
        return self.net(torch.cat([x, beside], 1))


class ProjectedLabel(nn.Module):
    """A discriminator whose logit is v_y · φ(x) + ψ(φ(x)): eq-steer-projection.

    φ is a network, ψ a linear layer, and each class has a vector v_y, which begins at zero: until
    it has learned otherwise, the label counts for nothing.

    Args:
        features: φ, maps data (N, …) to features (N, width).
        width: number of features.
        classes: labels are 0 … classes - 1.
    """

    def __init__(self, features: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.features, self.classes = features, classes
        self.unlabelled = nn.Linear(width, 1)
        self.class_vectors = nn.Embedding(classes, width)
        nn.init.zeros_(self.class_vectors.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return one logit each, (N,)."""
        features = self.features(x)
        of_label = (self.class_vectors(labels) * features).sum(1)
        return self.unlabelled(features).squeeze(1) + of_label
