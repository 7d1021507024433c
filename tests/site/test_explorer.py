"""The latent-space explorer in a browser: its arithmetic is PyTorch's, and its controls work."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import latent_explorer
import pytest
import torch
from browsing import SITE, visit
from bs4 import BeautifulSoup

import explorer
from genlearn import data

PAGE = SITE / "vae" / "explorer.html"
TOLERANCE = 1e-4  # of the range from black to white, and of a code
RUN = """({codes, images}) => {
    const vae = new BrowserVAE(EXPLORER);
    return {
        pictures: codes.map(z => meanImage(vae.logProbs(z)).map(x => x / (vae.levels - 1))),
        posteriors: images.map(x => vae.posterior(x)),
        likelihoods: images.map((x, k) => logLikelihood(vae.logProbs(codes[k]), x)),
    };
}"""


@pytest.fixture(scope="module")
def vae():
    return explorer.read()[0]


@pytest.fixture
def here(browser):
    if not PAGE.is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    with visit(browser, PAGE.as_uri(), width=1280) as here:
        yield here
        assert (here.errors, here.requests) == ([], [])


# --- The arithmetic.


def differences(page, vae) -> dict[str, float]:
    """Largest difference between the browser, with its weights, and a model of PyTorch."""
    generator = torch.Generator().manual_seed(0)
    codes = 1.5 * torch.randn(latent_explorer.COMPARED, vae.latent_dim, generator=generator)
    images = data.load("digits").test.images[: len(codes)]
    arguments = {"codes": codes.tolist(), "images": images.flatten(1).tolist()}
    there = page.evaluate(RUN, arguments)
    with torch.no_grad():
        q = vae.posterior(images).base_dist
        here = {
            "picture": vae.mean_image(codes).flatten(1) / (vae.levels - 1),
            "mean": q.loc,
            "std": q.scale,
            "rates": vae.terms(images).rates,
            "likelihood": vae.likelihood(codes).log_prob(images.float()),
        }
    found = {key: [q[key] for q in there["posteriors"]] for key in ("mean", "std", "rates")}
    found |= {"picture": there["pictures"], "likelihood": there["likelihoods"]}
    return {key: (torch.tensor(found[key]) - here[key]).abs().max().item() for key in here}


def complaints(page, vae) -> list[str]:
    # Nats are sums of 64 logarithms, in float32 on one side: ten times the tolerance.
    allowed = {"likelihood": 10 * TOLERANCE, "rates": 10 * TOLERANCE}
    found = differences(page, vae)
    return [key for key, apart in found.items() if not apart < allowed.get(key, TOLERANCE)]


def test_the_browser_computes_what_pytorch_does(here, vae):
    assert latent_explorer.COMPARED >= 50
    assert complaints(here.page, vae) == []


@pytest.fixture
def bare(tmp_path) -> Path:
    """A page with the explorer alone, whose files may be spoilt."""
    shutil.copytree(explorer.WEIGHTS.parent, tmp_path / "explorer")
    page = tmp_path / "page.html"
    start = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title>'
    page.write_text(start + latent_explorer.PLACE.format(up=""), "utf-8")
    return page


def spoil(page: Path, position: float) -> None:
    """Turn the sign of one weight, at a place between the first (0) and the last (1)."""
    path = page.parent / "explorer" / "weights.js"
    text = path.read_text("utf-8")
    content = json.loads(text.removeprefix(explorer.BEGIN).removesuffix(explorer.END))
    packed = bytearray(base64.b64decode(content["weights"]))
    packed[2 * int(position * (len(packed) // 2 - 1)) + 1] ^= 0x80
    content["weights"] = base64.b64encode(packed).decode()
    path.write_text(explorer.BEGIN + json.dumps(content) + explorer.END, "utf-8")


@pytest.mark.parametrize("position", [0.1, 0.25, 0.6, 0.97, 1])
def test_one_spoilt_byte_of_the_weights_is_found(position, bare, browser, vae):
    spoil(bare, position)
    with visit(browser, bare.as_uri()) as here:
        assert complaints(here.page, vae) != []


def test_the_bare_page_passes_with_sound_weights(bare, browser, vae):
    with visit(browser, bare.as_uri()) as here:
        assert complaints(here.page, vae) == []


def test_weights_that_were_cut_short_leave_a_message_and_no_explorer(bare, browser):
    path = bare.parent / "explorer" / "weights.js"
    path.write_text(path.read_text("utf-8")[:-100], "utf-8")
    with visit(browser, bare.as_uri()) as here:
        assert len(here.errors) == 1
        assert here.page.get_by_text("Here stands").is_visible()
        assert here.page.get_by_role("slider").count() == 0


def test_new_codes_are_standard_normal(here):
    draws = torch.tensor(here.page.evaluate("Array.from({length: 40000}, normal)"))
    assert abs(draws.mean()) < 0.025  # five standard errors
    assert abs(draws.square().mean() - 1) < 0.036
    assert abs(draws.pow(4).mean() - 3) < 0.25


def test_levels_are_drawn_with_their_probabilities(here):
    program = """() => {
        const logProbs = Array(1000).fill([0.2, 0.5, 0.3].map(Math.log));
        const drawn = drawImage(logProbs, logProbs.map((_, i) => (i + 0.5) / 1000));
        return [0, 1, 2].map(level => drawn.filter(x => x === level).length);
    }"""
    assert here.page.evaluate(program) == [200, 500, 300]


# --- The controls.


def picture(page, name: str) -> str:
    return page.locator(f"canvas.{name}").evaluate("canvas => canvas.toDataURL()")


def shown_code(page) -> torch.Tensor:
    """The code as the page writes it, two digits behind the point."""
    texts = page.locator(".dimension .value").all_inner_texts()
    return torch.tensor([float(text.replace("−", "-")) for text in texts])


def number(page, name: str) -> float:
    return float(page.locator(f".{name}").inner_text().replace("−", "-").removesuffix(" nats"))


def same_code(page, code: torch.Tensor) -> bool:
    return bool((shown_code(page) - code).abs().max() < 0.0051)


def posterior(vae, file: dict[str, Any], k: int):
    image = torch.tensor(file["images"][k]["levels"], dtype=torch.uint8).view(1, *vae.shape)
    with torch.no_grad():
        return image, vae.posterior(image).base_dist


def test_a_key_on_a_slider_changes_code_and_picture(here):
    rates = explorer.read()[1]["mean_rates"]
    for j, rate in enumerate(rates):
        slider = here.page.get_by_role("slider", name=f"code dimension {j + 1}", exact=True)
        code, before = shown_code(here.page), picture(here.page, "mean")
        slider.focus()
        for _ in range(5):
            slider.press("ArrowRight")
        moved = shown_code(here.page) - code
        assert 0.2 < moved[j] < 0.3
        assert moved.count_nonzero() == 1
        assert (picture(here.page, "mean") != before) or rate < 0.1
        written = here.page.locator(".dimension .value").nth(j).inner_text()
        assert slider.get_attribute("aria-valuetext") == written


def test_the_canvas_shows_the_mean_image_with_hard_pixels(here, vae):
    _, file = explorer.read()
    _, q = posterior(vae, file, file["begin"][1])
    read = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 8, 8).data]"""
    canvas = here.page.locator("canvas.mean")
    grey = torch.tensor(canvas.evaluate(read)).view(8, 8, 4)
    expected = vae.mean_image(q.loc)[0, 0] * 255 / (vae.levels - 1)
    assert (grey[..., :3] - expected[..., None]).abs().max() <= 0.51
    assert canvas.evaluate("canvas => getComputedStyle(canvas).imageRendering") == "pixelated"


@pytest.mark.parametrize("k", [0, 7, 19])
def test_a_click_on_a_digit_sets_sliders_bars_and_numbers(k, here, vae):
    _, file = explorer.read()
    image, q = posterior(vae, file, k)
    button = here.page.get_by_role("button", name=f"test image {k + 1}, a", exact=False).first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert here.page.locator(".strip [aria-pressed=true]").count() == 1
    assert same_code(here.page, q.loc[0])
    with torch.no_grad():
        rates = vae.terms(image).rates[0]
        likelihood = vae.likelihood(q.loc).log_prob(image.float()).item()
    written = here.page.locator(".rate > span:first-child").all_inner_texts()
    torch.testing.assert_close(
        torch.tensor([float(x) for x in written]), rates, atol=0.0051, rtol=0
    )
    assert abs(number(here.page, "likelihood") - likelihood) < 0.051
    assert abs(number(here.page, "total") - rates.sum()) < 0.051
    assert abs(number(here.page, "difference") - (likelihood - rates.sum())) < 0.051
    assert abs(number(here.page, "bound") - file["images"][k]["bound"]) < 0.051


def test_the_buttons_set_the_code(here, vae):
    _, file = explorer.read()
    _, q = posterior(vae, file, file["begin"][1])

    def press(name: str) -> torch.Tensor:
        here.page.get_by_role("button", name=name, exact=True).click()
        return shown_code(here.page)

    assert press("back to zero").count_nonzero() == 0
    first, second = press("new code from the prior"), press("new code from the prior")
    assert (first != second).sum() > 6
    assert first.abs().max() < 6
    scores = (press("new code from q") - q.loc[0]) / q.scale[0]
    assert 0 < scores.abs().max() < 6
    press("mean of q")
    assert same_code(here.page, q.loc[0])


def test_the_path_runs_straight_from_one_code_to_the_other(here, vae):
    _, file = explorer.read()
    here.page.get_by_role("button", name="test image 8, a 7").click()
    here.page.get_by_role("button", name="test image 11, a 0").click()
    path = here.page.get_by_role("slider", name="path from a 7 to a 0")
    first, last = (posterior(vae, file, k)[1].loc[0] for k in (7, 10))
    path.press("Home")
    assert same_code(here.page, first)
    for _ in range(5):
        path.press("ArrowRight")
    assert same_code(here.page, first + 0.25 * (last - first))
    path.press("End")
    assert same_code(here.page, last)


# --- The page.


def test_without_javascript_a_reader_learns_what_is_missing(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(PAGE.as_uri())
    assert page.get_by_text("needs JavaScript").is_visible()
    context.close()


def test_only_pages_with_the_explorer_load_it():
    holds = {}
    for path in SITE.rglob("*.html"):
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        scripts = [script["src"] for script in page("script", src=True)]
        holds[path] = bool(page.select(".explorer"))
        assert any("explorer/" in script for script in scripts) == holds[path]
    assert holds[PAGE]
