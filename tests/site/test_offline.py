"""The pages need no network: all that a browser loads for them lies beside them.

Each check takes the folder of a site and returns its complaints. Each is also shown a folder with
the fault that it is there to find.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import vendor

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"

# What a browser loads by itself. A link that a reader may follow (<a>, canonical, next) is none.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
LOADED_LINKS = {
    "dns-prefetch",
    "icon",
    "modulepreload",
    "preconnect",
    "prefetch",
    "preload",
    "stylesheet",
}
OUTSIDE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
IN_CSS = re.compile(r"""(?:url\(|@import(?!\s*url))\s*["']?([^"')\s;]+)""", re.IGNORECASE)


def addresses_in_css(css: str) -> list[str]:
    return IN_CSS.findall(COMMENT.sub("", css))


def addresses_in_page(html: str) -> list[str]:
    """Addresses that a browser asks for while it shows a page."""
    page = BeautifulSoup(html, "html.parser")
    tags = [
        tag
        for tag in page(list(LOADED))
        if tag.name != "link" or LOADED_LINKS & {rel.lower() for rel in tag.get("rel", [])}
    ]
    sets = [part for tag in page(srcset=True) for part in tag["srcset"].split(",")]
    styles = [tag.get_text() for tag in page("style")] + [tag["style"] for tag in page(style=True)]
    found = [tag.get(LOADED[tag.name]) or "" for tag in tags]
    return found + sets + [address for css in styles for address in addresses_in_css(css)]


def outside_requests(site: Path) -> list[str]:
    """Pages and style sheets that load something from another host."""
    files = {
        **dict.fromkeys(sorted(site.rglob("*.html")), addresses_in_page),
        **dict.fromkeys(sorted(site.rglob("*.css")), addresses_in_css),
    }
    return [
        f"{path.relative_to(site)}: loads {address.strip()}"
        for path, addresses in files.items()
        for address in addresses(path.read_text("utf-8"))
        if OUTSIDE.match(address)
    ]


def addresses_of_download_hosts(site: Path) -> list[str]:
    """Vendored scripts that would fetch from elsewhere what they miss here."""
    return [
        f"{path.relative_to(site)}: holds {found[0].decode()}"
        for path in sorted((site / "vendor").rglob("*.js"))
        if (found := vendor.ADDRESS.search(path.read_bytes()))
    ]


def changed_vendored_files(site: Path) -> list[str]:
    """Vendored files that are not those of the manifest."""
    return vendor.differences(site / "vendor")


@pytest.mark.parametrize(
    "check",
    [outside_requests, addresses_of_download_hosts, changed_vendored_files],
    ids=lambda check: check.__name__,
)
def test_the_book(check):
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    assert check(SITE) == []


@pytest.mark.parametrize(
    "fault",
    [
        '<script src="https://example.org/x.js"></script>',
        '<script defer src="//example.org/x.js"></script>',
        '<link rel="stylesheet" href="HTTP://example.org/x.css">',
        '<link rel="preload" as="font" href="https://example.org/x.woff2">',
        '<link rel="preconnect" href="https://example.org">',
        '<img src="//example.org/x.png">',
        '<img srcset="x.png 1x, https://example.org/x.png 2x">',
        '<iframe src="https://example.org/"></iframe>',
        '<p style="background: url(https://example.org/x.png)"></p>',
        '<style>@font-face { src: url("//example.org/x.woff2") }</style>',
    ],
)
def test_an_outside_request_of_a_page_is_found(fault, tmp_path):
    (tmp_path / "page.html").write_text(fault, "utf-8")
    assert len(outside_requests(tmp_path)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "p { background: url(https://example.org/x.png) }",
        "@font-face { src: url( '//example.org/x.woff2' ) }",
        '@import "https://example.org/x.css";',
        "@import url(https://example.org/x.css);",
    ],
)
def test_an_outside_request_of_a_style_sheet_is_found(fault, tmp_path):
    (tmp_path / "style.css").write_text(fault, "utf-8")
    assert len(outside_requests(tmp_path)) == 1


def test_what_lies_beside_a_page_or_waits_for_a_click_passes(tmp_path):
    content = """
        <a href="https://example.org/">x</a> <link rel="canonical" href="https://example.org/">
        <script src="_static/x.js"></script> <script>x = "//";</script>
        <img src="data:image/png;base64,//8="> <p style="background: url(x.png)"></p>
    """
    (tmp_path / "page.html").write_text(content, "utf-8")
    (tmp_path / "style.css").write_text("/* url(https://example.org/) */ p { src: url(x) }")
    assert outside_requests(tmp_path) == []


def test_the_address_of_a_download_host_is_found(tmp_path):
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "x.js").write_text('load("https://cdn.example.org/npm/" + name)')
    assert len(addresses_of_download_hosts(tmp_path)) == 1


def run_check(root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/vendor.py", "--check"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_vendored_files_agree_with_the_manifest():
    done = run_check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (lambda folder: (folder / "require.js").unlink(), "missing: require.js"),
        (lambda folder: (folder / "require.js").write_text("x"), "changed: require.js"),
        (lambda folder: (folder / "extra.js").touch(), "not in the manifest: extra.js"),
    ],
    ids=["missing", "changed", "extra"],
)
def test_a_difference_from_the_manifest_is_found(fault, complaint, tmp_path):
    for original in vendor.PACKAGES:
        shutil.copytree(original, tmp_path / original.relative_to(ROOT))
    folder = tmp_path / vendor.VENDOR.relative_to(ROOT)
    (tmp_path / "tools").mkdir()
    shutil.copy(vendor.__file__, tmp_path / "tools")
    fault(folder)
    done = run_check(tmp_path)
    assert (done.returncode, done.stdout) == (1, complaint + "\n")
    assert changed_vendored_files(folder.parent) == [complaint]
