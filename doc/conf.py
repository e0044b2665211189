"""Sphinx configuration: `make doc` builds the pages in doc/_build/html."""

import sparsedis

project = "sparsedis"
author = "The sparsedis developers"
project_copyright = f"2026, {author}"
version = release = sparsedis.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"
toc_object_entries_show_parents = "hide"

autosummary_generate = True
# The class template lists the members itself.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"sparsedis {release}"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"index": []}


def skip_what_others_document(app, what, name, obj, skip, options):
    """Leave out the methods that come from scikit-learn and torch as they are."""
    module = getattr(getattr(obj, "fget", obj), "__module__", None) or ""
    foreign = what == "class" and not module.startswith("sparsedis")
    return True if foreign else skip


def setup(app):
    """Register the filter of members."""
    app.connect("autodoc-skip-member", skip_what_others_document)
