"""The documentation site: Sphinx reads this file. `make site` builds it into `build/site`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tools.site import links, maths, navigation, notebooks, play, signatures  # noqa: E402

from deceive import __version__  # noqa: E402

project = "deceive"
author = "The deceive authors"
release = version = __version__
copyright = f"{author}, MIT licence"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_*"]
templates_path = ["_templates"]

# Markdown: anchors as on GitHub, and `$…$` for formulas.
myst_heading_anchors = 6
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # they are committed as they ran
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True

# Docstrings: single backticks are code, as in Markdown.
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # as the source has them
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseModel, Module, RowSchema, ValueError, tuple, object",
    "exclude-members": "model_config, model_post_init, with_traceback, add_note, count, index",
}
autoclass_content = "class"
toc_object_entries = False
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# No page asks another host for anything.
html_theme = "furo"
html_title = "deceive"
html_favicon = "../web/public/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/play.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "monokai"


def setup(app):
    """Add the parts of `tools/site`."""
    for each in (links, maths, navigation, notebooks, play, signatures):
        each.setup(app)
