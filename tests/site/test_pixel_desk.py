"""The pixel desk in a browser: its arithmetic is PyTorch's, and its controls work."""

import base64
import json
import shutil
from pathlib import Path

import latent_explorer
import pytest
import torch
from browsing import SITE, visit

import pixel_desk

PAGE = SITE / "pixels" / "explorer.html"
TOLERANCE = 1e-4  # of a probability, and relative to the nats of an image
READ = """images => {
    const model = new BrowserPixelCNN(PIXELS);
    return images.map(image => {
        const reading = model.read(image);
        return {
            tables: reading.map(one => one.tables),
            logProbs: reading.map(one => one.logProbs[model.size]),
            posterior: model.posterior(reading, model.size),
            total: model.logProb(reading, model.size),
        };
    });
}"""
COMPLETE = """([image, uniforms]) => {
    const model = new BrowserPixelCNN(PIXELS);
    const reading = model.read(image);
    return uniforms.map(one => model.complete(image, reading, 24, one));
}"""


@pytest.fixture(scope="module")
def made():
    return pixel_desk.read()


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
    shutil.copytree(pixel_desk.PIXELS.parent, tmp_path / "explorer")
    page = tmp_path / "page.html"
    start = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title>'
    page.write_text(start + latent_explorer.PIXELS.format(up=""), "utf-8")
    return page


# --- The arithmetic.


def complaints(page, made) -> list[str]:
    """What the browser computes otherwise than PyTorch."""
    model, file = made
    images = torch.tensor(file["images"], dtype=torch.uint8).view(-1, *file["shape"])
    there = page.evaluate(READ, file["images"])
    tables, log_probs = [], []
    with torch.no_grad():
        for label in range(pixel_desk.CLASSES):
            labels = torch.full((len(images),), label)
            tables.append(model.parameters_of(images, labels)[:, 0].softmax(-1).flatten(1, 2))
            log_probs.append(model.log_prob(images, labels))
    joint = pixel_desk.log_joint(model, images)
    here = {
        "tables": torch.stack(tables, 1),
        "logProbs": torch.stack(log_probs, 1) / 100,
        "posterior": joint.softmax(1),
        "total": joint.logsumexp(1) / 100,
    }
    found = {key: torch.tensor([one[key] for one in there]) for key in here}
    found["logProbs"], found["total"] = found["logProbs"] / 100, found["total"] / 100
    return [key for key in here if not (found[key] - here[key]).abs().max() < TOLERANCE]


def test_the_browser_computes_what_pytorch_does(bare, browser, made):
    with visit(browser, bare.as_uri()) as here:
        assert complaints(here.page, made) == []


def test_so_it_does_in_the_page(here, made):
    assert complaints(here.page, made) == []


@pytest.mark.parametrize("position", [0.05, 0.5, 1])
def test_one_spoilt_byte_of_the_weights_is_found(position, bare, browser, made):
    path = bare.parent / "explorer" / "pixels.js"
    content = json.loads(path.read_text("utf-8").removeprefix(pixel_desk.BEGIN).rstrip(";\n"))
    packed = bytearray(base64.b64decode(content["weights"]))
    packed[2 * int(position * (len(packed) // 2 - 1)) + 1] ^= 0x80
    content["weights"] = base64.b64encode(packed).decode()
    path.write_text(f"{pixel_desk.BEGIN}{json.dumps(content)};\n", "utf-8")
    with visit(browser, bare.as_uri()) as here:
        assert complaints(here.page, made)


def test_completions_keep_what_is_known_and_follow_the_uniform_numbers(here, made):
    """The library, told the label that Bayes' rule drew, draws the same pixels."""
    model, file = made
    generator = torch.Generator().manual_seed(0)
    uniforms = torch.rand(5, 65, generator=generator, dtype=torch.float64)
    image = torch.tensor(file["images"][5], dtype=torch.uint8)
    there = here.page.evaluate(COMPLETE, [file["images"][5], uniforms.tolist()])
    model = model.double()
    known = torch.arange(64) < 24
    x = image.view(1, 1, 8, 8)
    with torch.no_grad():
        prefix = torch.stack(
            [
                model.conditionals(x, torch.tensor([label])).log_prob(x.double()).flatten()[:24]
                for label in range(pixel_desk.CLASSES)
            ]
        ).sum(1)
    labels = (prefix.softmax(0).cumsum(0)[:-1] <= uniforms[:, 64:]).sum(1)
    expected = model.complete(
        x.expand(5, -1, -1, -1),
        known.view(1, 1, 8, 8),
        labels,
        uniforms=uniforms[:, :64].reshape(5, 1, 8, 8),
    ).images
    model.float()
    assert torch.tensor(there).tolist() == expected.flatten(1).tolist()


def test_weights_that_were_cut_short_leave_a_message_and_no_desk(bare, browser):
    path = bare.parent / "explorer" / "pixels.js"
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


def bars(page) -> list[str]:
    """All bars of both distributions."""
    return page.locator(".bars b").evaluate_all("all => all.map(b => b.style.height)")


def test_a_later_pixel_moves_no_bar_and_an_earlier_one_does(desk):
    before = bars(desk)
    squares = desk.locator(".board button")
    for later in (29, 45, 63):
        squares.nth(later).focus()
        squares.nth(later).press("Enter")
        assert bars(desk) == before
    squares.nth(27).click()
    assert bars(desk) != before
    desk.get_by_role("button", name="the digit as it was").click()
    assert bars(desk) == before


def test_the_slider_says_how_many_pixels_are_known(desk):
    slider = desk.get_by_role("slider", name="pixels known")
    slider.focus()
    slider.press("ArrowRight")
    assert desk.locator("output").inner_text() == "29"
    assert desk.locator(".board .unknown").count() == 35
    slider.press("End")
    assert desk.locator("dd.surprise").inner_text() == "none is left"
    assert desk.locator("dd.known").inner_text() == desk.locator("dd.total").inner_text()
    slider.press("Home")
    assert desk.locator("dd.known").inner_text() in {"0.00 nats", "-0.00 nats"}


def test_with_all_known_completions_are_the_digit(desk):
    desk.get_by_role("slider").press("End")
    pictures = desk.locator(".completion").evaluate_all("all => all.map(c => c.toDataURL())")
    chosen = desk.locator(".strip [aria-pressed=true] canvas").evaluate("c => c.toDataURL()")
    assert set(pictures) == {chosen}


def test_another_digit_is_chosen_by_a_key(desk, made):
    button = desk.get_by_role("button", name="digit 7")
    button.focus()
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    levels = desk.locator(".board button").evaluate_all(
        "all => all.map(b => Number(b.getAttribute('aria-label').split(' ').pop()))"
    )
    assert levels == made[1]["images"][7]


def test_other_completions_are_others(desk):
    desk.get_by_role("slider").press("Home")
    pictures = desk.locator(".completion")
    before = pictures.evaluate_all("all => all.map(c => c.toDataURL())")
    desk.get_by_role("button", name="other completions").click()
    assert pictures.evaluate_all("all => all.map(c => c.toDataURL())") != before


def test_nothing_is_wider_than_a_phone(desk):
    assert desk.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_a_reader_learns_what_is_missing(bare, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(bare.as_uri())
    assert page.get_by_text("needs JavaScript").is_visible()
    context.close()
