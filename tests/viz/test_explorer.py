"""What the sliders, the buttons and the choice of an image do to the code, with a kernel."""

import base64
import io
import re

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence

from genlearn.viz import explorer, tile


@pytest.fixture
def vae(random_vae):
    return random_vae((1, 4, 4), 5, latent_dim=6, hidden=(8,)).eval()


@pytest.fixture
def images():
    return torch.randint(5, (20, 1, 4, 4), generator=torch.manual_seed(0), dtype=torch.uint8)


def parts(widget: ipywidgets.Widget) -> dict[str, ipywidgets.Widget]:
    """Every control by its description, the picture, and the label beside each slider."""
    screen, controls = widget.children
    found, left = {"picture": screen}, list(controls.children)
    while left:
        part = left.pop(0)
        if isinstance(part, ipywidgets.HBox):
            left = list(part.children) + left
        elif isinstance(part, ipywidgets.Label):
            found[f"rate {list(found)[-1]}"] = part  # of the slider before it
        else:
            found[part.description] = part
    return found


def seen(found: dict[str, ipywidgets.Widget]) -> np.ndarray:
    encoded = re.search(r'src="data:image/png;base64,([^"]*)"', found["picture"].value)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_it_begins_at_code_zero(vae):
    found = parts(explorer(vae))
    np.testing.assert_array_equal(seen(found), tile(vae.mean_image(torch.zeros(1, 6)), 5))


def test_a_slider_sets_its_dimension_alone(vae):
    found = parts(explorer(vae))
    found["z[4]"].value = 1.5
    code = torch.tensor([[0, 0, 0, 0, 1.5, 0]])
    np.testing.assert_array_equal(seen(found), tile(vae.mean_image(code), 5))


def test_back_to_zero_moves_code_and_sliders(vae):
    found = parts(explorer(vae))
    before = seen(found)
    found["z[4]"].value = 1.5
    assert (seen(found) != before).any()
    found["Back to zero"].click()
    assert found["z[4]"].value == 0
    np.testing.assert_array_equal(seen(found), before)


def test_a_new_code_is_drawn_from_the_prior(vae):
    found = parts(explorer(vae, extent=10))
    torch.manual_seed(7)
    code = vae.prior(1).sample()
    torch.manual_seed(7)
    found["New code"].click()
    sliders = [found[f"z[{j}]"].value for j in range(6)]
    np.testing.assert_allclose(sliders, code[0], atol=1e-6)
    np.testing.assert_array_equal(seen(found), tile(vae.mean_image(code), 5))


def test_a_code_beyond_the_sliders_is_shown_as_it_is(vae, images):
    found = parts(explorer(vae, images, extent=0.1))
    mean = vae.posterior(images[:1]).mean
    assert mean.abs().max() > 0.1
    expected = tile(torch.cat([images[:1].float(), vae.mean_image(mean)]), 5, columns=2)
    np.testing.assert_array_equal(seen(found), expected)


def test_sliders_stand_in_the_order_of_the_mean_rate(vae, images):
    with torch.no_grad():
        rates = kl_divergence(vae.posterior(images).base_dist, Normal(0.0, 1.0)).mean(0)
    names = [name for name in parts(explorer(vae, images, most=3)) if name.startswith("z[")]
    assert names == [f"z[{j}]" for j in rates.argsort(descending=True)[:3]]


def test_an_image_sets_the_code_to_its_mean_and_shows_nats(vae, images):
    found = parts(explorer(vae, images, extent=50))
    found["image"].value = 3
    with torch.no_grad():
        q = vae.posterior(images[3:4])
        rates = kl_divergence(q.base_dist, Normal(0.0, 1.0))[0]
        likelihood = vae.likelihood(q.mean).log_prob(images[3:4].float()).item()
    for j in range(6):
        assert found[f"z[{j}]"].value == pytest.approx(q.mean[0, j].item())
        assert found[f"rate z[{j}]"].value == f"{rates[j]:.2f} nats"
    assert f"log p(x | z) = {likelihood:.1f} nats" in found["picture"].value
    assert f"rate {rates.sum():.1f} nats" in found["picture"].value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": 0}, "most must be at least 1"),
        ({"extent": 0.0}, "extent above 0"),
        ({"images": torch.zeros(0, 1, 4, 4, dtype=torch.uint8)}, "at least one image"),
    ],
)
def test_what_cannot_be_shown_is_refused(options, message, vae):
    with pytest.raises(ValueError, match=message):
        explorer(vae, **options)


def test_a_model_that_still_drops_units_out_is_refused(vae):
    with pytest.raises(ValueError, match="in training mode"):
        explorer(vae.train())
