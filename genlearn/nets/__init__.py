"""Networks without a probability of their own."""

from genlearn.nets.mlp import mlp

__all__ = ["mlp"]
