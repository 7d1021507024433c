"""GANs on the plane: what each stabiliser changes, and that a run can be repeated and resumed."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from genlearn.callbacks import Checkpoint
from genlearn.errors import RunError
from genlearn.recipes import plane_gan
from genlearn.training import Callback

TINY = {"steps": 3, "batch_size": 16, "hidden": (16,), "discriminator_hidden": (16,)}


def weights(gan):
    return [p.detach().clone() for p in gan.parameters()]


def differ(one, two):
    return any(not torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", plane_gan.STABILISERS)
def test_every_stabiliser_trains_both_players_and_is_no_other_one(name):
    config = plane_gan.config("grid", name, **TINY)
    first, (gan, history) = weights(plane_gan.build(config)), plane_gan.train(config)
    assert differ(first, weights(gan))
    assert "generator/loss" in history.names()
    assert plane_gan.evaluate(config, gan, samples=100).of == 25
    if name != "plain":
        other = plane_gan.train(plane_gan.config("grid", **TINY)).gan
        assert len(weights(other)) != len(weights(gan)) or differ(weights(other), weights(gan))


def test_a_run_can_be_repeated_and_depends_on_its_seed():
    config = plane_gan.config("ring", **TINY)
    one, two = (weights(plane_gan.train(config).gan) for _ in range(2))
    assert not differ(one, two)
    assert differ(one, weights(plane_gan.train(replace(config, seed=1)).gan))


class Noted(Callback):
    """Keep what a test wants to see after each step."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def after_step(self, training):
        self.seen.append(self.look(training))


class Killed(Exception):
    """What stops a training in a test."""


def stop(training):
    if training.step == 5:
        raise Killed


def test_a_run_with_an_average_resumes_exactly(tmp_path):
    """Weights, average, rates along their cosine, and the falling weight of the penalty."""
    config = plane_gan.config("ring", plane_gan.WINNERS[0], **{**TINY, "steps": 8})
    whole = plane_gan.train(config).gan
    with pytest.raises(Killed):
        plane_gan.train(config, [Checkpoint(tmp_path, 4), Noted(stop)])
    seen = Noted(lambda training: training.step)
    resumed = plane_gan.train(config, [Checkpoint(tmp_path, 4, resume=True), seen]).gan
    assert seen.seen == [5, 6, 7, 8]
    assert not differ(weights(whole), weights(resumed))


def test_the_generator_that_counts_is_the_average():
    seen = Noted(lambda training: weights(training.modules["average"]))
    gan = plane_gan.train(plane_gan.config("ring", "average", **TINY), [seen]).gan
    assert not differ(weights(gan.generator), seen.seen[-1])


def test_the_weight_of_the_penalty_falls_by_the_same_factor_in_each_step():
    config = replace(plane_gan.config("ring", "R1"), weight=0.1, final_weight=0.001, steps=100)
    assert config.weight_at(0) == 0.1
    assert config.weight_at(50) == pytest.approx(0.01)
    assert config.weight_at(100) == pytest.approx(0.001)
    assert replace(config, final_weight=None).weight_at(50) == 0.1


def test_the_scale_of_the_noise_changes_steps_and_not_the_first_map():
    one, three = (plane_gan.config("ring", **TINY, noise_scale=s) for s in (1.0, 3.0))
    z = torch.randn(4, 8)
    maps = [plane_gan.build(config).generator(z) for config in (one, three)]
    torch.testing.assert_close(*maps)
    assert differ(*(weights(plane_gan.train(c).gan.generator) for c in (one, three)))


def logged(name, **changes):
    """Penalty, and losses, of the first step."""
    config = plane_gan.config("ring", name, **{**TINY, "steps": 1, **changes})
    return plane_gan.train(config).history.rows[0]


def test_the_weight_multiplies_the_penalty():
    one, three = (logged("R1", weight=w)["discriminator/penalty"] for w in (1.0, 3.0))
    assert three == pytest.approx(3 * one)
    assert one > 0


def test_r1_and_r2_together_cost_what_both_cost():
    parts = [logged("R1", penalty=p, weight=1.0) for p in ("R1", "R2", "R1 and R2")]
    r1, r2, both = (part["discriminator/penalty"] for part in parts)
    assert both == pytest.approx(r1 + r2, rel=1e-5)


def test_a_lazy_penalty_comes_seldom_and_weighs_more():
    config = plane_gan.config("ring", "R1", **{**TINY, "steps": 4}, lazy=2, weight=1.0)
    history = plane_gan.train(config).history
    assert "discriminator/penalty" not in history.names()
    penalty, *players = plane_gan.objectives(config, plane_gan.build(config))
    assert (penalty.name, penalty.every) == ("penalty", 2)
    assert penalty.optimizer is players[0].optimizer
    eager = logged("R1", weight=1.0)["discriminator/penalty"]
    assert logged("R1", weight=1.0, lazy=4)["penalty/loss"] == pytest.approx(4 * eager, rel=0.2)


def test_clipped_weights_stay_within_their_limit():
    seen = Noted(
        lambda training: max(
            p.abs().max().item() for p in training.modules["discriminator"].parameters()
        )
    )
    plane_gan.train(plane_gan.config("ring", "weight clipping", **TINY, clip_weights=0.03), [seen])
    assert max(seen.seen) <= 0.03


def test_spectral_norm_makes_each_layer_of_the_discriminator_norm_one():
    gan = plane_gan.train(plane_gan.config("ring", "spectral norm", **{**TINY, "steps": 60})).gan
    layers = [m for m in gan.discriminator.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 2
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)
    assert torch.linalg.matrix_norm(gan.generator[1].weight, 2).item() != pytest.approx(1, abs=0.02)


def test_smoothing_is_of_real_data_alone():
    """A discriminator that says nothing pays 2 log 2 with and without it; one that is sure pays."""
    gan = plane_gan.build(plane_gan.config("ring", "label smoothing", smoothing=0.1))
    sure = torch.full((4,), 20.0)
    assert gan.loss.discriminator(sure, -sure).item() == pytest.approx(2.0, rel=1e-5)
    zero = torch.zeros(4)
    assert gan.loss.discriminator(zero, zero).item() == pytest.approx(2 * math.log(2))


def test_the_critic_moves_as_often_as_it_is_told_on_fresh_points():
    config = plane_gan.config("ring", "critic repeats", **TINY, critic_repeats=3, cosine=True)
    seen = Noted(lambda training: training.draws)
    plane_gan.train(config, [seen])
    assert seen.seen == [4, 8, 12]
    critic, generator = plane_gan.objectives(config, plane_gan.build(config))
    assert (critic.schedule.T_max, generator.schedule.T_max) == (9, 3)


def test_rates_of_the_players_are_those_of_the_settings():
    config = plane_gan.config("ring", learning_rate=1e-3, discriminator_rate=5e-3, momentum=0.2)
    critic, generator = plane_gan.objectives(config, plane_gan.build(config))
    for objective, rate in ((critic, 5e-3), (generator, 1e-3)):
        (group,) = objective.optimizer.param_groups
        assert (group["lr"], group["betas"]) == (rate, (0.2, 0.99))


def test_noise_is_not_drawn_from_the_seeds_of_the_data(monkeypatch):
    """Equal seeds would make each noise vector a function of its real point."""
    seeds = {}

    def fit(modules, objectives, batches, steps, **options):
        seeds.update(data=batches.seed, noise=options["seed"])

    monkeypatch.setattr(plane_gan, "fit", fit)
    plane_gan.train(plane_gan.config("ring", **TINY, seed=7))
    assert seeds["noise"] == 7
    assert seeds["data"] != 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "spiral"}, "data must be one of ring, grid, wide-grid"),
        ({"loss": "cross entropy"}, "loss must be one of saturating"),
        ({"penalty": "R3"}, "penalty must be one of none, R1"),
        ({"order": "random"}, "order must be one of alternating"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"average": 1.0}, "average must be at least 0 and below 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"clip_weights": -0.1}, "clip_weights must be at least 0 and finite"),
        ({"weight": 1.0}, "a penalty has a weight above 0, and only"),
        ({"penalty": "R1"}, "a penalty has a weight above 0, and only"),
        ({"final_weight": 1.0}, "without a penalty"),
        ({"penalty": "unit", "weight": 1.0, "lazy": 2}, "only R1 can be lazy"),
        ({"loss": "hinge", "smoothing": 0.1}, "smoothing is for the losses of probabilities"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(RunError, match=words):
        replace(plane_gan.Config(), **changes)


def test_unknown_stabilisers_and_profiles_are_refused():
    with pytest.raises(RunError, match="no stabiliser 'R3'; there are: plain, saturating"):
        plane_gan.config("ring", "R3")
    with pytest.raises(RunError, match="no profile 'slow'; there are: full, quick"):
        plane_gan.config("ring", profile="slow")


def test_the_quick_profile_changes_the_number_of_steps_alone():
    quick, full = (plane_gan.config("ring", "R1 decayed", p) for p in ("quick", "full"))
    assert quick.steps < full.steps
    assert replace(quick, steps=full.steps) == full
