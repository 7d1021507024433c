"""The judging desk in a browser: it reckons as the library does, and loses no answer."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import latent_explorer
import pytest
from browsing import visit

import judging_desk
from genlearn import metrics

RECKON = """counts => counts.map(([hits, real, alarms, made]) => {
    const all = [dPrimeFromPairs(hits, real), dPrimeFromRates(hits, real, alarms, made)];
    const numbers = [wilson(hits, real), ...all].flatMap((one) => [one.value, one.low, one.high]);
    return [...numbers, all[1].criterion].map(String);
})"""
LOOK = """() => [...document.querySelectorAll('.shown canvas')].map(canvas => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return [...data].filter((_, k) => k % 4 === 0);
})"""


@pytest.fixture
def bare(tmp_path) -> Path:
    """A page with the desk alone, as on a phone, whose files may be spoilt."""
    shutil.copytree(judging_desk.JUDGING.parent, tmp_path / "explorer")
    page = tmp_path / "page.html"
    start = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title>'
    start += '<meta name="viewport" content="width=device-width">'
    page.write_text(start + latent_explorer.JUDGING.format(up=""), "utf-8")
    return page


@pytest.fixture
def desk(bare, browser):
    with visit(browser, bare.as_uri()) as here:
        yield here.page
        assert (here.errors, here.requests) == ([], [])


@pytest.fixture(scope="module")
def sources() -> dict[tuple[int, ...], set[str]]:
    """Grey values of each image → the sources that have it."""
    images = judging_desk.explorer.content(judging_desk.JUDGING, judging_desk.BEGIN)["images"]
    found = {}
    for name, all_ in images.items():
        for image in all_:
            grey = tuple(round(255 * int(sign, 17) / 16) for sign in image)
            found.setdefault(grey, set()).add(name)
    return found


def begin(page, kind: str, model: str) -> None:
    for name in (kind, model):
        page.get_by_role("radio", name=name, exact=True).check()
    page.get_by_role("button", name="begin a new test").click()


def play(page, sources, mistakes: int) -> list[tuple[set[str], str]]:
    """Answer to the end, knowing the images; return what was shown and answered, each once."""
    seen = []
    while page.locator(".shown canvas").count():
        shown = [sources[tuple(image)] for image in page.evaluate(LOOK)]
        if len(shown) == 2:
            choices, right = ["left", "right"], "right" if "real" in shown[1] else "left"
        else:
            choices, right = ["real", "made"], "real" if "real" in shown[0] else "made"
        answer = right
        if len(seen) < mistakes:
            answer = choices[1 - choices.index(right)]
        seen.append((shown, answer))
        page.locator(f"[data-answer={answer}]").press("Enter")
        said = page.locator(".asks").inner_text()
        assert said.startswith("Right." if answer == right else "Wrong.")
    return seen


def number(x: float) -> str:
    return (f"{x:.2f}" if math.isfinite(x) else "∞").replace("-", "−")


def interval(of) -> str:
    return f"{number(of.value)} ({number(of.low)} … {number(of.high)})"


def test_the_browser_reckons_as_the_library_does(desk):
    counts = [(k, 10, j, 8) for k in range(11) for j in range(9)]
    counts += [(k, 1000, 2, 3) for k in (1, 500, 997, 1000)]
    for (hits, real, alarms, made), there in zip(
        counts, desk.evaluate(RECKON, counts), strict=True
    ):
        here = [
            *metrics.wilson(hits, real)[:3],
            *metrics.interval_from_pairs(hits, real)[:3],
            *metrics.interval_from_rates(hits, real, alarms, made)[:3],
            metrics.criterion_from_rates(hits / real, alarms / made),
        ]
        found = [float(text.replace("Infinity", "inf")) for text in there]
        assert found == pytest.approx(here, abs=1e-10, nan_ok=True), (hits, real, alarms, made)


def test_pairs_to_the_end(desk, sources):
    begin(desk, "pairs", "GAN")
    seen = play(desk, sources, mistakes=6)
    assert len(seen) == 20
    assert all("real" in a | b and "gan" in a | b for (a, b), _ in seen)
    assert desk.locator("dd.count").inner_text() == "14 of 20"
    assert desk.locator("dd.d-prime").inner_text() == interval(metrics.interval_from_pairs(14, 20))
    assert desk.locator("dd.criterion").is_hidden()
    assert desk.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_single_images_to_the_end_and_the_answers_that_are_downloaded(desk, sources):
    begin(desk, "single images", "PixelCNN")
    seen = play(desk, sources, mistakes=5)
    with desk.expect_download() as download:
        desk.get_by_role("link", name="download the answers").press("Enter")
    head, *lines = map(json.loads, Path(download.value.path()).read_text("utf-8").splitlines())
    assert (head["kind"], head["model"], head["trials"]) == ("single", "pixelcnn", 20)
    assert [line["answer"] for line in lines] == [answer for _, answer in seen]
    counted = Counter((line["truth"], line["answer"]) for line in lines)
    hits, alarms = counted["real", "real"], counted["made", "real"]
    assert counted["real", "real"] + counted["real", "made"] == 10
    assert hits + counted["made", "made"] == 15
    expected = metrics.interval_from_rates(hits, 10, alarms, 10)
    assert desk.locator("dd.d-prime").inner_text() == interval(expected)
    assert desk.locator("dd.rates").inner_text() == f"{hits} of 10; {alarms} of 10"


def test_answers_are_still_there_when_one_comes_back(desk):
    for _ in range(3):
        desk.locator("[data-answer=left]").click()
    desk.reload()
    assert "Question 4 of 20" in desk.locator(".asks").inner_text()
    desk.evaluate("localStorage.setItem('genlearn-judging', '{\"test\": 1, \"answers\"')")
    desk.reload()
    assert "Question 1 of 20" in desk.locator(".asks").inner_text()


def test_a_browser_that_keeps_nothing_still_asks(bare, browser):
    script = bare.parent / "explorer" / "shared.js"
    forbid = "Object.defineProperty(globalThis, 'localStorage', { get() { throw Error('no') } });"
    script.write_text(f"{forbid}\n{script.read_text('utf-8')}", "utf-8")
    with visit(browser, bare.as_uri()) as here:
        here.page.locator("[data-answer=right]").click()
        assert "Question 2 of 20" in here.page.locator(".asks").inner_text()
        assert here.errors == []


def test_images_that_were_cut_short_leave_a_message_and_no_desk(bare, browser):
    path = bare.parent / "explorer" / "judging.js"
    path.write_text(path.read_text("utf-8")[:-100], "utf-8")
    with visit(browser, bare.as_uri()) as here:
        assert len(here.errors) == 1
        assert here.page.get_by_text("Here stands").is_visible()
        assert here.page.get_by_role("button").count() == 0
