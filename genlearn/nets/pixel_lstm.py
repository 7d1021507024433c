"""A recurrent network that reads an image value by value and predicts the next one.

Sources: Hochreiter and Schmidhuber (1997), Long Short-Term Memory, Neural Computation 9(8), with
the forget gate of Gers et al. (2000), Learning to Forget, Neural Computation 12(10); for the GRU,
Cho et al. (2014), Learning Phrase Representations using RNN Encoder-Decoder, arXiv 1406.1078.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from genlearn.nets.pixel_network import PixelCache, PixelSizes

Cell = Literal["lstm", "gru"]


class PixelLSTM(nn.Module):
    """LSTM or GRU over all values of an image in the order of reading; eq-sequence-state.

    Step i is given the value before it, a learned vector that says where i is, and the condition.
    Its state is computed from these and the state before; it is all that the network knows of the
    past. A head of two layers turns it into the parameters of value i.

    Args:
        sizes: what the model asks for.
        size: (height, width) of the images.
        hidden: length of a state.
        layers: states one above the other; the upper ones read the lower ones.
        cell: "lstm" or "gru".
        position: length of the vector that says where a value is.
        head: hidden features of the head.
        dropout: share of features set to zero while training, between layers and in the head.

    Raises:
        ValueError: if the cell is neither of the two.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        size: tuple[int, int],
        hidden: int,
        layers: int,
        cell: Cell,
        position: int,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if cell not in ("lstm", "gru"):
            raise ValueError(f"a cell is lstm or gru, got {cell!r}")
        self.channels, self.size, self.cell = sizes.channels, tuple(size), cell
        values = size[0] * size[1] * sizes.channels
        self.position = nn.Parameter(torch.randn(values, position))
        self.rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
            sizes.inputs + position + sizes.condition,
            hidden,
            layers,
            dropout=dropout if layers > 1 else 0.0,
        )
        with torch.no_grad():
            for layer in range(layers):  # begin by keeping the state: its gate opens at +1
                getattr(self.rnn, f"bias_hh_l{layer}")[hidden : 2 * hidden] = 1
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(hidden, head),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(head, sizes.outputs),
        )

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map inputs (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs).

        Raises:
            ValueError: if the images are not of the network's size.
        """
        self._check(inputs.shape[2:])
        places = (*self.size, self.channels)
        values = inputs.unflatten(1, (self.channels, -1)).permute(3, 4, 1, 0, 2)
        values = values.flatten(0, 2)  # (H * W * channels, N, inputs), in the order of reading
        previous = torch.cat([torch.zeros_like(values[:1]), values[:-1]])
        position = self.position.unsqueeze(1).expand(-1, len(condition), -1)
        steps = torch.cat([previous, position, condition.expand(len(values), -1, -1)], dim=2)
        states, _ = self.rnn(steps)
        return self.head(states).unflatten(0, places).permute(3, 2, 0, 1, 4)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size, which must be the network's."""
        self._check(size)
        return PixelLSTMCache(self, condition)

    def _check(self, size: tuple[int, int]) -> None:
        if tuple(size) != self.size:
            raise ValueError(f"this network is for images of {self.size}, got {tuple(size)}")


State = tuple[Tensor, ...]
"""Of one layer: (h, c) of an LSTM, (h,) of a GRU, each (n, hidden)."""


def lstm_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    """Take one step of an LSTM; eq-sequence-lstm.

    Args:
        from_input, from_state: what input and state add to the gates, (n, 4 hidden): input gate,
            forget gate, proposal, output gate.
        state: h and c, each (n, hidden).
    """
    write, keep, proposal, show = (from_input + from_state).chunk(4, 1)
    memory = keep.sigmoid() * state[1] + write.sigmoid() * proposal.tanh()
    return show.sigmoid() * memory.tanh(), memory


def gru_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    """Take one step of a GRU.

    Args:
        from_input, from_state: what input and state add, (n, 3 hidden): reset gate, update gate,
            proposal.
        state: h, (n, hidden).
    """
    reset_x, keep_x, proposal_x = from_input.chunk(3, 1)
    reset_h, keep_h, proposal_h = from_state.chunk(3, 1)
    proposal = torch.addcmul(proposal_x, (reset_x + reset_h).sigmoid(), proposal_h).tanh()
    return (proposal + (keep_x + keep_h).sigmoid() * (state[0] - proposal),)


class LayerWeights(NamedTuple):
    """Of one layer, transposed for products from the right."""

    below: Tensor
    below_bias: Tensor
    state: Tensor
    state_bias: Tensor

    @classmethod
    def of(cls, rnn: nn.RNNBase, layer: int) -> "LayerWeights":
        """Take them from PyTorch's module."""
        names = [f"{kind}_{of}_l{layer}" for of in ("ih", "hh") for kind in ("weight", "bias")]
        return cls(*(getattr(rnn, name).t().contiguous() for name in names))


class PixelLSTMCache:
    """What a recurrent network keeps while it draws: its states, and nothing else of the past."""

    def __init__(self, network: PixelLSTM, condition: Tensor) -> None:
        rnn = network.rnn
        self.channels, self.width, self.head = network.channels, network.size[1], network.head
        self.step = lstm_step if network.cell == "lstm" else gru_step
        self.layers = [LayerWeights.of(rnn, layer) for layer in range(rnn.num_layers)]
        # What the first layer multiplies, part by part: of these only the value changes.
        known = [network.position.shape[1], condition.shape[1]]
        self.inputs = rnn.input_size - sum(known)
        self.value, position, given = self.layers[0].below.split([self.inputs, *known])
        self.position = torch.addmm(self.layers[0].below_bias, network.position, position)
        self.given = condition @ given
        zero = condition.new_zeros(len(condition), rnn.hidden_size)
        self.states: list[State] = [(zero, zero)] * rnn.num_layers

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Move all states on by one step; return the parameters of the value, (n, outputs)."""
        place = (row * self.width + column) * self.channels + channel
        x = self.given + self.position[place]
        if place:
            pixel, before = divmod(place - 1, self.channels)
            values = inputs[:, :, pixel // self.width, pixel % self.width]
            x.addmm_(values[:, before * self.inputs : (before + 1) * self.inputs], self.value)
        for k, weights in enumerate(self.layers):
            if k:
                x = torch.addmm(weights.below_bias, self.states[k - 1][0], weights.below)
            state = self.states[k]
            from_state = torch.addmm(weights.state_bias, state[0], weights.state)
            self.states[k] = self.step(x, from_state, state)
        return self.head(self.states[-1][0])
