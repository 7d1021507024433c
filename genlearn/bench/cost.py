"""Count what a block of code computes and which bytes it touches, while it runs.

FLOPs are those of matrix products, convolutions, attention and recurrent layers, two for each
product of numbers that is added up, forward and backward. Sums, nonlinearities, losses and updates
are not counted; weights under a mask are, since they are multiplied like others.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import (
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
    shape_wrapper,
)

from genlearn.training import Callback, Training


class Cost(NamedTuple):
    """What a block of code costs, or a mean over some of its runs."""

    flops: float
    """Floating-point operations of products: see the head of this file."""
    bytes: float
    """Of the operands and results of all operations, each read or written once an operation.

    It is what moves through memory if every operation fetches what it needs and leaves nothing in
    a cache: more than moves in truth, most of all where tensors are small.
    """
    by_operation: dict[str, float]
    """FLOPs of each kind of operation, by PyTorch's name for it."""
    unknown: tuple[str, ...] = ()
    """Operations that look like products and for which there is no formula: not in ``flops``."""

    @property
    def intensity(self) -> float:
        """FLOPs for each byte."""
        return self.flops / self.bytes if self.bytes else 0.0

    def __truediv__(self, count: float) -> "Cost":
        """Return the mean over so many runs."""
        by_operation = {name: flops / count for name, flops in self.by_operation.items()}
        return Cost(self.flops / count, self.bytes / count, by_operation, self.unknown)


def cost_of(function: Callable[[], object]) -> Cost:
    """Run a function, and return what it cost.

    Args:
        function: for example the forward and backward pass of one step. What `torch.compile` made
            cannot be counted.
    """
    with Counter() as counter:
        function()
    return counter.cost()


class Counter(TorchDispatchMode):
    """A block in which costs are counted: ``with Counter() as counter: …``.

    The formulas are those of PyTorch's ``FlopCounterMode``, and more. That mode itself also follows
    modules, and stops where a gradient penalty differentiates: so it is not used here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._formulas = {**flop_registry, **_more_formulas()}
        self._flops: dict[str, float] = {}
        self._bytes, self._unknown = 0, set()

    def cost(self) -> Cost:
        """Return what was counted since the block began."""
        unknown = tuple(sorted(self._unknown))
        return Cost(sum(self._flops.values()), self._bytes, dict(self._flops), unknown)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Do what is asked for, and count it."""
        kwargs, packet = kwargs or {}, operation._overloadpacket
        if packet not in self._formulas:
            with self:  # what it is made of, if it is made of others
                result = operation.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result, name = operation(*args, **kwargs), str(packet).rpartition(".")[2]
        if formula := self._formulas.get(packet):
            flops = formula(*args, **kwargs, out_val=result)
            self._flops[name] = self._flops.get(name, 0) + flops
        elif _is_product(name):
            self._unknown.add(name)
        self._bytes += _touched(operation, name, args, kwargs, result)
        return result


class CountSteps(Callback):
    """Count the steps of a training, and stop it: see :meth:`cost`.

    Args:
        steps: to be counted; as many as it takes until the same work comes again.
        skip: steps before, in which a model may prepare itself.

    ``parameters`` is how many numbers all objectives learn.
    """

    def __init__(self, steps: int = 1, skip: int = 1) -> None:
        self.steps, self.skip = steps, skip
        self.done = False
        self._stack, self._counter = ExitStack(), Counter()

    def start(self, training: Training) -> None:
        """Begin, if no step is to be skipped."""
        self.first = training.step + self.skip
        learned = {id(p): p.numel() for o in training.objectives for p in o.parameters}
        self.parameters = sum(learned.values())
        self._next(training)

    def after_step(self, training: Training) -> None:
        """Begin or stop counting."""
        self._next(training)

    def _next(self, training: Training) -> None:
        if training.step == self.first:
            self._stack.enter_context(self._counter)
        elif training.step == self.first + self.steps:
            self._stack.close()
            self.done = True
            training.stopped = "counted"

    def finish(self, training: Training) -> None:
        """Stop counting, also when an error ended the training."""
        self._stack.close()

    def cost(self) -> Cost:
        """Return the mean cost of a step.

        Raises:
            RuntimeError: if the training ended before all steps were counted.
        """
        if not self.done:
            raise RuntimeError(f"the training ended before {self.skip + self.steps} steps")
        return self._counter.cost() / self.steps


def _touched(operation: Any, name: str, args: tuple, kwargs: dict[str, Any], result: Any) -> int:
    """Bytes of what an operation reads and writes."""
    arguments = operation._schema.arguments
    if name in _TOUCH_NOTHING or _is_view(operation):
        return 0
    given = dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
    written = {a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write}
    results = _tensors([given.get(key) for key in written] if written else result)
    unread = written if name in _OVERWRITE else {"out"}
    operands = _tensors([value for key, value in given.items() if key not in unread])
    if name in _READ_SHAPES:
        operands = []
    elif name in _READ_SOME:  # as much of the first operand as there are results
        operands = [*operands[1:], *results]
    return sum(map(_size, operands)) + sum(map(_size, results))


def _tensors(tree: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts, each once."""
    found = {id(leaf): leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}
    return list(found.values())


def _size(tensor: Tensor) -> int:
    """Bytes of a tensor in memory, where what is repeated by a stride of 0 lies once."""
    axes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(n if stride else min(n, 1) for n, stride in axes) * tensor.element_size()


def _is_view(operation: Any) -> bool:
    """Whether an operation gives another look at its operand, and computes nothing."""
    aliases = [result.alias_info for result in operation._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


_TOUCH_NOTHING = {
    "_local_scalar_dense", "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty",
    "new_empty_strided", "record_stream", "set_",
}  # fmt: skip
_READ_SHAPES = {
    "full_like", "new_full", "new_ones", "new_zeros", "ones_like", "rand_like", "randint_like",
    "randn_like", "zeros_like",
}  # fmt: skip
_OVERWRITE = {
    "bernoulli_", "copy_", "exponential_", "fill_", "normal_", "random_", "uniform_", "zero_",
}  # fmt: skip
_READ_SOME = {"embedding", "gather", "index", "index_select", "take"}
_PRODUCTS = ("mm", "mv", "dot", "conv", "rnn", "lstm", "gru", "attention", "linear", "cdist")
_NO_PRODUCTS = ("_thnn_fused", "upsample")  # the numbers of a cell alone; averages


def _is_product(name: str) -> bool:
    """Whether an operation is one whose FLOPs should be counted, as far as its name tells."""
    return any(word in name for word in _PRODUCTS) and not name.startswith(_NO_PRODUCTS)


def _more_formulas() -> dict[Any, Callable[..., int]]:
    """FLOPs of products that PyTorch's own table lacks, from the shapes of what they are given."""

    def product(_, first, second, **options):  # onto what stands there
        return 2 * math.prod(first) * second[-1]

    def matrix_vector(matrix, *_, **options):
        return 2 * math.prod(matrix)

    def recurrent_layer(x, of_input, of_state, *_, **options):
        return recurrent(x, (of_input, of_state))

    def recurrent(x, weights, *_, **options):
        # Each image and time meets each number of a matrix once; biases are sums.
        return 2 * math.prod(x[:-1]) * sum(math.prod(w) for w in weights if len(w) == 2)

    def attention(query, key, value, *_, **options):
        return sdpa_flop_count(query, key, value)

    def attention_backward(slope, query, key, value, *_, **options):
        return sdpa_backward_flop_count(slope, query, key, value)

    def twice(formula):  # the gradient of a product is two: by the inputs, and by the weights
        return lambda *shapes, **options: 2 * formula(*shapes, **options)

    aten, formulas = (
        torch.ops.aten,
        {
            "addmm_": product,
            "addbmm": product,
            "addbmm_": product,
            "baddbmm_": product,
            "mv": matrix_vector,
            "addmv": lambda _, matrix, *__, **options: matrix_vector(matrix),
            "addmv_": lambda _, matrix, *__, **options: matrix_vector(matrix),
            "dot": matrix_vector,
            "vdot": matrix_vector,
            "_scaled_dot_product_flash_attention_for_cpu": attention,
            "_scaled_dot_product_flash_attention_for_cpu_backward": attention_backward,
            "mkldnn_rnn_layer": recurrent_layer,
            "mkldnn_rnn_layer_backward": twice(recurrent_layer),
            "_cudnn_rnn": recurrent,
            "_cudnn_rnn_backward": twice(recurrent),
        },
    )
    return {getattr(aten, name): shape_wrapper(formula) for name, formula in formulas.items()}
