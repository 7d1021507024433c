"""The steering desk in a browser: its arithmetic is PyTorch's, and its controls work."""

import base64
import json
import shutil
from pathlib import Path

import latent_explorer
import pytest
import torch
from browsing import SITE, visit

import steering

PAGE = SITE / "gan" / "explorer.html"
TOLERANCE = 1e-4  # of the range from black to white
RUN = """({noise, labels, steps}) => {
    const gan = new BrowserGAN(GENERATOR);
    const ways = GENERATOR.directions.map(way => way.noise);
    return noise.map((z, k) => {
        const image = gan.generate(steer(z, 0.8, ways, steps[k]), labels[k]);
        return {
            image: image.map(x => x / (gan.levels - 1)),
            ink: ink(image, gan.levels),
            slant: slant(image, GENERATOR.shape[2]),
        };
    });
}"""


@pytest.fixture(scope="module")
def made():
    return steering.read()


@pytest.fixture
def here(browser):
    if not PAGE.is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    with visit(browser, PAGE.as_uri(), width=1280) as here:
        yield here
        assert (here.errors, here.requests) == ([], [])


@pytest.fixture
def bare(tmp_path) -> Path:
    """A page with the desk alone, whose files may be spoilt."""
    shutil.copytree(steering.GENERATOR.parent, tmp_path / "explorer")
    page = tmp_path / "page.html"
    start = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title>'
    page.write_text(start + latent_explorer.DESK.format(up=""), "utf-8")
    return page


# --- The arithmetic.


def complaints(page, made) -> list[str]:
    """What the browser computes otherwise than PyTorch."""
    gan, file = made
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(latent_explorer.COMPARED, gan.latent_dim, generator=generator)
    steps = torch.randn(len(noise), len(file["directions"]), generator=generator)
    labels = torch.arange(len(noise)) % gan.classes
    arguments = {"noise": noise.tolist(), "labels": labels.tolist(), "steps": steps.tolist()}
    there = page.evaluate(RUN, arguments)
    ways = torch.tensor([way["noise"] for way in file["directions"]])
    with torch.no_grad():
        x = gan.generate(0.8 * noise + steps @ ways, labels)
    here = {
        "image": (x.flatten(1) + 1) / 2,
        "ink": steering.ink(x),
        "slant": steering.slant(x),
    }
    found = {key: torch.tensor([one[key] for one in there]) for key in here}
    return [key for key in here if not (found[key] - here[key]).abs().max() < TOLERANCE]


def test_the_browser_computes_what_pytorch_does(bare, browser, made):
    with visit(browser, bare.as_uri()) as here:
        assert complaints(here.page, made) == []


def test_so_it_does_in_the_page(here, made):
    assert complaints(here.page, made) == []


@pytest.mark.parametrize("position", [0.05, 0.5, 1])
def test_one_spoilt_byte_of_the_weights_is_found(position, bare, browser, made):
    path = bare.parent / "explorer" / "generator.js"
    content = json.loads(path.read_text("utf-8").removeprefix(steering.BEGIN).rstrip(";\n"))
    packed = bytearray(base64.b64decode(content["weights"]))
    packed[2 * int(position * (len(packed) // 2 - 1)) + 1] ^= 0x80
    content["weights"] = base64.b64encode(packed).decode()
    path.write_text(f"{steering.BEGIN}{json.dumps(content)};\n", "utf-8")
    with visit(browser, bare.as_uri()) as here:
        assert "image" in complaints(here.page, made)


def test_weights_that_were_cut_short_leave_a_message_and_no_desk(bare, browser):
    path = bare.parent / "explorer" / "generator.js"
    path.write_text(path.read_text("utf-8")[:-100], "utf-8")
    with visit(browser, bare.as_uri()) as here:
        assert len(here.errors) == 1
        assert here.page.get_by_text("Here stands").is_visible()
        assert here.page.get_by_role("slider").count() == 0


# --- The controls, on the bare page of a phone.


@pytest.fixture
def desk(bare, browser):
    with visit(browser, bare.as_uri()) as here:
        yield here.page
        assert here.errors == []


def pictures(page) -> list[str]:
    """The ten digits of the strip."""
    return page.locator(".strip canvas").evaluate_all("all => all.map(c => c.toDataURL())")


def test_a_key_on_a_slider_moves_all_ten_digits(desk, made):
    names = [way["name"] for way in made[1]["directions"]]
    for name in [*names, "share of the noise"]:
        slider = desk.get_by_role("slider", name=name)
        before = pictures(desk)
        slider.focus()
        for _ in range(8):
            slider.press("ArrowRight")
        assert all(a != b for a, b in zip(before, pictures(desk), strict=True))
        assert slider.get_attribute("aria-valuetext") in {"+0.8", "140 %"}


def test_a_label_is_chosen_by_a_click_or_a_key(desk):
    button = desk.get_by_role("button", name="label 7")
    button.focus()
    button.press("Enter")
    assert desk.locator("[aria-pressed=true]").count() == 1
    assert button.get_attribute("aria-pressed") == "true"
    shown = desk.locator(".after").evaluate("canvas => canvas.toDataURL()")
    assert shown == pictures(desk)[7]


def test_without_noise_new_noise_changes_nothing(desk):
    slider = desk.get_by_role("slider", name="share of the noise")
    slider.press("Home")
    before = pictures(desk)
    fresh = desk.get_by_role("button", name="new noise")
    fresh.click()
    assert pictures(desk) == before
    desk.get_by_role("button", name="sliders back").click()
    assert slider.get_attribute("aria-valuetext") == "100 %"
    before = pictures(desk)
    fresh.click()
    assert pictures(desk) != before


def test_the_numbers_are_those_of_the_picture(desk, made):
    gan, file = made
    noise = torch.tensor([file["begin"]["noise"]])
    with torch.no_grad():
        x = gan.generate(noise, torch.tensor([file["begin"]["label"]]))
    assert abs(float(desk.locator("dd.ink").inner_text()) - steering.ink(x)) < 0.0051
    slant = float(desk.locator("dd.slant").inner_text().replace("−", "-"))
    assert abs(slant - steering.slant(x)) < 0.0051


def test_nothing_is_wider_than_a_phone(desk):
    assert desk.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_a_reader_learns_what_is_missing(bare, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(bare.as_uri())
    assert page.get_by_text("needs JavaScript").is_visible()
    context.close()
