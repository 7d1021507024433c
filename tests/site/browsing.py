"""A browser and a visit to a page, for the tests that open the pages."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import playwright.sync_api as playwright
import pytest

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
LOOK = Path(__file__).with_name("look.js").read_text("utf-8")

WIDTHS = {"phone": 390, "desktop": 1280}
SCHEMES = ["light", "dark"]
NETWORK = re.compile("^(https?|wss?):", re.IGNORECASE)


# --- The browser: a Chromium of this system, never a downloaded one.

NO_BROWSER = "no browser: install Debian's package chromium, or name one in GENLEARN_CHROMIUM"


def find_chromium(environment: Mapping[str, str] = os.environ, usual="/usr/bin/chromium") -> str:
    """Return the browser's path. Without a browser skip the test, or fail where CI is set."""
    named = environment.get("GENLEARN_CHROMIUM")
    for command in [named] if named else [usual, "chromium"]:
        if path := shutil.which(command, path=environment.get("PATH", "")):
            return path
    if named:
        pytest.fail(f"GENLEARN_CHROMIUM names no program: {named}", pytrace=False)
    if environment.get("CI"):
        pytest.fail(NO_BROWSER, pytrace=False)
    pytest.skip(NO_BROWSER)


@contextmanager
def open_browser(folder: Path) -> Iterator[playwright.Browser]:
    """Start the browser, at home in a folder: the reader's may be empty, and stays so."""
    path = find_chromium()
    home = {"HOME": str(folder)}
    system = {name: text for name, text in os.environ.items() if not name.startswith("XDG_")}
    options = [
        "--no-sandbox",  # root cannot have one, and the pages are our own
        "--disable-gpu",
        "--disable-dev-shm-usage",  # in a container it is small
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever it asks for by itself: no answer
    ]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=options, env=system | home)
        yield browser
        browser.close()


# --- A visit.


@dataclass
class Visit:
    page: playwright.Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seen: dict[str, list[str]] = field(default_factory=dict)


@contextmanager
def visit(browser, address: str, width: int = 390, scheme: str = "light") -> Iterator[Visit]:
    """Open a page as a reader does who is offline, and look at it when nothing moves any more."""
    phone = width < 600
    context = browser.new_context(
        viewport={"width": width, "height": 844 if phone else 900},
        is_mobile=phone,
        has_touch=phone,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    here = Visit(context.new_page())

    def refuse(route) -> None:
        here.requests.append(route.request.url)
        route.abort()

    def note(message) -> None:
        # The browser's own complaint about a refused request would tell it a second time.
        if message.type == "error" and not NETWORK.match(message.location["url"]):
            here.errors.append(message.text)

    context.route(NETWORK, refuse)
    here.page.on("websocket", lambda socket: here.requests.append(socket.url))
    here.page.on("console", note)
    here.page.on("pageerror", lambda error: here.errors.append(error.message))
    try:
        here.page.goto(address)
        here.seen = here.page.evaluate(LOOK, width)
        yield here
    finally:
        context.close()
