"""The pages that `make book` built hold together.

Each check takes the folder of a site and returns its complaints. Each is also shown a page with the
fault that it is there to find.
"""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
TOC = ROOT / "book" / "_toc.yml"

ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}
FOREIGN = {"_static", "vendor"}  # folders of the theme and of libraries, with HTML of their own
MACHINE = sorted({str(ROOT), str(Path.home())} - {"/"})
LEFT_OVER = re.compile(
    r"\?\?\?|\{(?:eq|ref|numref|doc|term|math|cite(?::\w+)?|glue(?::\w+)?|prf:ref)\}"
)


@cache
def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def own_files(site: Path, *suffixes: str) -> list[Path]:
    """The files of a site that are made from the book."""
    files = [path for path in sorted(site.rglob("*")) if path.suffix in suffixes]
    return [path for path in files if path.relative_to(site).parts[0] not in FOREIGN]


def pages(site: Path) -> dict[str, BeautifulSoup]:
    """Name of each page → its content."""
    return {str(path.relative_to(site)): read(path) for path in own_files(site, ".html")}


def redirection(page: BeautifulSoup) -> str | None:
    """Where a page that only points to another one leads."""
    meta = page.find("meta", attrs={"http-equiv": re.compile("^refresh$", re.IGNORECASE)})
    return meta and meta["content"].partition("url=")[2]


def dangling_links(site: Path) -> list[str]:
    """Links, pictures and scripts of the site itself that are not there, with their fragment."""
    complaints = []
    for name, page in pages(site).items():
        addresses = {tag.get(ADDRESSES[tag.name]) for tag in page(list(ADDRESSES))}
        for address in sorted((addresses | {redirection(page)}) - {None, "", "#"}):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue  # elsewhere
            here = site / name
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            fragment = unquote(parts.fragment)
            if not target.is_file():
                complaints.append(f"{name}: {address} leads nowhere")
            elif fragment and not read(target).find(attrs={"id": fragment}):
                complaints.append(f"{name}: {address} leads to a page without that place")
    return complaints


def images_without_alt(site: Path) -> list[str]:
    """Pictures that say nothing to someone who cannot see them."""
    return [
        f"{name}: {image.get('src')} has no alt text"
        for name, page in pages(site).items()
        for image in page("img")
        if not (image.get("alt") or "").strip()
    ]


def unresolved_markup(site: Path) -> list[str]:
    """What a reader sees of a reference or a directive that was not understood."""
    complaints = []
    for name, page in pages(site).items():
        marked = page.select(".problematic, .system-message")
        complaints += [f"{name}: {tag.get_text()!r} was not understood" for tag in marked]
        for text in page.find_all(string=LEFT_OVER):
            # Code may well say {eq}, and \mathrm{ref} is mathematics.
            if not text.find_parent(["pre", "code", "script", "style", "title"]) and not (
                text.find_parent(class_="math")
            ):
                complaints.append(f"{name}: {text.strip()[:80]!r} holds unresolved markup")
    return complaints


def pages_without_title_or_language(site: Path) -> list[str]:
    """Pages that a screen reader could not announce, or would pronounce wrongly."""
    return [
        f"{name}: has no title or no language"
        for name, page in pages(site).items()
        if not redirection(page)
        and not (page.title and page.title.get_text(strip=True) and page.html.get("lang"))
    ]


def paths_of_this_machine(site: Path) -> list[str]:
    """Pages that name folders of the machine on which the book was built."""
    path = re.compile("|".join(rf"{re.escape(folder)}(?![\w-])" for folder in MACHINE))
    return [
        f"{file.relative_to(site)}: names {found[0]}"
        for file in own_files(site, ".html", ".ipynb", ".js")
        if (found := path.search(file.read_text("utf-8")))
    ]


def documents(entry: dict) -> list[str]:
    """The documents that an entry of the table of contents, and those below it, name."""
    below = [e for key in ("parts", "chapters", "sections") for e in entry.get(key, [])]
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [name for e in below for name in documents(e)]


def missing_pages(site: Path, toc: Path = TOC) -> list[str]:
    """Documents of the table of contents that have no page."""
    names = documents(yaml.safe_load(toc.read_text("utf-8")))
    return [f"{name} was not built" for name in names if not (site / f"{name}.html").is_file()]


CHECKS = [
    dangling_links,
    images_without_alt,
    unresolved_markup,
    pages_without_title_or_language,
    paths_of_this_machine,
    missing_pages,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_book(check):
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    assert check(SITE) == []


SOUND = '<html lang="en"><title>A page</title><h1 id="top">A page</h1>{}</html>'
FAULTS = [
    (dangling_links, '<a href="gone.html">x</a>'),
    (dangling_links, '<a href="page.html#gone">x</a>'),
    (dangling_links, '<a href="#gone">x</a>'),
    (dangling_links, '<img src="gone.png" alt="a picture">'),
    (dangling_links, '<script src="_static/gone.js?v=1"></script>'),
    (dangling_links, '<meta http-equiv="Refresh" content="0; url=gone.html">'),
    (images_without_alt, '<img src="data:image/png;base64,">'),
    (images_without_alt, '<img src="data:image/png;base64," alt=" ">'),
    (unresolved_markup, "<p>see ???</p>"),
    (unresolved_markup, "<p>by {eq}<code>eq-elbo</code></p>"),
    (unresolved_markup, "<p>{cite:t}`kingma2013vae`</p>"),
    (unresolved_markup, "<p>```{math}</p>"),
    (unresolved_markup, '<span class="problematic">`x`</span>'),
    (unresolved_markup, '<div class="system-message">unknown role</div>'),
    *((paths_of_this_machine, f"<p>{folder}/book/intro.md</p>") for folder in MACHINE),
]


@pytest.mark.parametrize(("check", "fault"), FAULTS)
def test_a_check_finds_its_fault(check, fault, tmp_path):
    (tmp_path / "page.html").write_text(SOUND.format(fault), "utf-8")
    assert len(check(tmp_path)) == 1


@pytest.mark.parametrize(
    "page",
    [
        "<html><title>A page</title></html>",
        '<html lang="en"></html>',
        '<html lang="en"><title> </title></html>',
    ],
)
def test_a_missing_title_or_language_is_found(page, tmp_path):
    (tmp_path / "page.html").write_text(page, "utf-8")
    assert len(pages_without_title_or_language(tmp_path)) == 1


def test_a_missing_page_is_found(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("{root: intro, parts: [{chapters: [{file: a, sections: [{file: b}]}]}]}")
    (tmp_path / "a.html").touch()
    assert missing_pages(tmp_path, toc) == ["intro was not built", "b was not built"]


def test_a_sound_page_passes(tmp_path):
    content = r"""
        <a href="#top">x</a> <a href="page.html?q=1#top">x</a> <a href="https://example.org/">x</a>
        <span class="math">\mathrm{ref}</span> <pre>{eq}</pre>
    """
    (tmp_path / "page.html").write_text(SOUND.replace("{}", content), "utf-8")
    assert [complaint for check in CHECKS[:-1] for complaint in check(tmp_path)] == []
