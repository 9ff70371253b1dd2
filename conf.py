"""Sphinx 配置。编译全书：``python -m sphinx -b html -c . book _build/html``。

书自己的扩展在 ``book/_ext/bookcheck/``，各模块的分工见那里的 ``__init__.py``。
页面读起来不需要网络，这里不得引入任何外部地址；``tests/site`` 会断网打开每一页来核对。
"""

import gc
import sys
from pathlib import Path

# 文档树是成百万个互相引用的小对象：照缺省的频率找垃圾，要占去构建近两成的时间。
gc.set_threshold(100_000)

sys.path.insert(0, str(Path(__file__).parent / "book" / "_ext"))

project = "深度学习：理论与实践"
language = "zh_CN"
html_title = project
html_short_title = project

extensions = [
    "myst_nb",
    "sphinx_exercise",
    "sphinxcontrib.bibtex",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_togglebutton",
    "bookcheck.directives",
    "bookcheck.site",
    "bookcheck.svg",
    "bookcheck.search",
    "bookcheck.notebook",
]
exclude_patterns = ["_ext", "_expected", "_static", "_templates"]
templates_path = ["book/_templates"]
html_static_path = ["book/_static"]
html_css_files = ["book.css", "player.css"]
html_js_files = ["search.js", "book.js", "player.js"]

# ---- 代码格：由 bookcheck.directives 填入已经执行、核对过的结果，MyST-NB 不再执行。
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "显示这段代码"
nb_code_prompt_hide = "收起这段代码"

# ---- 编号与交叉引用
numfig = True
numfig_secnum_depth = 1
numfig_format = {
    "figure": "图 %s",
    "table": "表 %s",
    "code-block": "代码 %s",
    "section": "%s 节",
}
math_numfig = True
html_secnumber_suffix = "\u2002"
math_eqref_format = "式 {number}"
myst_heading_anchors = 0
exercise_style = "solution_follow_exercise"

# ---- 文献
bibtex_bibfiles = ["book/references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

# ---- 公式：MathJax 由 bookcheck.site 从已安装的包里取来，放进 _static。
mathjax_path = "tex-svg-full.js"
mathjax3_config = {
    "options": {"enableMenu": False},
    "svg": {"fontCache": "local", "mtextInheritFont": True},
    "tex": {"tags": "none"},
}

# ---- 主题
html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "toc_title": "本页",
    "search_bar_text": "搜索全书",
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "use_repository_button": False,
    "footer_content_items": [],
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
html_domain_indices = False
copybutton_exclude = ".linenos, .gp, .go"
togglebutton_hint = "点击展开"
togglebutton_hint_hide = "点击收起"
