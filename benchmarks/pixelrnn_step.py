"""What a training step of a PixelRNN costs, against the loop that one would write first.

Images of 28 x 28, black or white, 16 in a batch; four layers of 16 features, one thread. For the
Row LSTM and for the Diagonal BiLSTM, these programs train the same network from the same weights;
that they compute the same, gradients included, is asserted first:

loop      a loop over rows or diagonals that indexes the gates of its step, in the usual layout; for
          the diagonal, the skewed image of the paper, one direction after the other
library   the library's scan, in plain autograd
backward  the same with the hand-written backward of ``genlearn.nets.scan_backward``

A step is forward, backward and an update by Adam.

Two figures say where the time goes. The arithmetic floor is that of the products of matrices alone:
no program that calls this library of products is faster. A step of one image has a sixteenth of the
arithmetic but as many calls, so it shows what these cost. The rest are the operations on numbers
between two products, which move more than they compute.
"""

import argparse
import statistics
from collections.abc import Callable
from time import process_time

import torch
import torch.nn.functional as F
from common.families import blots
from common.record import record
from torch import Tensor, nn

from genlearn import models
from genlearn.models import PixelModel

SHAPE, BATCH, LAYERS, FEATURES = (1, 28, 28), 16, 4, 16
SIZES = {"features": FEATURES, "layers": LAYERS, "first_kernel": 7, "head": 32}
MAKERS = {"row": models.row_lstm, "diagonal": models.diagonal_bilstm}
OPTIONS = {"row": {}, "diagonal": {"mended": False}}
BARS = {"row": (2.5, 3.3), "diagonal": (6.5, 8.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15, help="of each program")
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    images, one_image = blots(BATCH), blots(1)
    floor = arithmetic_milliseconds()
    numbers, parts = {}, []
    for kind in MAKERS:
        found = programs_of(kind)
        programs = {name: training_step(model, images) for name, model in found.items()}
        milliseconds = in_turn(programs, steps)
        small = {name: training_step(model, one_image) for name, model in found.items()}
        ratios = {name: round(milliseconds["loop"] / milliseconds[name], 2) for name in programs}
        numbers[kind] = {
            "milliseconds_a_step": milliseconds,
            "times_as_fast_as_loop": ratios,
            "bars": BARS[kind],
            "milliseconds_a_step_of_one_image": in_turn(small, steps),
            "arithmetic_floor_milliseconds": floor[kind],
        }
        parts.append(
            f"{kind} {ratios['library']:.2f}x in plain autograd (bar {BARS[kind][0]}x), "
            f"{ratios['backward']:.2f}x with the hand-written backward (bar {BARS[kind][1]}x; "
            f"{milliseconds['backward']:.0f} ms, arithmetic alone {floor[kind]:.0f} ms)"
        )
    line = "a training step against a loop that indexes its gates: " + "; ".join(parts)
    record("pixelrnn_step", line, {"steps": steps, **numbers})


def programs_of(kind: str) -> dict[str, PixelModel]:
    """The same model three times, each with weights of its own."""

    def model(**options) -> PixelModel:
        torch.manual_seed(0)
        return MAKERS[kind](SHAPE, 2, **SIZES, **OPTIONS[kind], **options)

    loop = model()
    loop.network = Loop(loop.network, {"row": RowLoop, "diagonal": DiagonalLoop}[kind])
    programs = {"loop": loop, "library": model(), "backward": model(fused=True)}
    agree(programs)
    return programs


def agree(programs: dict[str, PixelModel]) -> None:
    """Assert that all programs give the same, and so do their gradients."""
    images = torch.randint(0, 2, (3, *SHAPE), dtype=torch.uint8)
    found = {}
    for name, model in programs.items():
        model.double()
        parameters = model.parameters_of(images)
        parameters.square().sum().backward()
        found[name] = parameters, model.network.first.weight.grad
        model.zero_grad()
        model.float()
    for values in found.values():
        torch.testing.assert_close(values, found["loop"], rtol=1e-9, atol=1e-9)


def training_step(model: PixelModel, images: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        (-model.log_prob(images).mean()).backward()
        optimizer.step()

    return step


def in_turn(programs: dict[str, Callable[[], None]], steps: int) -> dict[str, float]:
    """Milliseconds a step of programs that take turns: medians. The first two steps warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(steps + 2):
        for name, program in programs.items():
            began = process_time()
            program()
            seconds[name].append(process_time() - began)
    return {name: round(statistics.median(all_[2:]) * 1000, 2) for name, all_ in seconds.items()}


def arithmetic_milliseconds() -> dict[str, float]:
    """How long the products of one training step take if nothing else is to be done.

    The products of forward and backward of all layers, in matrices as large as those of a step.
    """
    pixels = SHAPE[1] * SHAPE[2] * BATCH
    found = {}
    for kind, directions, inputs, steps in (
        ("row", 1, 5 * FEATURES, SHAPE[1]),
        ("diagonal", 2, 3 * FEATURES, SHAPE[1] + SHAPE[2] - 1),
    ):
        weight = torch.randn(directions, 4 * FEATURES, inputs)
        seen = torch.randn(directions, inputs, pixels // steps)
        gates = weight @ seen
        products = {
            "forward": lambda w=weight, s=seen: torch.bmm(w, s),
            "to the left": lambda w=weight, g=gates: torch.bmm(w.mT, g),
            "to the weights": lambda s=seen, g=gates: torch.bmm(g, s.mT),
        }
        repeats = {name: _many(product, 50) for name, product in products.items()}
        once = sum(in_turn(repeats, 9).values()) / 50
        found[kind] = round(once * steps * LAYERS, 1)
    return found


def _many(function: Callable[[], Tensor], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            function()

    return run


class Loop(nn.Module):
    """A network as one would write it first, with the weights of the library's."""

    def __init__(self, network: nn.Module, make_layer: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.first, self.head = network.first, network.head
        self.layers = nn.ModuleList(map(make_layer, network.layers))

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, 1, H, W) to parameters (N, 1, H, W, 1); the condition is all zeros here."""
        x = self.first(inputs)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    input_gate, forget_gate, output_gate, candidate = gates.chunk(4, 1)
    kept = torch.sigmoid(forget_gate) * cell
    cell = kept + torch.sigmoid(input_gate) * torch.tanh(candidate)
    return torch.sigmoid(output_gate) * torch.tanh(cell), cell


class RowLoop(nn.Module):
    """A layer of Row LSTM, row after row."""

    def __init__(self, of: nn.Module) -> None:
        super().__init__()
        features = of.width
        self.input_to_state = nn.Conv2d(features, 4 * features, (1, 3), padding=(0, 1))
        self.state_to_state = nn.Conv1d(features, 4 * features, 3, padding=1, bias=False)
        with torch.no_grad():
            kernel = of.masked_input()[0].unflatten(1, (2, features)).permute(0, 2, 1)
            self.input_to_state.weight.copy_(F.pad(kernel, (0, 1)).unsqueeze(2))
            self.input_to_state.bias.copy_(of.context[0, :, 0])
            state = of.state[0].unflatten(1, (3, features)).permute(0, 2, 1)
            self.state_to_state.weight.copy_(state)
        self.register_buffer("mask", torch.tensor([1.0, 1.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.input_to_state.weight * self.mask
        gates = F.conv2d(x, kernel, self.input_to_state.bias, padding=(0, 1))
        hidden = cell = torch.zeros_like(x[:, :, 0])
        rows = []
        for row in range(x.shape[2]):
            hidden, cell = lstm(gates[:, :, row] + self.state_to_state(hidden), cell)
            rows.append(hidden)
        return torch.stack(rows, 2)


class DiagonalLoop(nn.Module):
    """A layer of Diagonal BiLSTM, one column of the skewed image after the other."""

    def __init__(self, of: nn.Module) -> None:
        super().__init__()
        self.left, self.right = DirectionLoop(of, 0), DirectionLoop(of, 1)

    def forward(self, x: Tensor) -> Tensor:
        right = self.right(x.flip(3)).flip(3)
        return self.left(x) + F.pad(right, (0, 0, 1, 0))[:, :, :-1]


class DirectionLoop(nn.Module):
    """One direction of such a layer."""

    def __init__(self, of: nn.Module, which: int) -> None:
        super().__init__()
        features = of.width
        self.input_to_state = nn.Conv2d(features, 4 * features, 1)
        self.state_to_state = nn.Conv1d(features, 4 * features, 2, bias=False)
        with torch.no_grad():
            self.input_to_state.weight.copy_(of.masked_input()[which][:, :, None, None])
            self.input_to_state.bias.copy_(of.context[which, :, 0])
            state = of.state[which].unflatten(1, (2, features)).permute(0, 2, 1)
            self.state_to_state.weight.copy_(state)

    def forward(self, x: Tensor) -> Tensor:
        gates = skew(self.input_to_state(x))
        hidden = cell = x.new_zeros(x.shape[:3])
        columns = []
        for column in range(gates.shape[3]):
            from_state = self.state_to_state(F.pad(hidden, (1, 0)))
            hidden, cell = lstm(gates[..., column] + from_state, cell)
            columns.append(hidden)
        return unskew(torch.stack(columns, 3))


def skew(x: Tensor) -> Tensor:
    """Move row r by r places to the right: (N, C, H, W) to (N, C, H, W + H - 1)."""
    height, width = x.shape[2:]
    rows = F.pad(x, (0, height)).flatten(2)[..., : height * (width + height - 1)]
    return rows.unflatten(2, (height, width + height - 1))


def unskew(x: Tensor) -> Tensor:
    """Move them back: (N, C, H, W + H - 1) to (N, C, H, W)."""
    height, longer = x.shape[2:]
    rows = F.pad(x.flatten(2), (0, height)).unflatten(2, (height, longer + 1))
    return rows[..., : longer - height + 1]


if __name__ == "__main__":
    main()
