"""Real processes: two that train together, and what becomes of both when something befalls one.

They run on the CPU, connected by Gloo. They begin as copies of one process that has imported what
is slow to import: the first start takes several seconds, the others less than one.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import trainings
from torch import Tensor, nn

from genlearn import cli
from genlearn.errors import Interrupted, ProcessError, RunError
from genlearn.processes import launch
from genlearn.training import Callback, Training

SMALL = [
    "train", "vae", "--data", "digits", "--hidden", "8", "--latent-dim", "2",
    "--pixel-features", "0", "--batch-size", "8", "--evaluate-every", "1000000",
    "--checkpoint-every", "50", "--device", "cpu",
]  # fmt: skip


def of_two(function, *arguments):
    """Call a function in two processes; return what it returned in the first."""
    return launch(partial(function, *arguments), 2, "cpu")


def counts_batches(name: str) -> bool:
    """Whether something is a running statistic of batch norm, or their counter."""
    return re.search(r"running_(mean|var)$|num_batches_tracked$", name) is not None


def assert_equal_weights(some: dict[str, Tensor], others: dict[str, Tensor], but=lambda _: False):
    assert some.keys() == others.keys()
    for name, weight in some.items():
        assert but(name) or torch.equal(weight, others[name]), name


# --- one training in two processes -------------------------------------------


class Watch(Callback):
    """Keep the statistics of each batch that passes through batch norm, by layer and draw."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[int, list[tuple[Tensor, Tensor]]]] = {}

    def start(self, training: Training) -> None:
        for player, module in training.modules.items():
            for name, layer in module.named_modules():
                if isinstance(layer, nn.BatchNorm2d):
                    draws = self.seen.setdefault(f"{player}.{name}", {})

                    def keep(layer, inputs, draws=draws):
                        variance, mean = torch.var_mean(inputs[0].detach(), (0, 2, 3))
                        draws.setdefault(training.draws, []).append((mean, variance))

                    layer.register_forward_pre_hook(keep)


def test_two_processes_train_as_one_that_accumulates_two_batches():
    """VAE, GAN with both its objectives, PixelCNN and codebook: to the last bit.

    One process scales a loss by 1/2 before it goes backward, two halve the sum of their gradients:
    both are exact. Each figure of the history is the mean over all batches in either case.

    That the two end with equal weights is asserted there.
    """
    two = of_two(trainings.all_families)
    watch = Watch()
    for name, train in trainings.FAMILIES.items():
        one = train(2, [watch] if name == "gan" else [])
        assert_equal_weights(one.weights, two[name].weights, but=counts_batches)
        assert one.rows == two[name].rows
        assert len(one.rows) >= 1

    # The statistics of batch norm go their own way: where one process moves them batch by batch,
    # two move them once, by the mean over the batches which they see at the same time.
    layers = {n: d for n, d in watch.seen.items() if n.startswith(("generator", "discriminator"))}
    assert len(layers) == 3
    for layer, draws in layers.items():
        mean, variance, momentum = 0.0, 1.0, 0.1
        numbers = sorted(draws)
        for first, second in zip(numbers[::2], numbers[1::2], strict=True):
            for one, other in zip(draws[first], draws[second], strict=True):
                mean = mean + momentum * ((one[0] + other[0]) / 2 - mean)
                variance = variance + momentum * ((one[1] + other[1]) / 2 - variance)
        found = two["gan"].weights
        torch.testing.assert_close(found[f"{layer}.running_mean"], mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found[f"{layer}.running_var"], variance, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gan", "codebook"])
def test_two_processes_go_on_from_a_checkpoint_as_if_they_had_not_been_interrupted(name, tmp_path):
    resumed = of_two(trainings.interrupted_and_resumed, name, tmp_path)
    whole = of_two(trainings.FAMILIES[name])
    assert_equal_weights(resumed.weights, whole.weights)
    assert resumed.rows == whole.rows


def test_a_checkpoint_of_two_is_continued_by_one_and_one_of_one_by_two(tmp_path):
    """Draws are counted over all processes, and two batches make an update in either case."""
    whole = trainings.vae(2)
    of_two(trainings.interrupted, "vae", tmp_path / "two")
    by_one = trainings.resumed("vae", tmp_path / "two", accumulate=2)
    trainings.interrupted("vae", tmp_path / "one", accumulate=2)
    by_two = of_two(trainings.resumed, "vae", tmp_path / "one")
    for trained in (by_one, by_two):
        assert_equal_weights(trained.weights, whole.weights)
        assert trained.rows == whole.rows


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_train_as_one_that_accumulates_two_batches():
    one, two = trainings.vae(2, device="cuda"), launch(trainings.vae, 2, "cuda")
    for name, weight in one.weights.items():
        torch.testing.assert_close(two.weights[name], weight, rtol=1e-4, atol=1e-5)
    assert two.rows[-1]["vae/loss"] == pytest.approx(one.rows[-1]["vae/loss"], rel=1e-4)


# --- what befalls one, ends both ---------------------------------------------


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("error", RunError, r"^rank 1: this cannot be used; choose another$"),
        ("bug", ZeroDivisionError, r"^this is a bug$"),
        ("killed", ProcessError, r"^rank 1 was killed by SIGKILL; the other processes were ended"),
    ],
)
def test_a_process_that_fails_ends_the_other_and_says_why(what, error, message, tmp_path):
    """A bug keeps its traceback, as the cause of what is raised here."""
    began = time.monotonic()
    with pytest.raises(error, match=message) as raised:
        of_two(trainings.unlucky, what, os.getpid(), tmp_path)
    assert time.monotonic() - began < 20
    if what == "bug":
        assert "in after_step" in str(raised.value.__cause__)


def test_sigterm_reaches_all_processes_and_one_checkpoint_is_written(tmp_path):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are heard in the main thread alone")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted, match=r"^stopped by SIGTERM after step \d+$") as raised:
            of_two(trainings.unlucky, "signal", os.getpid(), tmp_path)
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert raised.value.number == signal.SIGTERM
    written = [path.name for path in tmp_path.glob("checkpoint-*")]
    assert written == [f"checkpoint-{raised.value.step:06d}"]


# --- the command -------------------------------------------------------------


def test_a_command_killed_and_continued_under_torchrun_ends_as_one_left_alone(
    tmp_path, contents, capsys
):
    """SIGKILL of the process that started the others: they end, or the folder would be theirs."""

    def options(folder: Path, *more: str) -> list[str]:
        return [*SMALL, "--steps", "150", "--out", str(folder), *more]

    command = ["-m", "genlearn.cli", *options(tmp_path / "killed", "--devices", "2")]
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("checkpoint-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()

    whole = options(tmp_path / "whole", "--devices", "2")
    assert cli.main(whole) == 0
    capsys.readouterr()
    assert cli.main(whole) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"genlearn: rank 0: {tmp_path / 'whole'}: holds a run; ")

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = ["-m", "genlearn.cli", *options(tmp_path / "killed", "--resume")]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("samples: ") == 1  # the first process alone speaks
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
