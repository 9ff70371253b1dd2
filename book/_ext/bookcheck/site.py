"""网页的杂务：离线的公式、主题里没译的词、中文断行、“尚未写成”的章。

每一项都是几行，互不相干：

- :func:`tools_digest`：核对工具、模板或图的样式改了，全部页面重做。
- :func:`add_mathjax`：公式用 MathJax，取自已安装的 ``sphinx-mathjax-offline``，不进仓库。
- :class:`Wording`：主题的中文译文有缺有误，这里补正。
- :class:`JoinLines`、:class:`KeepPunctuation`：中文的换行，行首、行尾的标点；
  :class:`SpaceRows`：多行公式的行距。
- :class:`DropRepeatedIds`、:func:`fix_roles`：别的扩展生成的、不合无障碍规范的标记。
- :func:`fade_unwritten`：把还没写成的章在目录里淡下去。
"""

from __future__ import annotations

import gettext
import re
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.locale import translators
from sphinx.transforms.post_transforms import SphinxPostTransform

from bookcheck import deps

MATHJAX = "tex-svg-full.js"
WORDING = {
    "previous": "上一页",
    "next": "下一页",
    "Home": "首页",
    "Breadcrumb": "当前位置",
    "Color mode": "颜色模式",
    "Light": "浅色",
    "Dark": "深色",
    "System Settings": "跟随系统",
    "Skip to main content": "跳到正文",
    "Solution": "解答",
    "Link to this heading": "本节链接",
    "Link to this equation": "本式链接",
    "Link to this image": "本图链接",
    "Link to this code": "本段代码链接",
    "Link to this table": "本表链接",
    "Link to this definition": "本条链接",
    "Link to this term": "本条链接",
}
CLOSING = "，。；：、！？）】》”’…,.;:!?)]"
OPENING = "（【《“‘"
# 高出一行的写法；自己有行有列的环境。
TALL = re.compile(r"\\[td]?frac|\\sum|\\int|\\prod|\\under|\\over|matrix\}")
GRID = r"(?:\w*matrix|cases|array)\}"
# 汉字、中文标点、全角字符。
CJK = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef“”‘’…—"
_TOUCH = re.compile(rf"[{CJK}]{{2}}")
_TOC_ITEM = re.compile(r'<li class="(toctree-l1[^"]*)"><a class="[^"]*" href="([^"#]*)')


def tools_digest(root: Path) -> str:
    """生成网页所用的程序与模板的摘要；Sphinx 自己只看配置与源文件。"""
    files = [
        *sorted((root / "book" / "_ext").rglob("*.py")),
        *sorted((root / "book" / "_templates").glob("*.html")),
        root / "dlbook" / "plot" / "style.py",
    ]
    return deps.digest("".join(deps.digest_file(file, root) for file in files))


def add_mathjax(app: Sphinx) -> None:
    """把 MathJax 的单文件版加进 ``_static``；``file://`` 下也不再请求别的文件。"""
    files = distribution("sphinx-mathjax-offline").files or []
    found = [Path(str(f.locate())) for f in files if f.name == MATHJAX]
    if not found:
        message = f"sphinx-mathjax-offline 里没有 {MATHJAX}，请按 constraints.txt 重装"
        raise FileNotFoundError(message)
    app.config.html_static_path.append(str(found[0]))


class Wording(gettext.NullTranslations):
    """先查 :data:`WORDING`，没有再用原来的译文。"""

    def gettext(self, message: str) -> str:
        return WORDING.get(message) or super().gettext(message)


def fix_wording(app: Sphinx, _config: object) -> None:
    """在 Sphinx 与主题的译文之前插入我们的。"""
    for key in (("general", "sphinx"), ("general", "booktheme"), ("general", "exercise")):
        ours = Wording()
        if key in translators:
            ours.add_fallback(translators[key])
        translators[key] = ours
    app.translator = translators["general", "sphinx"]


class JoinLines(SphinxPostTransform):
    """中文段落里，源文件为排版而写的换行与空格不应显示成空格。

    - 两个中文字符之间的换行去掉；
    - 段首独占一行的粗体（如“常见问题”里的问题）之后换行；
    - ``**术语（term）** 后面`` 的空格去掉：CommonMark 要求写它，否则粗体不成立。
    """

    default_priority = 900

    def run(self, **_: object) -> None:
        for block in list(self.document.findall(nodes.TextElement)):
            if not isinstance(block, nodes.FixedTextElement):
                block[:] = self._joined([c for c in block.children if c != ""])

    def _joined(self, children: list[nodes.Node]) -> list[nodes.Node]:
        result = []
        for at, node in enumerate(children):
            before = children[at - 1] if at else None
            after = children[at + 1].astext() if at + 1 < len(children) else ""
            # MyST 把段落里的换行单独放在一个文字节点里。
            if before is not None and isinstance(node, nodes.Text):
                if node == "\n" and at == 1 and isinstance(before, nodes.strong):
                    node = nodes.raw("", "<br/>", format="html")
                elif node == "\n" and _touch(before.astext(), after):
                    continue
                elif isinstance(before, nodes.strong) and node.startswith(" "):
                    trimmed = node.removeprefix(" ")
                    node = nodes.Text(trimmed) if _touch(before.astext(), trimmed) else node
            result.append(node)
        return result


def _touch(before: str, after: str) -> bool:
    """前一段的末字与后一段的首字都是中文。"""
    return bool(_TOUCH.match(before[-1:] + after[:1]))


class KeepPunctuation(SphinxPostTransform):
    """行内公式与紧跟其后的标点、紧挨在前的开括号不分行。

    公式排成图形，浏览器允许在它与标点之间换行，于是句号会跑到下一行行首，开括号留在上一行行尾。
    """

    default_priority = 910

    def run(self, **_: object) -> None:
        for formula in list(self.document.findall(nodes.math)):
            parent = formula.parent
            at = parent.index(formula)
            before = _text_at(parent, at - 1)
            after = _text_at(parent, at + 1)
            opening = before[-1:] if before[-1:] in OPENING else ""
            closing = after[:1] if after[:1] in CLOSING else ""
            if opening or closing:
                kept = nodes.Text(opening), formula.deepcopy(), nodes.Text(closing)
                parent[at - bool(before) : at + 1 + bool(after)] = [
                    nodes.Text(before.removesuffix(opening)),
                    nodes.inline("", "", *kept, classes=["nobreak"]),
                    nodes.Text(after.removeprefix(closing)),
                ]


def _text_at(parent: nodes.Element, at: int) -> str:
    """第 at 个子节点若是文字，就是它；不是、没有时为空。"""
    node = parent[at] if 0 <= at < len(parent) else None
    return str(node) if isinstance(node, nodes.Text) else ""


class SpaceRows(SphinxPostTransform):
    """多行的式子里有分数、求和、花括号时，行与行之间略松开，上下不相碰。只动网页，不动源文。"""

    default_priority = 910

    def run(self, **_: object) -> None:
        for formula in self.document.findall(nodes.math_block):
            if TALL.search(formula.astext()):
                formula[:] = [nodes.Text(_spaced(formula.astext()))]


def _spaced(formula: str) -> str:
    """行末的换行符之后加一点空；矩阵、分段函数里面的不动。"""
    depth, lines = 0, []
    for line in formula.splitlines():
        depth += len(re.findall(r"\\begin\{" + GRID, line))
        depth -= len(re.findall(r"\\end\{" + GRID, line))
        loose = not depth and line.rstrip().endswith(r"\\")
        lines.append(line.rstrip() + "[0.6ex]" if loose else line)
    return "\n".join(lines)


class DropRepeatedIds(SphinxPostTransform):
    """sphinx-exercise 给每道练习的内容同一个 id，去掉。"""

    default_priority = 900

    def run(self, **_: object) -> None:
        for section in self.document.findall(nodes.section):
            if set(section["ids"]) & {"exercise-content", "solution-content"}:
                section["ids"] = []


def fix_roles(
    app: Sphinx, pagename: str, _template: str, context: dict, _doctree: nodes.document | None
) -> None:
    """docutils 给参考文献的 ``role="list"`` 里没有 ``listitem``，读屏软件会念错，去掉。"""
    if "body" in context:
        body = context["body"].replace('<div role="list" class="citation-list">', "<div>")
        context["body"] = body.replace(' role="doc-biblioentry"', "")


def is_unwritten(app: Sphinx, docname: str) -> bool:
    """章首写了 ``status: unwritten``。"""
    return app.env.metadata.get(docname, {}).get("status") == "unwritten"


def refresh_unwritten(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """“尚未写成”的章有变化时，每一页的侧栏都要重写；增量构建不会自己想到这一点。"""
    now = sorted(name for name in env.found_docs if is_unwritten(app, name))
    before = getattr(env, "bookcheck_unwritten", now)
    env.bookcheck_unwritten = now
    return sorted(env.found_docs) if before != now else []


def fade_unwritten(
    app: Sphinx, pagename: str, _template: str, context: dict, _doctree: nodes.document | None
) -> None:
    """给目录里尚未写成的章加上类 ``unwritten``：页内目录与侧栏都改。"""
    unwritten = {
        app.builder.get_relative_uri(pagename, name)
        for name in app.env.found_docs if is_unwritten(app, name)
    }  # fmt: skip

    def mark(html: str) -> str:
        def add(match: re.Match) -> str:
            note = " unwritten" if match[2] in unwritten else ""
            return match[0].replace(match[1], match[1] + note, 1)

        return _TOC_ITEM.sub(add, str(html))

    if "body" in context:
        context["body"] = mark(context["body"])
    if make := context.get("generate_toctree_html"):
        context["generate_toctree_html"] = lambda **options: mark(make(**options))


def name_toggles(app: Sphinx, pagename: str, template: str, context: dict, *_: object) -> None:
    """侧栏里展开下级目录的箭头只有图标，给读屏软件起个名字。"""
    if make := context.get("generate_toctree_html"):
        named = '<summary aria-label="展开或收起下级各节">'
        context["generate_toctree_html"] = lambda **options: str(make(**options)).replace(
            "<summary>", named
        )


def setup(app: Sphinx) -> dict:
    """登记扩展。"""
    app.add_config_value("tools_digest", tools_digest(Path(app.confdir)), "env", str)
    app.connect("builder-inited", add_mathjax)
    app.connect("config-inited", fix_wording)
    app.add_post_transform(JoinLines)
    app.add_post_transform(KeepPunctuation)
    app.add_post_transform(SpaceRows)
    app.add_post_transform(DropRepeatedIds)
    app.connect("env-updated", refresh_unwritten)
    app.connect("html-page-context", fix_roles)
    app.connect("html-page-context", fade_unwritten, priority=900)
    app.connect("html-page-context", name_toggles, priority=901)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
