"""Keep the docstring of an attribute as it was written.

Napoleon reads what stands before the first colon as a type. Our docstrings are prose: in
"bf16: networks in bfloat16, likelihoods in float32" there is no type called bf16.
"""

ATTRIBUTES = {"attribute", "data", "property"}


def setup(app):
    """Take the docstring before napoleon (priority 500) sees it, and put it back afterwards."""
    written = {}

    def take(app, what, name, obj, options, lines):
        if what in ATTRIBUTES:
            written[name] = list(lines)

    def put_back(app, what, name, obj, options, lines):
        if what in ATTRIBUTES:
            lines[:] = written.pop(name)

    app.connect("autodoc-process-docstring", take, priority=400)
    app.connect("autodoc-process-docstring", put_back, priority=600)
    return {"parallel_read_safe": True}
