"""Sphinx: ``make docs`` builds the site offline, with warnings as errors."""

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

from ctran.version import __version__

lexers["csv"] = TextLexer()  # Pygments has none
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ctran"
author = "the ctran developers"
copyright = author
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "generated"]
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"ctran {__version__}"
html_theme_options = {"light_css_variables": {"color-brand-primary": "#186038", "color-brand-content": "#186038"}}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_use_rtype = False
highlight_language = "python"
