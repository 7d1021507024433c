"""Refresh or check the JavaScript that is kept here instead of loaded from a network.

python tools/vendor.py           download the packages below with npm and rewrite their folders
python tools/vendor.py --check   compare the files with manifest.json; exit 1 and name what differs
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "book" / "_extra" / "vendor"  # what the pages load
TEST_VENDOR = ROOT / "tests" / "site" / "vendor"  # what the tests load into the pages
WIDGETS = "@jupyter-widgets/html-manager"

# folder here: package: exact version, folder below it, folder inside the package, files to copy
PACKAGES = {
    VENDOR: {
        "mathjax": (
            "3.2.2",
            "mathjax",
            "es5",
            ["tex-mml-chtml.js", "output/chtml/fonts/woff-v2/*.woff", "input/tex/extensions/*.js"],
        ),
        "requirejs": ("2.3.8", ".", ".", ["require.js"]),
        # embed-amd.js holds every core widget; only the fonts of its icons lie beside it.
        WIDGETS: ("1.0.15", "@jupyter-widgets", "dist", ["embed-amd.js", "*.woff2"]),
    },
    TEST_VENDOR: {"axe-core": ("4.14.1", ".", ".", ["axe.min.js"])},
}
# TeX extensions that tex-mml-chtml.js already contains, and the bundle of all the others.
IN_BUNDLE = {"all-packages", "ams", "autoload", "configmacros", "newcommand", "noundefined"}
BY_HAND = {"manifest.json", "menu-settings.js", "require-config.js", "LICENSE-requirejs.txt"}

# Where the code would look for a file that is missing here. Without it, missing stays missing.
ADDRESS = re.compile(rb"https://cdn\.[a-z.]+/npm/")
NOTICE = b"/* Changed from the published file: the address of a download host is removed. */\n"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_addresses(content: bytes) -> bytes:
    return NOTICE + ADDRESS.sub(b"", content) if ADDRESS.search(content) else content


def bundled_licences(modules: Path) -> str:
    """Return the licences of the packages from which the widget bundle was compiled."""
    sources = json.loads((modules / WIDGETS / "dist/embed.js.map").read_text("utf-8"))["sources"]
    paths = [source.rpartition("node_modules/")[2] for source in sources]
    names = sorted({match[0] for path in paths if (match := re.match(r"(@[^/]+/)?[^/]+", path))})
    owners: dict[str, list[str]] = {}  # many packages share one text
    for name in names:
        if (modules / name / "package.json").is_file():
            files = sorted(f for f in (modules / name).iterdir() if f.stem.lower() == "license")
            meta = json.loads((modules / name / "package.json").read_text("utf-8"))
            # Only packages of Project Jupyter come without a text; they declare the same licence.
            assert files or meta["license"] == "BSD-3-Clause", f"{name} has no licence text"
            text = (files or [modules / "@jupyter-widgets/base7/LICENSE"])[0].read_text("utf-8")
            owners.setdefault(text.strip(), []).append(name)
    rule = "\n\n" + "-" * 80 + "\n\n"
    return rule.join(f"{', '.join(who)}:\n\n{text}" for text, who in owners.items()) + "\n"


def licence_text(name: str, modules: Path) -> str:
    """Return the licence of a package and of what it contains."""
    if name == WIDGETS:
        return bundled_licences(modules)
    # A package that contains others keeps their licences in a second file.
    files = sorted((modules / name).glob("LICENSE*"))
    return "\n".join(file.read_text("utf-8") for file in files)


def refresh(folder: Path, modules: Path) -> None:
    """Replace the files in a folder by those of the installed packages; write its manifest."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in BY_HAND:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    manifest = []
    for name, (version, below, inside, patterns) in PACKAGES[folder].items():
        package, files = modules / name, []
        for source in (p for pattern in patterns for p in (package / inside).glob(pattern)):
            if source.stem not in IN_BUNDLE:
                files.append(folder / below / source.relative_to(package / inside))
                files[-1].parent.mkdir(parents=True, exist_ok=True)
                files[-1].write_bytes(without_addresses(source.read_bytes()))
        files.append(folder / f"LICENSE-{name.rpartition('/')[2]}.txt")
        if files[-1].name not in BY_HAND:
            files[-1].write_text(licence_text(name, modules), "utf-8", newline="\n")
        licence = json.loads((package / "package.json").read_text("utf-8"))["license"]
        hashes = {f.relative_to(folder).as_posix(): sha256(f) for f in sorted(files)}
        entry = {"package": name, "version": version, "licence": licence, "files": hashes}
        manifest.append(entry)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", newline="\n")


def differences(folder: Path = VENDOR) -> list[str]:
    """Return one line for each file that is missing, changed or not in the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    expected = {path: digest for entry in manifest for path, digest in entry["files"].items()}
    present = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    found = {path: sha256(file) for path, file in present.items() if path in expected}
    missing = [f"missing: {path}" for path in expected.keys() - found.keys()]
    changed = [f"changed: {path}" for path, digest in found.items() if digest != expected[path]]
    extra = [f"not in the manifest: {path}" for path in present.keys() - expected.keys() - BY_HAND]
    return sorted(missing + changed + extra)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare with the manifest")
    if not parser.parse_args().check:
        with tempfile.TemporaryDirectory() as folder:
            # An installation, not `npm pack`: the licences of bundled packages are needed too.
            npm = [shutil.which("npm") or "npm", "install", "--prefix", folder, "--ignore-scripts"]
            packages = (item for group in PACKAGES.values() for item in group.items())
            wanted = [f"{name}@{version}" for name, (version, *_) in packages]
            subprocess.run([*npm, "--no-audit", "--no-fund", *wanted], check=True)
            for vendor in PACKAGES:
                refresh(vendor, Path(folder) / "node_modules")
    problems = [problem for vendor in PACKAGES for problem in differences(vendor)]
    print("\n".join(problems) or "vendored files agree with the manifest")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
