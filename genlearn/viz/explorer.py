"""Move about in a latent space, where a kernel runs.

In a static page, which has no kernel, the book's directive ``{explorer}`` does the same for one
trained model.
"""

from typing import Any

import ipywidgets
import torch
from torch import Tensor

from genlearn.viz.images import tile
from genlearn.viz.widgets import picture


def explorer(
    model: Any, images: Tensor | None = None, *, most: int = 8, extent: float = 3.0
) -> ipywidgets.HBox:
    """Set a code by sliders and see the decoder's mean image.

    Given images, choosing one sets the code to the mean of q(z | x). Then the rate of each
    dimension (eq-vae-gaussian-kl) stands beside its slider, and log p(x | z) of that image at the
    code below the picture, both in nats.

    Args:
        model: in evaluation mode; has ``latent_dim``, ``levels``, ``prior``, ``mean_image`` and,
            for images, ``posterior``, ``likelihood`` and ``terms``, as
            :class:`genlearn.models.VAE` has them.
        images: to choose from, uint8 levels, shape (N, C, H, W). The sliders are those of the
            dimensions with the highest mean rate over these images, highest first.
        most: number of sliders; the dimensions without one keep the value that the last image or
            new code gave them.
        extent: the sliders reach from -extent to extent.

    Raises:
        ValueError: if the model is in training mode, or no slider or image is asked for.
    """
    if getattr(model, "training", False):
        raise ValueError("the model is in training mode; call model.eval() first")
    if most < 1 or extent <= 0:
        raise ValueError(f"most must be at least 1 and extent above 0, got {most} and {extent}")
    if images is not None and len(images) == 0:
        raise ValueError("images must hold at least one image, or be None")

    with torch.no_grad():
        code = torch.zeros_like(model.prior(1).mean)  # (1, L)
        if images is None:
            order = list(range(model.latent_dim))
        else:
            rates = model.terms(images).rates
            order = rates.mean(0).argsort(descending=True).tolist()
    shown = order[:most]
    sliders = {
        j: ipywidgets.FloatSlider(min=-extent, max=extent, step=0.05, description=f"z[{j}]")
        for j in shown
    }
    labels = {j: ipywidgets.Label() for j in shown}
    screen = ipywidgets.HTML(layout=ipywidgets.Layout(width="18em"))
    fresh = ipywidgets.Button(description="New code", tooltip="Draw a code from the prior")
    zero = ipywidgets.Button(description="Back to zero", tooltip="Set the code to zero")
    choice = ipywidgets.IntSlider(max=0 if images is None else len(images) - 1, description="image")
    moving = False  # the sliders follow the code, not the code the sliders

    @torch.no_grad()
    def draw() -> None:
        pictures, caption = model.mean_image(code), "mean image of the code"
        if images is not None:
            x = images[choice.value : choice.value + 1]
            pictures = torch.cat([x.to(pictures), pictures])
            likelihood = model.likelihood(code).log_prob(x.float()).item()
            total = rates[choice.value].sum().item()
            caption = (
                f"image {choice.value} and mean image of the code; log p(x | z) = "
                f"{likelihood:.1f} nats, rate {total:.1f} nats"
            )
        screen.value = picture(tile(pictures, model.levels, columns=len(pictures)), caption)

    def set_code(new: Tensor) -> None:
        nonlocal moving
        code.copy_(new)
        moving = True
        for j, slider in sliders.items():
            slider.value = code[0, j].item()
        moving = False
        draw()

    def slide(j: int, value: float) -> None:
        if not moving:
            code[0, j] = value
            draw()

    @torch.no_grad()
    def choose(_: Any = None) -> None:
        k = choice.value
        for j, label in labels.items():
            label.value = f"{rates[k, j]:.2f} nats"
        set_code(model.posterior(images[k : k + 1]).mean)

    for j, slider in sliders.items():
        slider.observe(lambda change, j=j: slide(j, change["new"]), "value")
    fresh.on_click(lambda _: set_code(model.prior(1).sample()))
    zero.on_click(lambda _: set_code(torch.zeros_like(code)))
    rows = [ipywidgets.HBox([sliders[j], labels[j]]) for j in shown]
    buttons = ipywidgets.HBox([fresh, zero])
    if images is None:
        draw()
        controls = [buttons, *rows]
    else:
        choice.observe(choose, "value")
        choose()
        controls = [choice, buttons, *rows]
    return ipywidgets.HBox([screen, ipywidgets.VBox(controls)])
