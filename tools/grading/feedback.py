"""The page that a student gets back.

It shows marks, what a failed test says, and the student's own cells with their outputs. It does not
show the tests, so the hidden ones can be used again; nbgrader's own feedback shows them.
"""

from typing import Any

import jinja2
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode

from grading import twin
from grading.outcome import GRADED, MEANING, Outcome

LONGEST = 20_000  # characters shown of one output

TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ outcome.student }}: {{ total }} of {{ most }} points</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid #8888; }
td.points, td code { white-space: nowrap; }
pre { overflow-x: auto; padding: .6rem; border-left: 3px solid #8888; margin: .3rem 0; }
pre.error { border-color: #c33; }
</style>
</head>
<body>
<h1>{{ outcome.student }}: {{ total }} of {{ most }} points</h1>
{% if outcome.status != graded %}
<p><strong>{{ outcome.status }}</strong>: {{ meaning }}.</p>
{% endif %}
{% if outcome.notes %}
<ul>
{% for note in outcome.notes %}
<li>{{ note }}</li>
{% endfor %}
</ul>
{% endif %}
<table>
<thead><tr>
<th scope="col">task</th><th scope="col">cell</th><th scope="col">points</th>
<th scope="col">what the tests say</th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr><td>{{ row.task }}</td><td><code>{{ row.cell }}</code></td>
<td class="points">{{ row.points }} of {{ row.most }}</td>
<td>{{ row.says }}</td></tr>
{% endfor %}
</tbody>
</table>
{% if cells %}
<h2>Your cells, as they ran</h2>
{% for cell in cells %}
<pre>{{ cell.source }}</pre>
{% for output in cell.outputs %}
<pre{% if output.failed %} class="error"{% endif %}>{{ output.text }}</pre>
{% endfor %}
{% endfor %}
{% endif %}
</body>
</html>
"""
)


def page(outcome: Outcome, notebook: NotebookNode | None, release: NotebookNode) -> str:
    """HTML that needs nothing from elsewhere.

    Args:
        outcome: marks and notes.
        notebook: the submission as it ran; None if it could not be.
        release: what students were given: the tasks and their points.
    """
    most = twin.points(release)
    titles = headings(release)
    says = {name_of(cell): verdict(cell) for cell in twin.graded_cells(notebook or release)}
    rows = [
        {
            "task": titles[name],
            "cell": name.removesuffix("-tests"),
            "points": f"{outcome.points.get(name, 0.0):g}",
            "most": f"{points:g}",
            "says": says[name] if name in outcome.points else "not graded",
        }
        for name, points in most.items()
    ]
    return TEMPLATE.render(
        outcome=outcome,
        graded=GRADED,
        meaning=MEANING[outcome.status],
        total=f"{sum(outcome.points.values()):g}",
        most=f"{sum(most.values()):g}",
        rows=rows,
        cells=own_cells(notebook) if notebook else [],
    )


def name_of(cell: NotebookNode) -> str:
    """Name of a graded cell."""
    return cell.metadata.nbgrader.grade_id


def headings(notebook: NotebookNode) -> dict[str, str]:
    """Name of each graded cell → the heading that it stands under, without the points."""
    found, latest = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines = [line for line in cell.source.splitlines() if line.startswith("#")]
            latest = lines[-1].lstrip("# ").partition(" (")[0] if lines else latest
        elif cell.metadata.get("nbgrader", {}).get("grade"):
            found[name_of(cell)] = latest
    return found


def verdict(cell: NotebookNode) -> str:
    """What a cell of tests says: the message of the test that failed, or "passed"."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            if output.ename == "NotImplementedError":
                return "no answer yet"
            message = strip_ansi(output.evalue)[:LONGEST]
            plain = output.ename in ("AssertionError", "BeyondLimit") and message
            return message if plain else f"{output.ename}: {message}"
    return "passed"


def own_cells(notebook: NotebookNode) -> list[dict[str, Any]]:
    """The student's own code cells, with what they show."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("locked"):
            outputs = [shown(output) for output in cell.outputs]
            cells.append({"source": cell.source, "outputs": outputs})
    return cells


def shown(output: NotebookNode) -> dict[str, Any]:
    """An output as text; of pictures and the like only what stands for them."""
    if output.output_type == "error":
        text = "\n".join(output.traceback)
    elif output.output_type == "stream":
        text = output.text
    else:
        text = output.data.get("text/plain", "(no text)")
    return {"text": strip_ansi(text)[:LONGEST], "failed": output.output_type == "error"}
