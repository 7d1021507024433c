"""Attention, against its definition written out."""

import pytest
import torch

from genlearn.nets import CausalAttention, TransformerBlock
from genlearn.nets.attention import CachedBlock


def test_attention_is_a_weighted_mean_over_the_past_written_out():
    torch.manual_seed(0)
    layer = CausalAttention(6, heads=2).double()
    tokens = torch.randn(1, 4, 6, dtype=torch.float64)
    queries, keys, values = layer.queries_keys_values(tokens)[0].chunk(3, -1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        rows = []
        for t in range(4):
            scores = torch.stack([queries[t, part] @ keys[s, part] for s in range(t + 1)]) / 3**0.5
            weights = scores.exp() / scores.exp().sum()
            rows.append(sum(weights[s] * values[s, part] for s in range(t + 1)))
        heads.append(torch.stack(rows))
    expected = layer.mix(torch.cat(heads, -1))
    torch.testing.assert_close(layer(tokens)[0], expected)


def test_a_block_token_by_token_is_the_block():
    torch.manual_seed(0)
    block = TransformerBlock(8, heads=2).double()
    tokens = torch.randn(3, 5, 8, dtype=torch.float64)
    cached = CachedBlock(block, n=3, tokens=5)
    one_by_one = torch.stack([cached(token) for token in tokens.unbind(1)], 1)
    torch.testing.assert_close(one_by_one, block(tokens))


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="a width of 6 cannot be shared evenly by 4 heads"):
        CausalAttention(6, heads=4)
