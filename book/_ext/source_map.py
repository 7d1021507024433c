"""Where each section of the sources has its home in the book, or will have it.

The record is ``book/source_map.yml``.
"""

from pathlib import Path

import records

CHAPTERS = {f"{number:02d}" for number in range(1, 27)}
PAGES = {"FAQ", "tools"}


def sections(root: Path) -> dict[str, dict]:
    """All sections, by id."""
    sources = records.load(root, "source_map")["sources"]
    return {
        id_: entry
        for source in sources.values()
        for id_, entry in source["sections"].items()
    }


def complaints(root: Path, places: set[str]) -> list[str]:
    """Say what is wrong with the map, given the labels and documents of the built book."""
    written = {
        records.chapter_number(d)
        for d in records.documents(root)
        if records.is_chapter(d)
    }
    outline, mapped = records.source_sections(root), sections(root)
    found = [
        f"{id_}: no section of a source"
        for id_ in sorted(set(mapped) - outline)
    ]
    found += [f"{id_}: not in the map" for id_ in sorted(outline - set(mapped))]
    for id_, entry in mapped.items():
        home, planned = entry.get("home", []), entry.get("planned", [])
        if extra := set(entry) - {"treats", "home", "planned"}:
            found.append(f"{id_}: does not know {', '.join(sorted(extra))}")
        if not entry.get("treats"):
            found.append(f"{id_}: does not say what it treats")
        if not home and not planned:
            found.append(f"{id_}: has no home, and none is planned")
        found += [
            f"{id_}: {label} is no place in the book"
            for label in home
            if label not in places
        ]
        for name in planned:
            if name in written:
                found.append(
                    f"{id_}: chapter {name} is written; name the label of the place in it"
                )
            elif name not in CHAPTERS | PAGES:
                found.append(f"{id_}: {name!r} is no chapter")
    return found


def summary(root: Path) -> str:
    """One line that says how far the book is."""
    entries = list(sections(root).values())
    waiting = sum(1 for entry in entries if entry.get("planned"))
    places = sum(len(entry.get("planned", [])) for entry in entries)
    return (
        f"of {len(entries)} sections of the sources {len(entries) - waiting} have their full "
        f"treatment, {waiting} wait for {places} planned places"
    )


def page(root: Path) -> str:
    """Make the page of the map, as Markdown: what each section treats, and where it is treated."""
    lines = []
    for name, source in records.load(root, "source_map")["sources"].items():
        lines += [f"## {name}", "", f"{source['about']}.", ""]
        lines += ["| section | treats | where |", "| --- | --- | --- |"]
        for id_, entry in source["sections"].items():
            where = [_link(root, place) for place in entry.get("home", [])]
            if planned := entry.get("planned"):
                where.append(f"*planned: {', '.join(planned)}*")
            lines.append(
                f"| {id_} | {entry['treats']} | {'<br>'.join(where)} |"
            )
        lines.append("")
    return "\n".join(lines)


def _link(root: Path, place: str) -> str:
    if place in records.documents(root):
        return f"{{doc}}`{place}`"
    if place.startswith("ex-"):
        return f"{{ref}}`an exercise <{place}>`"
    return f"{{ref}}`{place}`"
