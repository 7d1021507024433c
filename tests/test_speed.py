"""What is switched on for a device, and that it changes nothing but the time."""

import copy
import io

import pytest
import torch
from torch import nn

from genlearn import speed
from genlearn.data import Batches, Split
from genlearn.errors import TrainingError
from genlearn.models import VAE
from genlearn.speed import (
    channels_last_,
    check_compiler,
    check_gradients,
    choose_speed,
    choose_threads,
    compile_,
    step_work,
)
from genlearn.training import Callback, Objective, evaluating, fit

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


# --- what is chosen ----------------------------------------------------------


@pytest.mark.parametrize(
    ("gflop", "cores", "device", "threads", "why"),
    [
        (0.1, 8, CPU, 1, "a step is small: 0.1 GFLOP"),
        (0.49, 8, CPU, 1, "a step is small: 0.49 GFLOP"),
        (0.5, 8, CPU, 2, "a step has work for them: 0.5 GFLOP"),
        (2, 8, CPU, 4, "a step has work for them: 2 GFLOP"),
        (2, 2, CPU, 2, "a step has work for them: 2 GFLOP"),
        (100, 8, CPU, 8, "a step has work for them: 1e+02 GFLOP"),
        (100, 1, CPU, 1, "one core"),
        (100, 0, CPU, 1, "one core"),  # more processes than cores
        (100, 8, CUDA, 1, "the CPU hands out the work"),
    ],
)
def test_there_are_as_many_threads_as_there_is_work(gflop, cores, device, threads, why):
    assert choose_threads(gflop * 1e9, cores, device) == (threads, why)


def test_no_more_cores_are_used_than_are_given(monkeypatch):
    """By the system, by a container, and by the variable that all programs of this kind read."""
    monkeypatch.setattr(speed.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(speed, "_container_cores", lambda: 1_000_000)
    for value, expected in (("", 8), ("3", 3), ("12", 8), ("0", 1), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert speed.cores() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(speed, "_container_cores", lambda: 2)
    assert speed.cores() == 2


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000", 2), ("max 100000", 1_000_000), ("", 1_000_000)]
)
def test_the_limit_of_a_container_is_read(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert speed._container_cores(tmp_path / "cpu.max") == cores
    assert speed._container_cores(tmp_path / "missing") == 1_000_000


def test_on_a_cpu_networks_stay_as_they_are(monkeypatch):
    """bf16 would make runs differ from CPU to CPU; it is said where it might be faster."""
    monkeypatch.setattr(speed, "_has_amx", lambda: False)
    chosen = choose_speed(CPU, work=1e8)
    assert (chosen.precision, chosen.channels_last, chosen.compile) == ("fp32", False, False)
    assert str(chosen).startswith("cpu, 1 thread (")
    assert str(chosen).endswith("fp32 (as on every CPU), fused AdamW")
    monkeypatch.setattr(speed, "_has_amx", lambda: True)
    assert "fp32 (as on every CPU; bf16 may be faster" in str(choose_speed(CPU))


@pytest.mark.parametrize("has_bf16", [True, False])
def test_on_cuda_bf16_brings_the_order_of_memory_that_it_likes(monkeypatch, has_bf16):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A Card")
    chosen = choose_speed(CUDA, work=1e12)
    assert (chosen.precision, chosen.channels_last) == (("fp32", "bf16")[has_bf16], has_bf16)
    words = "bf16 (the device computes in it), channels last (for bf16)"
    end = words if has_bf16 else "fp32 (the device has no bf16)"
    assert str(chosen) == f"A Card, 1 thread (the CPU hands out the work), {end}, fused AdamW"


def test_what_is_asked_for_is_taken_as_it_is():
    chosen = choose_speed(
        CPU, precision="bf16", channels_last="on", compile=True, threads=3, work=1.0
    )
    assert (chosen.threads, chosen.precision) == (3, "bf16")
    assert chosen.channels_last
    assert chosen.compile
    assert str(chosen) == (
        "cpu, 3 threads (as asked), bf16 (as asked), channels last (as asked), "
        "compiled networks (as asked), fused AdamW"
    )


def test_the_work_of_a_step_is_that_of_its_products():
    """Two operations for each weight and place that it is used at; three passes."""
    net = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 7 * 7, 4))
    work = step_work(lambda: net(torch.zeros(6, 2, 7, 7)))
    assert work == 3 * 2 * 6 * (5 * 2 * 9 * 7 * 7 + 5 * 7 * 7 * 4)
    with torch.device("meta"):
        empty = copy.deepcopy(net).to("meta")
        assert step_work(lambda: empty(torch.zeros(6, 2, 7, 7))) == work


# --- the order of memory -----------------------------------------------------


def trained(steps=6, channels_last=False, state=None, **options):
    """Train a small convolutional VAE with a fused optimiser; return model and its state."""
    torch.manual_seed(0)
    vae = VAE.conv((1, 8, 8), 17, latent_dim=3, channels=(8, 16))
    optimizer = torch.optim.AdamW(vae.parameters(), 1e-2, fused=True)
    images = torch.randint(17, (60, 1, 8, 8), dtype=torch.uint8)
    objective = Objective("vae", lambda step: -vae.elbo(*step.batch).mean(), optimizer)
    last = []

    class Carry(Callback):
        def start(self, training):
            if state:
                weights, rest = state
                vae.load_state_dict(weights)
                rest.seek(0)
                training.load_state_dict(torch.load(rest, weights_only=True))
            last.append(training)

    options = {"channels_last": channels_last, "device": "cpu", "callbacks": [Carry()], **options}
    fit({"vae": vae}, [objective], Batches(Split(images, None, 17), 10), steps, **options)
    file = io.BytesIO()
    torch.save(last[0].state_dict(), file)
    return vae, (vae.state_dict(), file)


def assert_close(one: nn.Module, other: nn.Module) -> None:
    weights = [dict(model.named_parameters()) for model in (one, other)]
    torch.testing.assert_close(*weights, rtol=2e-3, atol=2e-4)


def test_channels_last_is_another_order_and_the_same_training():
    (plain, _), (other, _) = trained(), trained(channels_last=True)
    conv = next(
        part for part in other.modules() if isinstance(part, nn.Conv2d) and part.in_channels > 1
    )
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not conv.weight.is_contiguous()
    assert list(other.state_dict()) == list(plain.state_dict())
    assert_close(plain, other)


def test_what_convolutions_give_is_in_their_order_too():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.ConvTranspose2d(8, 4, 2, 2))
    channels_last_(net)
    output = net(torch.randn(2, 3, 6, 6))
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_run_goes_on_in_the_other_order(channels_last):
    """As when a GPU's run goes on without a GPU: the fused step must not mix up the elements."""
    _, state = trained(3, channels_last)
    resumed, _ = trained(6, not channels_last, state)
    assert_close(trained(6)[0], resumed)


# --- compiled networks -------------------------------------------------------


class Own(nn.Module):
    """A network with a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Tanh())

    def forward(self, x):
        return 2 * self.body(x)


@pytest.mark.parametrize("make", [Own, lambda: Own().body], ids=["own", "sequential"])
def test_a_network_is_compiled_whole_and_its_names_stay(make):
    """Also a Sequential, which ``Module.compile`` alone would leave as it is."""
    network, graphs = make(), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    plain, x = copy.deepcopy(network), torch.randn(5, 3)
    compile_([network], backend)
    output = network(x)
    assert len(graphs) == 1
    assert sum("tanh" in str(node.target).lower() for node in graphs[0].graph.nodes) == 1
    assert torch.equal(output, plain(x))
    assert list(network.state_dict()) == list(plain.state_dict())
    assert torch.equal(copy.deepcopy(network)(x), output)


def test_many_networks_are_compiled_each_for_training_and_for_evaluation():
    """PyTorch's own limit is eight times for all of them; then it computes uncompiled."""
    networks, graphs = [nn.Sequential(nn.Linear(2, size)) for size in range(1, 6)], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compile_(networks, backend)
    for network in networks:
        network(torch.randn(3, 2))
        with evaluating(network):
            network(torch.randn(3, 2))
    assert len(graphs) == 10


def test_a_missing_compiler_is_one_line_before_the_first_step(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(
        TrainingError, match=r"no compiler\); install a C\+\+ compiler, or"
    ) as error:
        trained(compile=[nn.Linear(1, 1)])
    assert "\n" not in str(error.value)
    with pytest.raises(TrainingError):
        check_compiler(CPU)


def test_what_would_be_compiled_wrongly_is_refused(monkeypatch):
    """On a CPU, in bf16, no gradient passes a compiled Upsample; all else is let pass."""
    monkeypatch.setattr(torch, "compile", lambda function: function)  # as if it worked
    networks = [nn.Linear(1, 1), nn.Sequential(nn.Upsample((4, 4)), nn.Conv2d(1, 1, 3))]
    with pytest.raises(TrainingError, match="wrong gradients from PyTorch; choose fp32, or leave"):
        trained(compile=networks, precision="bf16")
    check_gradients(networks[:1], CPU, "bf16")
    check_gradients(networks, CPU, "fp32")
    check_gradients(networks, CUDA, "bf16")
