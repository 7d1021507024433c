"""Every page that `make book` built, in a browser: two widths, light, then dark, no network.

Each check takes a visit to a page that has settled and returns its complaints. Each is also shown a
page with the fault that it is there to find.
"""

import re

import playwright.sync_api as playwright
import pytest
from browsing import SCHEMES, SITE, WIDTHS, Visit, find_chromium, visit

import vendor

AXE = vendor.TEST_VENDOR / "axe.min.js"

# What axe-core finds and the theme is to blame for: (rule, selector): why it may stay.
EXCLUDED = {
    ("label-content-name-mismatch", ".theme-switch-button"): (
        "The button shows an icon alone; the text that axe compares with its name, Color mode, is "
        "the icon's hover text."
    ),
}


# --- The checks of a visit.


def unrendered_mathematics(here: Visit) -> list[str]:
    return here.seen["mathematics"]


def images_without_pixels(here: Visit) -> list[str]:
    return here.seen["images"]


def horizontal_overflow(here: Visit) -> list[str]:
    return here.seen["overflow"]


PICTURES = """slider => JSON.stringify(
    [...slider.closest(".cell_output, .explorer").querySelectorAll("img, canvas, svg")]
        .filter(picture => picture.getClientRects().length)
        .map(picture => picture.src || picture.toDataURL?.() || picture.outerHTML))"""


def dead_widgets(here: Visit) -> list[str]:
    """Widgets that are not drawn, and sliders that a key moves without another picture."""
    complaints = list(here.seen["widgets"])
    for slider in here.page.get_by_role("slider").all():
        handle = slider.element_handle()
        before = handle.evaluate(PICTURES)
        handle.press("ArrowLeft")
        try:
            changed = f"([slider, before]) => ({PICTURES})(slider) !== before"
            here.page.wait_for_function(changed, arg=[handle, before], timeout=3_000)
        except playwright.TimeoutError:
            complaints.append(f"a slider changes no picture: {handle.get_attribute('aria-label')}")
    return complaints


BARRIERS = """async excluded => {
    const options = {resultTypes: ["violations"], preload: false};
    // To look at colours takes most of the time. In the dark nothing else is different, and on a
    // phone they are those of a desktop.
    const colours = ["color-contrast", "link-in-text-block"];
    if (matchMedia("(prefers-color-scheme: dark)").matches)
        options.runOnly = colours;
    else if (innerWidth < 600)
        options.rules = Object.fromEntries(colours.map(rule => [rule, {enabled: false}]));
    const {violations} = await axe.run(document, options);
    const grave = node => ["serious", "critical"].includes(node.impact);
    const stays = (rule, node) => excluded.some(([id, selector]) =>
        id == rule && document.querySelector(node.target[0]).matches(selector));
    return violations.flatMap(rule => rule.nodes
        .filter(node => grave(node) && !stays(rule.id, node))
        .map(node => `${rule.id}: ${node.html.slice(0, 150)}: ${node.failureSummary}`));
}"""


def barriers(here: Visit, excluded=tuple(EXCLUDED)) -> list[str]:
    """What keeps some people from reading the page, by axe-core's rules."""
    here.page.add_script_tag(path=AXE)
    return here.page.evaluate(BARRIERS, [list(pair) for pair in excluded])


def console_errors(here: Visit) -> list[str]:
    return here.errors


def outside_requests(here: Visit) -> list[str]:
    return here.requests


CHECKS = [
    unrendered_mathematics,
    images_without_pixels,
    horizontal_overflow,
    dead_widgets,
    barriers,
    console_errors,  # these last: they also hear of what the others set off
    outside_requests,
]


# --- The book.


def pages() -> list[str]:
    """The pages made from the book, less those that only point to another one."""
    files = {path.relative_to(SITE): path for path in sorted(SITE.rglob("*.html"))}
    return [
        str(name)
        for name, path in files.items()
        if name.parts[0] not in ("_static", "vendor")
        and 'http-equiv="refresh"' not in path.read_text("utf-8").lower()
    ]


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("name", pages() or ["index.html"])
def test_the_book(name, width, browser):
    if not (SITE / name).is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    theme = "document.documentElement.dataset.theme"
    with visit(browser, (SITE / name).as_uri(), width) as here:
        complaints = {check.__name__: check(here) for check in CHECKS}
        assert {name: found for name, found in complaints.items() if found} == {}
        assert here.page.evaluate(theme) == "light"
        here.page.emulate_media(color_scheme="dark")  # night falls
        here.page.wait_for_function(f"{theme} === 'dark'", timeout=3_000)
        if width == WIDTHS["desktop"]:
            assert barriers(here) == []
        assert console_errors(here) == []


def test_a_search_from_disk_finds_pages_without_an_error(browser):
    with visit(browser, (SITE / "search.html").as_uri() + "?q=encoder") as here:
        here.page.get_by_text("Search finished").wait_for()
        assert here.page.locator("#search-results li").count() > 1
        assert (here.errors, here.requests) == ([], [])


@pytest.mark.parametrize("excluded", EXCLUDED)
def test_an_exclusion_is_still_needed(excluded, browser):
    with visit(browser, (SITE / pages()[0]).as_uri()) as here:
        found = barriers(here, set(EXCLUDED) - {excluded})
        assert [complaint.partition(":")[0] for complaint in found] == [excluded[0]]


# --- The checks themselves.

SOUND = """<!DOCTYPE html><html lang="en"><title>A page</title>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<main><h1>A page</h1>{}</main></html>"""
PIXEL = "data:image/gif;base64,R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs="
VIEW = '<script type="application/vnd.jupyter.widget-view+json">{}</script>'
SLIDER = f"""<div class="cell_output">{VIEW}<div class="jupyter-widgets">
<div role="slider" tabindex="0" aria-label="z" aria-valuenow="1" onkeydown="KEY">o</div>
<img src="{PIXEL}" alt="one"></div></div>"""
MATHJAX = f'<script src="{(vendor.VENDOR / "mathjax" / "tex-mml-chtml.js").as_uri()}"></script>'

FAULTS = [
    (unrendered_mathematics, r"<p>\(x\)</p>"),
    (unrendered_mathematics, r"<p>\[x\]</p>"),
    (unrendered_mathematics, "<p>$$x$$</p>"),
    (unrendered_mathematics, "<p>so $x$ is</p>"),
    (unrendered_mathematics, r"<p>\begin{align}</p>"),
    (unrendered_mathematics, MATHJAX + r"<p>\(\frac{x\)</p>"),
    (unrendered_mathematics, MATHJAX + r"<p>\(\nosuchmacro\)</p>"),
    (images_without_pixels, '<img src="gone.png" alt="gone">'),
    (images_without_pixels, '<img src="data:image/png;base64,AAAA" alt="broken" loading="lazy">'),
    (horizontal_overflow, '<div style="width: 391px">x</div>'),
    (horizontal_overflow, f"<p>{'x' * 400}</p>"),
    (horizontal_overflow, MATHJAX + r'<p style="overflow: hidden; width: 9px">\(x+y\)</p>'),
    (dead_widgets, VIEW),
    (dead_widgets, SLIDER.replace("KEY", "")),
    (dead_widgets, SLIDER.replace("KEY", "this.textContent += '-'")),
    (barriers, f'<img src="{PIXEL}">'),
    (barriers, '<p style="color: #999">hard to read</p>'),
    (console_errors, "<script>console.error('x')</script>"),
    (console_errors, "<script>throw Error('x')</script>"),
    (console_errors, "<script>Promise.reject(Error('x'))</script>"),
    (console_errors, '<script src="gone.js"></script>'),
    (outside_requests, '<img src="https://example.org/x.png" alt="x">'),
    (outside_requests, "<script>fetch('http://example.org').catch(() => 0)</script>"),
    (outside_requests, "<script>new WebSocket('wss://example.org')</script>"),
]


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_check_finds_its_fault(check, fault, browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(SOUND.replace("{}", fault), "utf-8")
    width = WIDTHS["desktop" if check is barriers else "phone"]
    with visit(browser, page.as_uri(), width) as here:
        found = check(here)
        for _ in range(60):
            if found:
                break
            here.page.wait_for_timeout(50)  # what the browser tells us may come a moment later
            found = check(here)
        assert found != []


def test_what_is_hard_to_read_in_the_dark_alone_is_found(browser, tmp_path):
    page = tmp_path / "page.html"
    style = "<style>@media (prefers-color-scheme: dark) { main { background: #333 } }</style>"
    page.write_text(SOUND.replace("{}", style), "utf-8")
    found = {}
    for scheme in SCHEMES:
        with visit(browser, page.as_uri(), WIDTHS["desktop"], scheme) as here:
            found[scheme] = [complaint.partition(":")[0] for complaint in barriers(here)]
    assert found == {"light": [], "dark": ["color-contrast"]}


def test_a_page_that_forgets_phones_is_found(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(re.sub("<meta name=.*>", "", SOUND), "utf-8")
    with visit(browser, page.as_uri()) as here:
        assert horizontal_overflow(here) != []


def test_a_sound_page_passes(browser, tmp_path):
    content = MATHJAX + r"<p>\(x\)</p> <p>It costs $5. <code>\(x\)</code></p>"
    content += (
        SLIDER.replace("KEY", "this.nextElementSibling.src += '#'")
        + '<a href="https://example.org">x</a>'
    )
    page = tmp_path / "page.html"
    page.write_text(SOUND.replace("{}", content), "utf-8")
    with visit(browser, page.as_uri()) as here:
        assert [complaint for check in CHECKS for complaint in check(here)] == []


def test_without_a_browser_the_tests_are_skipped_but_fail_in_continuous_integration():
    with pytest.raises(pytest.skip.Exception, match="install Debian's package chromium"):
        find_chromium({"PATH": ""}, usual="")
    with pytest.raises(pytest.fail.Exception, match="install Debian's package chromium"):
        find_chromium({"PATH": "", "CI": "true"}, usual="")
    with pytest.raises(pytest.fail.Exception, match="names no program: /gone"):
        find_chromium({"PATH": "", "GENLEARN_CHROMIUM": "/gone"}, usual="")
