"""The training loop, on problems small enough to be followed by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from genlearn.data import Batches, Split
from genlearn.devices import pick_device
from genlearn.errors import TrainingError
from genlearn.history import History
from genlearn.models import VAE
from genlearn.nets import mlp
from genlearn.throughput import Throughput
from genlearn.training import Callback, Objective, Step, Training, evaluating, fit


class Number(nn.Module):
    """One parameter in float64."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


def descend(module, loss, lr=1.0, name="player", **options) -> Objective:
    """Plain gradient descent, by which an update is value - lr · gradient."""
    return Objective(name, loss, torch.optim.SGD(module.parameters(), lr=lr), **options)


def pixels(step) -> list[int]:
    return step.batch[0].flatten().tolist()


@pytest.fixture
def batches(numbered) -> Batches:
    return numbered(12, 4)


# --- whose gradient ----------------------------------------------------------


def test_a_gradient_touches_its_own_players_parameters_alone(batches):
    x, y = Number(2.0), Number(3.0)
    y.value.grad = torch.tensor(7.0, dtype=torch.float64)
    fit({"x": x, "y": y}, [descend(x, lambda step: x.value * y.value)], batches, 1)
    assert x.value.item() == 2 - 3  # the gradient in x is y
    assert (y.value.item(), y.value.grad.item()) == (3, 7)


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_a_bilinear_game_follows_the_iterates_computed_by_hand(batches, order):
    """Of x · y, x goes down and y up. Simultaneous play leaves the circle, alternating stays."""
    x, y, lr = 1.0, 0.5, 0.1
    first, second = Number(x), Number(y)
    objectives = [
        descend(first, lambda step: first.value * second.value, lr, "x"),
        descend(second, lambda step: -first.value * second.value, lr, "y"),
    ]
    fit({"x": first, "y": second}, objectives, batches, 100, order=order)
    for _ in range(100):
        if order == "simultaneous":
            x, y = x - lr * y, y + lr * x
        else:
            x = x - lr * y
            y = y + lr * x
    assert first.value.item() == pytest.approx(x, abs=1e-12)
    assert second.value.item() == pytest.approx(y, abs=1e-12)
    assert (math.hypot(x, y) > 1.8) == (order == "simultaneous")  # it began at 1.1


# --- which batches -----------------------------------------------------------


def test_every_repeat_draws_a_fresh_batch_and_every_leaves_steps_out(batches):
    critic, player, drawn = Number(), Number(), []

    def loss(name, module):
        def keep(step):
            drawn.append((step.index, name, pixels(step)))
            return module.value

        return keep

    objectives = [
        descend(critic, loss("critic", critic), name="critic", repeat=2),
        descend(player, loss("player", player), name="player", every=2),
    ]
    fit({"critic": critic, "player": player}, objectives, batches, 3)
    turns = [(0, "critic")] * 2 + [(0, "player")] + [(1, "critic")] * 2 + [(2, "critic")] * 2
    turns += [(2, "player")]
    assert [row[:2] for row in drawn] == turns
    assert [row[2] for row in drawn] == [batches.at(k)[0].flatten().tolist() for k in range(8)]
    assert (critic.value.item(), player.value.item()) == (-6, -2)


def test_two_accumulated_halves_equal_one_batch(numbered):
    """The order does not depend on the size, so draws 2k and 2k + 1 are the halves of draw k."""

    def trained(size, accumulate):
        slope = Number()
        loss = lambda step: (slope.value * step.batch[0] - 3).square().mean()
        fit(
            {"slope": slope},
            [descend(slope, loss, lr=0.01)],
            numbered(12, size),
            7,
            accumulate=accumulate,
        )
        return slope.value.item()

    assert trained(2, accumulate=2) == pytest.approx(trained(4, accumulate=1), rel=1e-12)
    assert trained(2, accumulate=1) != pytest.approx(trained(4, accumulate=1), rel=1e-3)


def test_a_subclass_of_batches_is_kept(batches):
    class Doubled(Batches):
        def at(self, k, rank=0, world=1):
            return tuple(2 * tensor for tensor in super().at(k, rank, world))

    module, seen = Number(), []
    loss = lambda step: seen.append(pixels(step)) or module.value
    fit({"m": module}, [descend(module, loss)], Doubled(batches.split, 4), 1)
    assert seen == [[2 * number for number in batches.at(0)[0].flatten().tolist()]]


# --- what an update does -----------------------------------------------------


@pytest.mark.parametrize(("clip", "length"), [(1.0, 1.0), (10.0, 5.0), (None, 5.0)])
def test_clipping_shortens_a_long_gradient_and_keeps_its_direction(batches, clip, length):
    """The gradient is (3, 4), of length 5; it spans two parameters."""
    module = nn.ParameterList([torch.zeros(1, dtype=torch.float64) for _ in range(2)])
    loss = lambda step: (3 * module[0] + 4 * module[1]).sum()
    fit({"m": module}, [descend(module, loss)], batches, 1, clip=clip)
    moved = [-parameter.item() for parameter in module]
    assert moved == pytest.approx([3 * length / 5, 4 * length / 5], rel=1e-5)


def test_the_schedule_advances_with_each_update(batches):
    """The rate halves after each of the six updates of three steps."""
    module = Number()
    objective = descend(module, lambda step: module.value, repeat=2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(objective.optimizer, 0.5)
    fit({"m": module}, [replace(objective, schedule=schedule)], batches, 3)
    assert module.value.item() == -(1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16 + 1 / 32)


def test_after_step_follows_each_update(batches):
    """Weights clipped to [-1.5, 1.5], as in the first Wasserstein GAN."""
    module, seen = Number(), []

    def clip_weights():
        seen.append(module.value.item())
        module.value.data.clamp_(-1.5, 1.5)

    objective = descend(module, lambda step: module.value, repeat=2, after_step=clip_weights)
    fit({"m": module}, [objective], batches, 2)
    assert seen == [-1, -2, -2.5, -2.5]
    assert module.value.item() == -1.5


# --- what is logged ----------------------------------------------------------


def test_all_values_of_a_loss_are_logged_as_means_since_the_row_before(batches):
    module = Number()

    def loss(step):
        # The gradient is zero; the values are those of the step.
        return {"loss": 0 * module.value + step.index, "square": torch.tensor(step.index**2.0)}

    history = fit({"m": module}, [descend(module, loss)], batches, 5, log_every=2)
    assert history.rows == [
        {"step": 2, "player/loss": 0.5, "player/square": 0.5},
        {"step": 4, "player/loss": 2.5, "player/square": 6.5},
        {"step": 5, "player/loss": 4.0, "player/square": 16.0},
    ]
    assert history.names() == ["player/loss", "player/square"]
    assert history.series("player/loss") == ([2, 4, 5], [0.5, 2.5, 4.0])


def test_a_plain_number_may_be_logged(batches):
    module = Number()
    loss = lambda step: {"beta": 0.5, "loss": 1 * module.value}
    history = fit({"m": module}, [descend(module, loss)], batches, 2)
    assert history.rows == [{"step": 2, "player/beta": 0.5, "player/loss": -0.5}]


@pytest.mark.parametrize("key", ["loss", "rate"])
def test_a_vector_is_refused_at_once(batches, key):
    module = Number()
    loss = lambda step: {"loss": module.value} | {key: module.value.expand(3)}
    with pytest.raises(ValueError, match=rf"^player/{key} must be a scalar, got shape \(3,\)$"):
        fit({"m": module}, [descend(module, loss)], batches, 2)
    assert module.value.item() == 0


def test_what_holds_tensors_can_be_compared(batches):
    """Each is equal to itself alone; PyTorch has no single answer for two tensors."""
    steps = [Step(0, batches.at(0), torch.default_generator) for _ in range(2)]
    module = Number()
    first = descend(module, module.forward)
    objectives = [first, replace(first)]
    trainings = [Training({}, objectives, 1, pending=[("a", 0, torch.ones(2))]) for _ in range(2)]
    splits = [batches.split, replace(batches.split)]
    for one, other in (steps, objectives, trainings, splits):
        assert one == one
        assert one != other


def test_a_name_that_was_not_logged_is_answered_with_those_that_were():
    history = History([{"step": 1, "vae/loss": 2.0}])
    with pytest.raises(KeyError, match="'gan/loss' was not logged; there are: vae/loss"):
        history.series("gan/loss")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("key", ["loss", "rate"])
def test_the_first_value_that_is_not_finite_ends_the_training(batches, key, value):
    """Named with its step, though read at the next log point only; all callbacks are finished."""
    module, other, finished = Number(), Number(), []

    def loss(step):
        values = {"loss": module.value, "rate": torch.tensor(1.0)}
        return values | {key: module.value + value} if step.index >= 3 else values

    class Finish(Callback):
        def finish(self, training):
            finished.append(training.step)

    with pytest.raises(TrainingError, match=rf"^vae/{key} is (nan|-?inf) at step 3; lower"):
        fit(
            {"m": module, "other": other},
            [
                descend(other, lambda step: other.value, name="fine"),
                descend(module, loss, name="vae"),
            ],
            batches,
            10,
            log_every=5,
            callbacks=[Finish()],
        )
    assert finished == [5]
    assert not module.training


# --- randomness --------------------------------------------------------------


def noisy(seed=0, steps=30, callbacks=(), **options) -> torch.Tensor:
    """Train a small VAE with dropout and its own noise; return all weights as one vector."""
    torch.manual_seed(5)
    vae = VAE.mlp((1, 2, 2), 3, latent_dim=2, hidden=(8,), dropout=0.5)
    images = torch.arange(3, dtype=torch.uint8).repeat(16).view(12, 1, 2, 2)
    objective = Objective(
        "vae", lambda step: -vae.elbo(*step.batch).mean(), torch.optim.Adam(vae.parameters(), 0.01)
    )
    torch.manual_seed(options.pop("outer_seed", 0))
    batches = Batches(Split(images, None, 3), 5)
    fit({"vae": vae}, [objective], batches, steps, seed=seed, callbacks=callbacks, **options)
    return nn.utils.parameters_to_vector(vae.parameters()).detach()


class Disturb(Callback):
    """Draw random numbers between steps."""

    def after_step(self, training):
        torch.rand(training.step)


def test_the_seed_alone_decides():
    """Neither the state of the generators before, nor what callbacks draw, matters."""
    reference = noisy(seed=3)
    assert torch.equal(noisy(seed=3, outer_seed=99, callbacks=[Disturb()]), reference)
    assert not torch.equal(noisy(seed=4), reference)


def test_each_draw_has_its_own_dropout_and_noise(batches):
    """Also draws of the same step."""
    module, drawn = Number(), []
    loss = lambda step: drawn.append(torch.rand(1).item()) or module.value
    fit({"m": module}, [descend(module, loss, repeat=2)], batches, 10, accumulate=2)
    assert len(set(drawn)) == 40


def test_the_steps_generator_is_the_one_dropout_uses(batches):
    module, drawn = Number(), []

    def loss(step):
        state = step.generator.get_state()
        first = torch.rand(1, generator=step.generator)
        step.generator.set_state(state)
        drawn.append((first.item(), torch.rand(1).item()))
        return module.value

    fit({"m": module}, [descend(module, loss)], batches, 2, device="cpu")
    assert all(first == second for first, second in drawn)


@pytest.mark.parametrize("fails", [False, True])
def test_the_global_generator_is_left_as_it_was(batches, fails):
    module = Number()
    before = torch.get_rng_state()
    loss = lambda step: module.value + (math.nan if fails else torch.rand(()))
    try:
        fit({"m": module}, [descend(module, loss)], batches, 3)
        assert not fails
    except TrainingError:
        assert fails
    assert torch.equal(torch.get_rng_state(), before)


# --- modes, precision, devices -----------------------------------------------


def test_networks_train_in_training_mode_and_are_left_in_evaluation_mode(batches):
    module, modes = mlp((1, 2, 1), dropout=0.5).eval(), []

    def loss(step):
        modes.append((module.training, module[2].training))
        return module(step.batch[0].float().flatten(1)).mean()

    fit({"m": module}, [descend(module, loss, lr=1e-3)], batches, 2)
    assert modes == [(True, True)] * 2
    assert not module.training
    assert not module[2].training


def test_evaluating_goes_back_to_the_mode_before_also_after_an_error():
    module, frozen = mlp((1, 1)).train(), mlp((1, 1)).eval()
    with evaluating(module, frozen):
        assert not module.training
        assert not torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), evaluating(module, frozen):
        raise ZeroDivisionError
    assert module.training
    assert not frozen.training
    assert torch.is_grad_enabled()


def test_bf16_stays_near_fp32_but_is_another_arithmetic():
    exact, rounded = noisy(precision="fp32"), noisy(precision="bf16")
    start = noisy(steps=0)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < 0.1 * (exact - start).norm()


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch):
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    for cuda, mps, expected in [(1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu"), (1, 0, "cuda")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=cuda: bool(found))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda found=mps: bool(found))
        assert pick_device("auto") == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpu", "device 'gpu' is unknown; choose auto, cpu, cuda or mps"),
        ("meta", "unknown"),
        ("cpu:3", "device 'cpu:3' is unknown"),
        ("", "unknown"),
        ("cuda:99", "device 'cuda:99' cannot be used"),
        ("cuda:one", "cannot be used"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(batches, name, words):
    module = Number()
    with pytest.raises(TrainingError, match=words) as caught:
        fit({"m": module}, [descend(module, lambda step: module.value)], batches, 1, device=name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fast", [False, True])
def test_the_host_waits_for_the_device_at_log_points_alone(fast, tmp_path):
    """PyTorch raises an error at any wait that this mode finds; log points are let through."""
    torch.manual_seed(0)
    vae = VAE.conv((1, 8, 8), 17, channels=(8, 16), dropout=0.2).cuda()
    images = torch.randint(17, (100, 1, 8, 8), dtype=torch.uint8)
    optimizer = torch.optim.AdamW(vae.parameters(), 1e-3, fused=fast)
    settings = {"precision": "bf16", "channels_last": True, "accumulate": 2} if fast else {}
    objective = Objective("vae", lambda step: -vae.elbo(*step.batch).mean(), optimizer)

    class Watch(Callback):
        def start(self, training):
            training.log, self.log = self.let_through, training.log
            torch.cuda.set_sync_debug_mode("error")

        def let_through(self):
            torch.cuda.set_sync_debug_mode("default")
            self.log()
            torch.cuda.set_sync_debug_mode("error")

        def finish(self, training):
            torch.cuda.set_sync_debug_mode("default")

    batches = Batches(Split(images, None, 17), 32)
    callbacks = [Watch(), Throughput(tmp_path, 32, 10)]
    options = {"log_every": 10, "clip": 1.0, "callbacks": callbacks, **settings}
    fit({"vae": vae}, [objective], batches, 20, **options)


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "simultanous"}, "alternating or simultaneous, got 'simultanous'"),
        ({"precision": "fp16"}, "fp32 or bf16, got 'fp16'"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"log_every": 0}, "log_every must be at least 1, got 0"),
    ],
)
def test_settings_that_do_not_exist_are_refused(batches, options, words):
    module = Number()
    with pytest.raises(ValueError, match=words):
        fit({"m": module}, [descend(module, lambda step: module.value)], batches, 1, **options)
    assert module.value.item() == 0


@pytest.mark.parametrize("setting", ["repeat", "every"])
def test_an_objective_that_never_acts_is_refused(batches, setting):
    module = Number()
    objective = descend(module, lambda step: module.value, **{setting: 0})
    with pytest.raises(ValueError, match=f"^player: {setting} must be at least 1, got 0$"):
        fit({"m": module}, [objective], batches, 1)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"name": "a"}, {"name": "a"}, "have the same name"),
        ({"name": "a", "repeat": 2}, {"name": "b"}, "have repeat=1"),
        ({"name": "a"}, {"name": "b", "shared": True}, "share nothing"),
    ],
)
def test_games_that_cannot_be_played_are_refused(batches, first, second, words):
    x, y = Number(), Number()
    other = x if second.pop("shared", False) else y
    objectives = [
        descend(x, lambda step: x.value, **first),
        descend(other, lambda step: other.value, **second),
    ]
    with pytest.raises(ValueError, match=words):
        fit({"x": x, "y": y}, objectives, batches, 1, order="simultaneous")
