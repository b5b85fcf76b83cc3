"""Configuration of the documentation; `sphinx-build -W docs docs/_build/html` builds it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import superposition

project = "superposition"
author = "The superposition developers"
copyright = "The superposition developers, MIT License"
release = version = superposition.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute"]

# Every page that holds code cells is run at every build: a cache would keep the numbers of an
# older library. While writing prose, -D nb_execution_mode=cache saves the time.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # of one cell, on a machine that does other work as well
nb_output_stderr = "remove"  # such as matplotlib's note on its first run; warnings are errors
nb_render_markdown_format = "myst"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Pages are run beside each other with -j, each on one core; see also `tests/conftest.py`.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Cells import `render`, which stands beside this file, and draw without a display.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
)
os.environ["MPLBACKEND"] = "agg"
os.environ["COLUMNS"] = "80"  # of what the command line prints, whoever builds
sys.path.insert(0, str(Path(__file__).parent))

default_role = "py:obj"
suppress_warnings = ["ref.python"]  # `n_features` is an argument here and an attribute elsewhere
add_module_names = False  # the title of a page names the package
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = True

html_theme = "furo"
html_title = "superposition"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["site.css"]


def _as_meant(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Print `.loss` as code, where it would refer to many attributes, and |u| as it stands."""
    literal = None  # the indentation of the line whose "::" began a literal block
    for k, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is None and not line.lstrip().startswith((">>>", "...")):
            code = re.sub(r"(?<!`)`(\.\w+)`(?!`)", r"``\1``", line)
            lines[k] = code if "``" in code else code.replace("|", r"\|")
        if literal is None and line.rstrip().endswith("::"):
            literal = indent


def _drop_unused_sources(app: Sphinx, env: BuildEnvironment) -> None:
    """Leave out source pages that no page links to: a parallel build collects more of them."""
    modules = getattr(env, "_viewcode_modules", {})
    for name in [name for name, entry in modules.items() if entry and not entry[2]]:
        del modules[name]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _as_meant)
    app.connect("env-updated", _drop_unused_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
