"""What a step costs, how long it takes, and what the device could do."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genlearn.bench import Ceilings, Cost, CountSteps, Stopwatch, ceilings, cost_of, stopwatch
from genlearn.bench.cost import Counter
from genlearn.cli import main
from genlearn.data import Batches, load
from genlearn.errors import RunError
from genlearn.models import VAE
from genlearn.nets import PixelSizes, RowLSTM
from genlearn.recipes import RECIPES, bench, bench_command, gan, vae
from genlearn.recipes.pixel_settings import MODELS
from genlearn.training import Objective, fit


def forward_and_back(network: nn.Module, x: torch.Tensor):
    """A function that runs a network and takes the gradient of a sum."""

    def run() -> None:
        out = network(x)
        (out[0] if isinstance(out, tuple) else out).sum().backward()

    return run


# --- FLOPs -------------------------------------------------------------------


def test_an_mlp_by_hand():
    """Twice the weights an image forward, as much for their gradient, and for the hidden one's."""
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    cost = cost_of(forward_and_back(network, torch.randn(4, 6)))
    assert cost.flops == 2 * 4 * (2 * (6 * 5 + 5 * 3) + 5 * 3)


def test_a_convolution_by_hand():
    x = torch.randn(4, 2, 7, 5, requires_grad=True)
    network = nn.Conv2d(2, 6, 3, stride=2, padding=1)
    once = 2 * 4 * (2 * 3 * 3) * 6 * (4 * 3)  # images, numbers of a window, channels, places
    assert cost_of(forward_and_back(network, x)).flops == 3 * once


def test_a_loop_of_an_lstm_by_hand():
    steps, images, inputs, width = 5, 4, 3, 2
    x = torch.randn(steps, images, inputs)
    of_input = torch.randn(inputs, 4 * width, requires_grad=True)
    of_state = torch.randn(width, 4 * width, requires_grad=True)

    def run() -> None:
        hidden = cell = torch.zeros(images, width)
        for now in x:
            i, f, o, new = (now @ of_input + hidden @ of_state).chunk(4, 1)
            cell = f.sigmoid() * cell + i.sigmoid() * new.tanh()
            hidden = o.sigmoid() * cell.tanh()
        hidden.sum().backward()

    by_input, by_state = 2 * images * inputs * 4 * width, 2 * images * width * 4 * width
    # Back to the weights at each step, back to the state at each but the first, to x at none.
    assert cost_of(run).flops == steps * 2 * (by_input + by_state) + (steps - 1) * by_state


@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (1, True)])
def test_a_fused_lstm_counts_like_the_same_in_single_products(layers, both):
    """But for the slope of the first state, which the fused one computes and nobody asks for.

    In float64 there is no fused one.
    """
    steps, images, width = 5, 4, 6
    network = nn.LSTM(3, width, layers, bidirectional=both)
    x = torch.randn(steps, images, 3, requires_grad=True)
    fused = cost_of(forward_and_back(network, x))
    single = cost_of(forward_and_back(network.double(), x.detach().double().requires_grad_()))
    if torch.backends.mkldnn.is_available():
        assert "mkldnn_rnn_layer" in fused.by_operation
    assert "mkldnn_rnn_layer" not in single.by_operation
    first = 2 * images * width * 4 * width * layers * (1 + both)
    assert fused.flops in (single.flops, single.flops + first)


def test_the_lstm_of_cuda_counts_like_that_of_the_cpu():
    """Its formula alone: the operation itself needs a CUDA device."""
    x, network = torch.randn(5, 4, 3), nn.LSTM(3, 6, 2)
    formulas = Counter()._formulas
    weights = list(network.parameters())
    forward = formulas[torch.ops.aten._cudnn_rnn](x, weights, 4, out_val=None)
    backward = formulas[torch.ops.aten._cudnn_rnn_backward](x, weights, 4, out_val=None)
    assert forward == 2 * 5 * 4 * (24 * 3 + 24 * 6 + 24 * 6 + 24 * 6)
    assert backward == 2 * forward


def test_a_gradient_written_by_hand_counts_like_the_one_found_by_autograd():
    """It adds products up in place, which PyTorch's own table of formulas does not know."""
    costs = []
    for fused in (True, False):
        torch.manual_seed(0)
        sizes = PixelSizes(channels=1, inputs=1, condition=1, outputs=2)
        network = RowLSTM(
            sizes, 4, 3, 1, first_kernel=3, kernel=3, head=4, dropout=0.0, fused=fused
        )
        x, condition = torch.rand(2, 1, 4, 4), torch.zeros(2, 1)
        costs.append(cost_of(lambda: network(x, condition).sum().backward()))  # noqa: B023
    assert costs[0].flops == costs[1].flops
    assert "baddbmm_" in costs[0].by_operation
    assert "baddbmm_" not in costs[1].by_operation


def test_attention_by_hand():
    images, heads, places, width = 2, 3, 5, 4
    q, k, v = torch.randn(3, images, heads, places, width, requires_grad=True)
    cost = cost_of(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward())
    once = 2 * images * heads * places * places * width
    forward, backward = 2 * once, 4 * once
    # The fast kernel keeps no scores, so going backward it computes them again.
    again = once if any("flash" in name for name in cost.by_operation) else 0
    assert cost.flops == forward + backward + again


def test_products_of_a_matrix_and_a_vector_count_too():
    """Spectral normalisation makes them."""
    a, x = torch.randn(3, 4), torch.randn(4)
    assert cost_of(lambda: a.mv(x)).flops == 2 * 12
    assert cost_of(lambda: torch.addmv(torch.zeros(3), a, x)).flops == 2 * 12
    assert cost_of(lambda: x.dot(x)).flops == 2 * 4


def test_a_convolutional_vae_counts_as_pytorch_counts_it():
    torch.manual_seed(0)
    vae = VAE.conv((1, 16, 16), 2, latent_dim=3, channels=(4, 8))
    x = torch.randint(2, (5, 1, 16, 16), dtype=torch.uint8)
    with FlopCounterMode(display=False) as theirs:
        vae.elbo(x).mean().backward()
    assert cost_of(lambda: vae.elbo(x).mean().backward()).flops == theirs.get_total_flops()


def test_a_product_without_a_formula_is_named():
    cost = cost_of(lambda: torch.cdist(torch.randn(3, 4), torch.randn(5, 4)))
    assert cost.flops == 0
    assert [name.strip("_") for name in cost.unknown] == ["cdist_forward"]


# --- bytes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "numbers"),
    [
        (lambda a, b: a + b, 3 * 12),
        (lambda a, b: a.add_(b), 3 * 12),
        (lambda a, b: a.copy_(b), 2 * 12),
        (lambda a, b: a.zero_(), 12),
        (lambda a, b: torch.zeros_like(a), 12),
        (lambda a, b: torch.empty_like(a), 0),
        (lambda a, b: a.T, 0),
        (lambda a, b: a * a, 2 * 12),
        (lambda a, b: torch.add(a, a, out=b), 2 * 12),
        (lambda a, b: a[:, :1].expand(3, 4) + b, 3 + 2 * 12),
        (lambda a, b: a @ b.T, 2 * 12 + 9),
        (lambda a, b: torch._foreach_add_([a, b], 1.0), 4 * 12),
    ],
)
def test_operands_and_results_by_hand(work, numbers):
    assert cost_of(lambda: work(torch.ones(3, 4), torch.ones(3, 4))).bytes - made == 4 * numbers


made = cost_of(lambda: (torch.ones(3, 4), torch.ones(3, 4))).bytes
"""Of making the two matrices."""


def test_a_batch_is_read_and_not_the_whole_data_set():
    images, index = torch.zeros(1000, 8, dtype=torch.uint8), torch.arange(5)
    assert cost_of(lambda: images[index]).bytes == 5 * 8 + 2 * 5 * 8  # the index, of eight bytes


def test_intensity_is_flops_for_each_byte():
    assert Cost(12, 4, {}).intensity == 3
    assert Cost(0, 0, {}).intensity == 0


# --- a whole step ------------------------------------------------------------


def test_a_penalty_at_each_eighth_step_counts_for_an_eighth():
    """And the second derivatives that it takes are counted at all."""
    digits = load("digits")

    def cost(penalty: str, every: int, skip: int, steps: int) -> Cost:
        config = gan.Config(
            channels=(4, 8), batch_size=4, steps=100, penalty=penalty, every=every, device="cpu"
        )
        count = CountSteps(steps, skip)
        gan.train(config, digits, gan.build(config, digits.shape, digits.levels), (count,))
        return count.cost()

    without, always, seldom = cost("none", 1, 1, 1), cost("r1", 1, 1, 1), cost("r1", 8, 3, 8)
    # Its own pass forward, the gradient, and back through both.
    assert always.flops > 1.3 * without.flops
    extra = always.flops - without.flops
    assert seldom.flops == pytest.approx(without.flops + extra / 8)


def one_weight(batches: Batches, *callbacks, loss=None, steps=10_000, **options) -> None:
    """Train one number."""
    network = nn.Linear(1, 1, bias=False)
    objective = {key: options.pop(key) for key in ("repeat", "every") if key in options}
    sgd = torch.optim.SGD(network.parameters(), 1e-4)

    def square(step):
        if loss:
            loss(step)
        return network(step.batch[0].flatten(1).float()).square().mean()

    fit(
        {"w": network},
        [Objective("w", square, sgd, **objective)],
        batches,
        steps,
        callbacks=callbacks,
        device="cpu",
        **options,
    )


def test_costs_of_a_training_that_ended_too_early_are_refused(numbered):
    count = CountSteps(steps=3, skip=2)
    one_weight(numbered(12, 4), count, steps=4)
    with pytest.raises(RuntimeError, match="before 5 steps"):
        count.cost()


# --- time --------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on only when it is told to."""
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def test_the_warm_up_is_not_timed(numbered, clock):
    def loss(step):
        clock[0] += 100.0 if step.index < 2 else 0.25

    watch = Stopwatch(seconds=15.0, period=2, images=4)
    one_weight(numbered(12, 4), watch, loss=loss)
    timing = watch.timing
    assert timing.warm_up >= 2 + stopwatch.LEAST_WARM_UP
    assert timing.seconds_a_step == 0.25
    assert timing.images_a_second == 16
    assert timing.quartiles == (0.25, 0.25)
    assert set(timing.seconds) == {0.25 * timing.steps}
    assert len(timing.seconds) == stopwatch.BLOCKS
    assert timing.steps % 2 == 0
    assert sum(timing.seconds) == pytest.approx(15.0, abs=2.0)


def test_the_time_is_the_median_of_the_blocks(numbered, clock):
    def loss(step):
        clock[0] += 50.0 if step.index == 20 else 1.0  # as if another program had run

    watch = Stopwatch(steps=30)
    one_weight(numbered(12, 4), watch, loss=loss)
    assert max(watch.timing.seconds) > 50
    assert watch.timing.seconds_a_step == 1


@pytest.mark.parametrize(
    ("options", "draws"),
    [({}, 1), ({"accumulate": 3}, 3), ({"repeat": 2, "accumulate": 3}, 6), ({"every": 2}, 0.5)],
)
def test_images_of_every_update_are_counted(numbered, clock, options, draws):
    def loss(step):
        clock[0] += 1 / draws

    watch = Stopwatch(steps=12, images=4, period=options.get("every", 1))
    one_weight(numbered(12, 4), watch, loss=loss, **options)
    assert watch.timing.images_a_second == pytest.approx(4 * draws)


def test_on_cuda_events_mark_the_blocks_and_the_host_waits_for_none(numbered, clock, monkeypatch):
    """With a stand-in for CUDA, whose every step takes 2 ms."""
    did = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            assert stream == "stream of cuda"
            did.append("event")
            self.at = len(steps)

        def elapsed_time(self, end):
            return 2.0 * (end.at - self.at)

    steps = []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: did.append("wait"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: did.append("reset"))
    watch = Stopwatch(steps=30, device="cuda")
    one_weight(numbered(12, 4), watch, loss=lambda step: steps.append(step.index))
    assert watch.timing.seconds_a_step == pytest.approx(0.002)
    assert len(watch.timing.seconds) == stopwatch.BLOCKS
    begin = did.index("reset")
    assert did[:begin] == ["wait"] * begin
    assert did[begin:] == ["reset", *["event"] * (stopwatch.BLOCKS + 1), "wait"]


def test_long_steps_are_timed_in_three_blocks_at_least(numbered, clock):
    def loss(step):
        clock[0] += 100.0

    watch = Stopwatch(seconds=1.0)
    one_weight(numbered(12, 4), watch, loss=loss)
    assert len(watch.timing.seconds) == 3
    assert watch.timing.steps == 1


def test_a_stopped_training_took_no_step_more(numbered):
    """Each block is made of its own steps: none is missing, none is timed twice."""
    seen = []
    watch = Stopwatch(steps=30)
    one_weight(numbered(12, 4), watch, loss=lambda step: seen.append(step.index))
    timing = watch.timing
    assert len(seen) == timing.warm_up + timing.steps * len(timing.seconds)
    assert all(b == a + 1 for a, b in pairwise(seen))


# --- ceilings ----------------------------------------------------------------


def test_the_lower_ceiling_is_the_bound():
    device = Ceilings(flops=100.0, bytes=20.0)
    assert device.ridge == 5
    products, sums = Cost(600, 100, {}), Cost(200, 100, {})
    assert device.bound(products) == "compute"
    assert device.least_seconds(products) == 6
    assert device.bound(sums) == "memory"
    assert device.least_seconds(sums) == 5


def test_the_highest_of_several_measurements_is_the_ceiling():
    assert Ceilings(2.0, 5.0).highest(Ceilings(3.0, 4.0)) == Ceilings(3.0, 5.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ceilings_are_measured_in_the_precision_asked_for(monkeypatch, precision):
    monkeypatch.setattr(ceilings, "LEAST", 32)
    monkeypatch.setattr(ceilings, "MOST", 64)
    monkeypatch.setattr(ceilings, "COPIED", 2**16)
    seen, mm = set(), torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: seen.add(a.dtype) or mm(a, b, out=out))
    found = ceilings.measure_ceilings("cpu", precision, seconds=0.0)
    assert seen == {torch.float32 if precision == "fp32" else torch.bfloat16}
    assert 0 < found.flops < math.inf
    assert 0 < found.bytes < math.inf


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="fp32 or bf16, got 'fp16'"):
        ceilings.measure_ceilings("cpu", "fp16")


# --- the command --------------------------------------------------------------

TINY_DIGITS = [
    "--steps",
    "3",
    "--seconds",
    "0.1",
    "--batch-size",
    "4",
    "--device",
    "cpu",
    "--threads",
    "1",
]


def test_every_recipe_and_every_model_of_pixels_is_measured_unless_some_are_named():
    names = [job.name for job in bench.jobs(device="cpu")]
    assert names == ["vae", "vqvae", "gan", *MODELS]
    assert {job.recipe for job in bench.jobs(["pixel"])} == {"pixel"}
    assert [job.name for job in bench.jobs(["row-lstm", "vae", "pixel"])][:2] == ["row-lstm", "vae"]
    assert len(bench.jobs(["row-lstm", "vae", "pixel"])) == 1 + len(MODELS)
    assert [job.config.batch_size for job in bench.jobs(["gan"], batch_size=7)] == [7]
    # There is no GAN and no VQ-VAE for faces: by default they are left out, by name refused.
    assert {job.recipe for job in bench.jobs(data="faces")} == {"vae", "pixel"}
    with pytest.raises(RunError, match="no settings for 'faces'"):
        bench.jobs(["vae", "gan"], data="faces")
    with pytest.raises(RunError, match="no recipe or model 'vea'; there are: vae, vqvae, gan"):
        bench.jobs(["vea"])


@pytest.fixture
def quick_ceilings(monkeypatch):
    """A device of 10 GFLOP/s and 5 GB/s."""
    monkeypatch.setattr(bench, "measure_ceilings", lambda *_: Ceilings(1e10, 5e9))


def test_a_row_holds_what_was_measured_and_what_follows_from_it(quick_ceilings):
    work = bench.jobs(["gan"], batch_size=4, device="cpu", threads=1)
    (content,) = bench.measured(work, steps=8, fresh=False)
    (row,) = content["rows"]
    assert row["images_a_step"] == 8  # a batch for each player
    assert row["steps"] % 8 == 0
    assert row["warm_up"] % 8 == 0
    assert row["images_a_second"] == pytest.approx(8 / row["seconds_a_step"])
    assert row["flops_a_second"] == pytest.approx(row["flops_a_step"] / row["seconds_a_step"])
    assert row["share_of_product"] == pytest.approx(row["flops_a_second"] / 1e10)
    assert row["share_of_copy"] == pytest.approx(row["bytes_a_step"] / row["seconds_a_step"] / 5e9)
    assert row["intensity"] == pytest.approx(row["flops_a_step"] / row["bytes_a_step"])
    assert row["bound"] == ("compute" if row["intensity"] > 2 else "memory")
    assert row["share_of_bound"] == pytest.approx(
        max(row["share_of_product"], row["share_of_copy"])
    )
    assert row["not_counted"] == []
    players = gan.build(work[0].config, (1, 8, 8), 17).model.players.values()
    assert row["parameters"] == sum(p.numel() for player in players for p in player.parameters())
    json.dumps(content)


def test_shares_are_of_the_highest_ceilings_that_were_seen(monkeypatch):
    seen = iter([Ceilings(1e10, 5e9), Ceilings(2e10, 4e9)])
    monkeypatch.setattr(bench, "measure_ceilings", lambda *_: next(seen))
    work = bench.jobs(["vae", "pixel-lstm"], batch_size=4, device="cpu", threads=1)
    *_, content = bench.measured(work, steps=3, fresh=False)
    assert content["ceilings"] == {"fp32": {"flops": 2e10, "bytes": 5e9}}
    for row in content["rows"]:
        assert row["share_of_product"] == pytest.approx(row["flops_a_second"] / 2e10)


def test_as_many_threads_as_a_run_would_take(monkeypatch, quick_ceilings):
    asked, real = [], bench.speed_of_run

    def one_thread(config, *run):  # others would stay behind in this process
        asked.append((config.threads, *run[-2:]))
        return real(replace(config, threads=1), *run)

    monkeypatch.setattr(bench, "speed_of_run", one_thread)
    (job,) = bench.jobs(["vae"], batch_size=4, device="cpu")
    assert bench.measure(job, steps=3)["threads"] == 1
    assert asked == [(0, vae.build, vae.forward)]


def test_what_disturbed_the_measurement_is_said(quick_ceilings):
    work = bench.jobs(["vae"], batch_size=4, device="cpu", threads=1)
    (content,) = bench.measured(work, steps=3, fresh=False)
    (row,) = content["rows"]
    assert 0 < row["processor_share"] < 1.1
    warned = {}
    for share, threads in [(0.7, 1), (0.98, 1), (0.7, 2)]:
        row |= {"processor_share": share, "threads": threads}
        lines = bench_command.table(content)
        warned[share, threads] = any("up to 30% of the time" in line for line in lines)
        assert warned[share, threads] == any(line.startswith("vae *") for line in lines)
    assert warned == {(0.7, 1): True, (0.98, 1): False, (0.7, 2): False}


def test_a_model_without_memory_is_named_and_the_others_are_measured(monkeypatch, quick_ceilings):
    def no_memory(*_):
        raise torch.OutOfMemoryError("out of\nmemory")

    monkeypatch.setattr(RECIPES["gan"], "build", no_memory)
    work = bench.jobs(["gan", "vae"], batch_size=4, device="cpu", threads=1)
    *_, content = bench.measured(work, steps=3, fresh=False)
    assert content["not_measured"] == {"gan": "out of memory"}
    assert [row["name"] for row in content["rows"]] == ["vae"]
    assert "gan: not measured: out of memory" in bench_command.table(content)


def test_the_command_prints_a_table_and_leaves_its_figures(tmp_path, capsys, monkeypatch):
    """In a fresh process, as users have it."""
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "vae", *TINY_DIGITS]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    content = json.loads((tmp_path / "runs" / "bench" / "bench.json").read_text("utf-8"))
    assert content["rows"][0]["threads"] == 1
    assert 0 < content["rows"][0]["memory_before_mb"] <= content["rows"][0]["peak_memory_mb"]
    assert out.splitlines()[:-1] == bench_command.table(content)
    assert out.splitlines()[-1] == f"figures: {Path('runs/bench/bench.json')}"
    assert max(map(len, out.splitlines())) <= 100


def test_an_interruption_leaves_what_was_measured(tmp_path, capsys, monkeypatch, quick_ceilings):
    def one_and_no_more(job, *arguments):
        if job.name == "gan":
            raise KeyboardInterrupt
        return bench.measure(job, *arguments)

    monkeypatch.setattr(bench, "_in_fresh_process", one_and_no_more)
    assert main(["bench", "vae", "gan", *TINY_DIGITS, "--out", str(tmp_path)]) != 0
    out, err = capsys.readouterr()
    assert [row["name"] for row in json.loads((tmp_path / "bench.json").read_text())["rows"]] == [
        "vae"
    ]
    assert "\nvae" in out
    assert err.startswith("genlearn: stopped")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vea"], "there is no recipe or model 'vea'"),
        (["--data", "faces", "gan"], "no settings for 'faces'"),
        (["--seconds", "0"], "--seconds must be above 0 and finite, got 0.0"),
        (["--steps", "-1"], "--steps must be at least 0, got -1"),
        (["--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, words, tmp_path, capsys):
    assert main(["bench", *arguments, "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
