"""Causal self-attention: each token looks at itself and at those before it.

Source: Vaswani et al. (2017), Attention Is All You Need, arXiv 1706.03762, sections 3.1 and 3.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalAttention(nn.Module):
    """For each token a weighted mean of what it and the earlier ones say; eq-pixelcnn-attention.

    Args:
        width: of a token; a multiple of heads.
        heads: weighted means taken side by side, each of its own part of the width.
        dropout: share of weights set to zero while training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared evenly by {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of tokens (N, T, width): (N, heads, T, width / heads)."""
        parts = self.queries_keys_values(tokens).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind()
        return queries, keys, values

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, T, width) to the same shape; token t looks at tokens 0 … t."""
        dropout = self.dropout if self.training else 0.0
        looked_up = F.scaled_dot_product_attention(
            *self.split(tokens), is_causal=True, dropout_p=dropout
        )
        return self.mix(looked_up.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """x + attention(x), then x + mlp(x), each of a normalised x.

    Args:
        width, heads: of the attention.
        dropout: share of weights, and of what is added, set to zero while training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, T, width) to the same shape."""
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class CachedBlock:
    """A block for one token at a time: keys and values of the earlier ones are kept.

    Args:
        block: with its dropout switched off.
        n: number of sequences.
        tokens: most tokens that a sequence will have.
    """

    def __init__(self, block: TransformerBlock, n: int, tokens: int) -> None:
        self.block, self.heads, self.count = block, block.attention.heads, 0
        layer = block.attention.queries_keys_values
        width = layer.in_features // self.heads
        self.keys = layer.weight.new_empty(n * self.heads, tokens, width)
        self.values = torch.empty_like(self.keys)

    def __call__(self, x: Tensor) -> Tensor:
        """Map the next token of each sequence, (n, width), to its output of the same shape."""
        block, t = self.block, self.count
        parts = block.attention.queries_keys_values(block.attention_norm(x))
        query, key, value = (part.reshape(len(self.keys), -1) for part in parts.chunk(3, 1))
        self.keys[:, t], self.values[:, t] = key, value
        self.count = t + 1
        # One query a head: its products with all keys so far, and the mean with their weights.
        scores = torch.bmm(self.keys[:, : t + 1], query.unsqueeze(2)) * query.shape[1] ** -0.5
        looked_up = torch.bmm(scores.softmax(1).transpose(1, 2), self.values[:, : t + 1])
        x = x + block.attention.mix(looked_up.view_as(x))
        return x + block.mlp(block.mlp_norm(x))
