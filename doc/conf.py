"""Sphinx configuration: `make doc` builds the pages in doc/_build/html."""

import os
import re
import sys
from functools import partial
from inspect import getdoc
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

import sparsedis

ROOT = Path(__file__).parents[1]
# For gallery_order.py.
sys.path.insert(0, str(ROOT / "doc"))

project = "sparsedis"
author = "The sparsedis developers"
project_copyright = f"2026, {author}"
version = release = sparsedis.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"
toc_object_entries_show_parents = "hide"

# Every reference must lead somewhere, but for those to other packages, which are shown
# as code: the documentation builds without a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(celer|joblib|matplotlib|numpy|sklearn|skorch|torch)\b.*"),
]

autosummary_generate = True
# Docstrings say more of types than annotations do.
autodoc_typehints = "none"
# The API reference spells out every name, so that a test can compare it with the code.
suppress_warnings = ["autosummary.import_cycle"]
# The class template lists the members itself.
numpydoc_show_class_members = False

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The examples take minutes: `make doc GALLERY=1` runs those that have changed since
# they were run last, and shows what they print and plot.
sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "plot_gallery": bool(os.environ.get("GALLERY")),
    "within_subsection_order": "gallery_order.RealProblemsFirst",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sparsedis",),
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
}

# The pictures of the guide are drawn by the snippets that it shows.
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 100)]

html_theme = "pydata_sphinx_theme"
html_title = f"sparsedis {release}"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_extra_path = ["_extra"]
html_css_files = ["sparsedis.css"]
html_js_files = ["breaks.js"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "sparsedis", "alt_text": "sparsedis: home"},
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "show_toc_level": 2,
}
html_sidebars = {
    "index": [],
    "getting_started": [],
    "api": [],
    "paper": [],
    "beyond_paper": [],
    "changelog": [],
}


def skip_what_others_document(app, what, name, obj, skip, options):
    """Leave out the methods that come from scikit-learn and torch as they are."""
    module = getattr(getattr(obj, "fget", obj), "__module__", None) or ""
    foreign = what == "class" and not module.startswith("sparsedis")
    return True if foreign else skip


def list_methods_of_sklearn(app, what, name, obj, options, lines):
    """Name the methods that a class has from scikit-learn below its docstring."""
    if what != "class":
        return
    found = []
    for key in dir(obj):
        member = getattr(obj, key)
        if key[0] == "_" or not callable(member):
            continue
        if member.__module__.startswith("sklearn"):
            # References to pages of scikit-learn become plain text.
            summary = re.sub(r":ref:`(.*?) <.*?>`", r"\1", getdoc(member))
            found.append(f"- ``{key}``: {summary.splitlines()[0]}")
    if found:
        lines += ["", ".. rubric:: Methods of scikit-learn", "", *found, ""]


def look_at_the_top(app, env, node, contnode):
    """Find public names of sparsedis itself from the pages of its modules."""
    if node.get("refdomain") != "py":
        return None
    return env.get_domain("py").resolve_xref(
        env,
        node["refdoc"],
        app.builder,
        node["reftype"],
        f"sparsedis.{node['reftarget']}",
        node,
        contnode,
    )


def write_formula(self, node, display="inline"):
    """Write a formula as MathML, which browsers show without a script or a network."""
    formula = convert(node.astext(), display=display)
    if "\\" in formula:
        raise ValueError(f"latex2mathml does not know all of {node.astext()!r}.")
    self.body.append(formula)
    raise SkipNode


def setup(app):
    """Register the formulas, the lists of members, and the search for names."""
    block = partial(write_formula, display="block")
    app.add_html_math_renderer("mathml", (write_formula, None), (block, None))
    app.connect("autodoc-skip-member", skip_what_others_document)
    # After numpydoc, which writes the docstring anew.
    app.connect("autodoc-process-docstring", list_methods_of_sklearn, priority=900)
    app.connect("missing-reference", look_at_the_top)
