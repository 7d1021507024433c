"""The models whose training is measured: of the usual kinds, small enough for one thread.

Of each, the library's networks and losses, which ``fit`` is given; and the same training written by
hand (the folder ``by_hand``).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from by_hand import gan as gans
from by_hand import pixelcnn
from by_hand import vae as vaes
from by_hand.loop import READ, shuffled
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from genlearn.data import Batches, Draws, Split
from genlearn.distributions import GaussianPixels
from genlearn.losses import ADVERSARIAL_LOSSES, interpolates, unit_gradient_penalty
from genlearn.models import GAN, VAE, gated_pixel_cnn
from genlearn.nets import mlp
from genlearn.speed import channels_last_, compile_
from genlearn.training import Callback, Objective, Step, fit

SWITCHES = ("fused", "channels-last", "bf16", "compile")
"""What may make training faster: the optimiser's arithmetic in one pass, the features of a place
side by side in memory, networks in bfloat16, and networks compiled in place."""
Loss = Callable[[Step], Tensor | dict[str, Tensor]]


@dataclass(eq=False)
class Family:
    """One model with weights of its own, and how it is trained.

    Args:
        shape, levels, batch: of the images.
        networks: by name, as ``fit`` takes them.
        losses: of each network, in the order of the updates.
        by_hand: the whole training without the library, of the same networks on given images.
        adam: learning rate and, where they are not the usual ones, the betas.
        updates: of the first network a step.
        compilable: networks that no gradient penalty differentiates twice.
        turn: steps before another program has its turn.
    """

    shape: tuple[int, int, int]
    levels: int
    batch: int
    networks: dict[str, nn.Module]
    losses: dict[str, Loss]
    by_hand: Callable[[Tensor], Iterator[None]] | None
    adam: tuple = (1e-3,)
    updates: int = 1
    compilable: tuple[nn.Module, ...] = ()
    turn: int = 1

    def images(self) -> Tensor:
        return blots(60_000 if self.shape[0] == 1 else 10_000, self.shape, self.levels)

    @property
    def is_convolutional(self) -> bool:
        """Whether the order of features in memory matters."""
        parts = [part for network in self.networks.values() for part in network.modules()]
        return any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in parts)

    def batches(self, images: Tensor) -> Batches:
        return Batches(Split(images, None, self.levels), self.batch)

    def objectives(self, switches: Collection[str] = ()) -> list[Objective]:
        """What ``fit`` descends."""
        repeats = [self.updates, 1]
        return [
            Objective(name, loss, self.optimizer(name, switches), repeat=repeat)
            for (name, loss), repeat in zip(self.losses.items(), repeats, strict=False)
        ]

    def optimizer(self, name: str, switches: Collection[str] = ()) -> Optimizer:
        parameters = self.networks[name].parameters()
        return torch.optim.Adam(parameters, *self.adam, fused="fused" in switches or None)

    def fit(
        self,
        batches: Batches | Draws,
        steps: int,
        switches: Collection[str] = (),
        callbacks: Sequence[Callback] = (),
        seed: int = 0,
    ) -> None:
        """Train with the library's own loop."""
        fit(
            self.networks,
            self.objectives(switches),
            batches,
            steps,
            precision="bf16" if "bf16" in switches else "fp32",
            channels_last="channels-last" in switches,
            compile=self.compilable if "compile" in switches else (),
            device="cpu",
            seed=seed,
            callbacks=callbacks,
        )

    def own_loop(self, images: Tensor, switches: Collection[str] = ()) -> Iterator[None]:
        """The loop by hand, with the losses of the library; with switches, a faster one."""
        if "channels-last" in switches:
            for network in self.networks.values():
                channels_last_(network)
        if "compile" in switches:
            compile_(self.compilable)
        batches = shuffled(images, self.batch)
        players = []
        for name, loss in self.losses.items():
            times = 1 if players else self.updates
            weights = list(self.networks[name].parameters())
            players += [(loss, weights, self.optimizer(name, switches))] * times
        totals, step = torch.zeros(len(players)), 0
        while True:
            for number, (loss, weights, adam) in enumerate(players):
                adam.zero_grad()
                seen = Step(step, (next(batches),), torch.default_generator)
                with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in switches):
                    value = loss(seen)
                value = value["loss"] if isinstance(value, dict) else value
                value.backward(inputs=weights)
                adam.step()
                totals[number] += value.detach()
            step += 1
            if step % READ == 0:
                totals.tolist()
                totals.zero_()
            yield


def mlp_vae() -> Family:
    """784-400-20-400-784, black and white."""
    vae = VAE.mlp((1, 28, 28), 2, latent_dim=20, hidden=(400,))
    by_hand = partial(vaes.black_and_white, vae.encoder, vae.decoder, size=128)
    return of_images(vae, 128, lambda x: -vae.elbo(x).mean(), by_hand, turn=10)


def conv_vae() -> Family:
    """Residual blocks at two sizes, 32 x 32 in colour, Gaussian pixels."""
    pixels = GaussianPixels(256)
    sizes = {"latent_dim": 32, "channels": (16, 32)}
    vae = VAE.conv((3, 32, 32), 256, likelihood=pixels, **sizes)
    by_hand = partial(vaes.grey_levels, vae.encoder, vae.decoder, size=32)
    return of_images(vae, 32, lambda x: -vae.elbo(x).mean(), by_hand, turn=2)


def pixel_cnn() -> Family:
    """Gated, five layers of 32 features, black and white."""
    model = gated_pixel_cnn((1, 28, 28), 2, features=32, layers=5, head=32)
    by_hand = partial(pixelcnn.black_and_white, model.network, size=16)
    return of_images(model, 16, lambda x: -model.log_prob(x).mean(), by_hand)


def dcgan() -> Family:
    """Two convolutional players with batch normalisation, 32 x 32 in colour."""
    gan = GAN.dcgan((3, 32, 32), 256, latent_dim=64, channels=(32, 64))
    return of_players(gan, (3, 32, 32), 64, turn=2)


def wgan_gp_mlp() -> Family:
    """784-256-256-1 against 64-256-256-784, five updates of the critic a step."""
    shape = (1, 28, 28)
    generator = nn.Sequential(
        *mlp((64, 256, 256, 784), activation=nn.ReLU), nn.Unflatten(1, shape), nn.Tanh()
    )
    critic = nn.Sequential(
        nn.Flatten(), *mlp((784, 256, 256, 1), activation=nn.ReLU), nn.Flatten(0)
    )
    gan = GAN(generator, critic, 64, loss=ADVERSARIAL_LOSSES["wasserstein"], levels=256)
    return of_players(gan, shape, 64, penalty=True)


def wgan_gp_conv() -> Family:
    """The players of the DCGAN, with no normalisation in the critic; five updates of it a step."""
    shape, pair = (3, 32, 32), ADVERSARIAL_LOSSES["wasserstein"]
    options = {"normalise": ("batch", "none"), "loss": pair}
    gan = GAN.dcgan(shape, 256, latent_dim=64, channels=(32, 64), **options)
    return of_players(gan, shape, 32, penalty=True)


FAMILIES = {
    "MLP VAE": mlp_vae,
    "conv VAE": conv_vae,
    "DCGAN": dcgan,
    "WGAN-GP, MLP": wgan_gp_mlp,
    "WGAN-GP, conv": wgan_gp_conv,
    "Gated PixelCNN": pixel_cnn,
}


def blots(count: int, shape: tuple[int, int, int] = (1, 28, 28), levels: int = 2) -> Tensor:
    """Smooth random shapes, uint8: white on black for two levels, else with soft edges.

    There is something to learn in them. On pure noise gradients become too small for normal
    numbers, and the processor's slow path for these is what would be measured.
    """
    channels, height, width = shape
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(count, channels, height // 4, width // 4, generator=generator)
    smooth = F.interpolate(noise, (height, width), mode="bilinear")
    if levels == 2:
        return (smooth > 0.6).to(torch.uint8)
    return (((smooth - 0.5) * 8).sigmoid() * levels).clamp(0, levels - 1).to(torch.uint8)


def of_images(
    model: nn.Module,
    batch: int,
    loss: Callable[[Tensor], Tensor],
    by_hand: Callable[[Tensor], Iterator[None]] | None = None,
    turn: int = 1,
) -> Family:
    """A model with one loss."""
    inner = [model.network] if hasattr(model, "network") else [model.encoder, model.decoder]
    return Family(
        model.shape,
        model.levels,
        batch,
        {"model": model},
        {"model": lambda step: loss(step.batch[0])},
        by_hand,
        # PyTorch 2.13 compiles an Upsample wrongly, in bf16 on a CPU: ``fit`` refuses it.
        compilable=tuple(
            n for n in inner if not any(isinstance(m, nn.Upsample) for m in n.modules())
        ),
        turn=turn,
    )


def of_players(
    gan: GAN,
    shape: tuple[int, ...],
    batch: int,
    penalty: bool = False,
    turn: int = 1,
    weight: float = gans.PENALTY_WEIGHT,
) -> Family:
    """A pair of players, by WGAN-GP or by the non-saturating loss.

    The loop by hand knows no other weight of the penalty than its own.
    """

    def price(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return weight * unit_gradient_penalty(critic, interpolates(real, fake))

    extra = price if penalty else None
    train = gans.wgan_gp if penalty else gans.non_saturating
    return Family(
        shape,
        gan.levels,
        batch,
        gan.players,
        {
            "discriminator": lambda step: gan.discriminator_loss(step, extra),
            "generator": gan.generator_loss,
        },
        partial(train, gan.generator, gan.discriminator, gan.latent_dim, size=batch),
        adam=(gans.RATE, gans.BETAS),
        updates=gans.CRITIC_UPDATES if penalty else 1,
        compilable=(gan.generator,) if penalty else (gan.generator, gan.discriminator),
        turn=turn,
    )
