"""把图内联进网页：随主题换色、矢量、可读屏、不发请求。

MyST-NB 把 matplotlib 画的图写成 ``_build/jupyter_execute/<散列>.svg``，文中放一个图像节点。
这里把图像节点换成 ``<svg>`` 元素本身，顺便：

- 墨色（:data:`~dlbook.plot.style.INK` 等四种）换成 CSS 变量，深色模式下自动反白；数据的颜色不动；
- id 前加上图的散列，同一页的几幅图不会互相引用；没有被引用的 id 删去；
- ``<style>`` 会作用于整页，改写成根元素的属性；固定的宽高改成最大宽度；
- 替代文字写进 ``<title>``。
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# 墨色的名字 → CSS 变量。变量在 book.css 里按浅色、深色分别定义。
INKS = {
    "INK": "--fig-ink",
    "MUTED": "--fig-muted",
    "GRID": "--fig-grid",
    "PAPER": "--fig-paper",
}
_REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')
_JUNK = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", re.S)
_ROOT = re.compile(r"<svg\b[^>]*>")
_SIZE = re.compile(r'\bwidth="([\d.]+)(pt|px|)"')
_VIEWBOX = re.compile(r'\bviewBox="([^"]*)"')
_POINT = 4 / 3  # 一磅合多少 CSS 像素


@cache
def style_colors(path: Path) -> dict[str, str]:
    """读出样式文件里墨色的值；只解析，不导入（导入会连带 matplotlib）。"""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    values = {
        target.id: node.value.value
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    return {
        values[name].lower(): f"var({variable}, {values[name]})" for name, variable in INKS.items()
    }


def inline_svg(source: str, alt: str, colors: dict[str, str]) -> str:
    """一个 SVG 文件的内容 → 可以直接放进 HTML 的 ``<svg>``。"""
    start = _ROOT.search(source)
    if start is None or (viewbox := _VIEWBOX.search(start[0])) is None:
        raise ValueError("不是带 viewBox 的 SVG")
    body = source[start.end() : source.rindex("</svg>")]
    body = _number_ids(_JUNK.sub("", body).replace("xlink:href", "href"))
    prefix = "f" + hashlib.sha256((alt + body).encode()).hexdigest()[:8] + "-"
    body = re.sub(r'(href="#|url\(#| id=")', rf"\g<1>{prefix}", body)
    body = re.sub(r"#[0-9a-fA-F]{6}\b", lambda m: colors.get(m[0].lower(), m[0]), body)
    body = re.sub(r">\s+<", "><", body).strip()
    width = _SIZE.search(start[0])
    limit = ""
    if width:
        pixels = float(width[1]) * (_POINT if width[2] == "pt" else 1)
        limit = f"max-width:{pixels:.0f}px"
    title = f"{prefix}title"
    return (
        f'<svg class="figure-svg" role="img" aria-labelledby="{title}" viewBox="{viewbox[1]}"'
        f' style="{limit}"><title id="{title}">{escape(alt)}</title>{body}</svg>'
    )


def _number_ids(body: str) -> str:
    """用到的 id 按出现的次序编号，没有用到的去掉。

    matplotlib 给裁剪路径起的名字里有内存地址，同一幅图每次都不同；编了号，网页才逐字相同。
    """
    number = {name: str(n) for n, name in enumerate(dict.fromkeys(_REFERENCE.findall(body)))}
    body = re.sub(
        r' id="([^"]*)"', lambda m: f' id="{number[m[1]]}"' if m[1] in number else "", body
    )
    return re.sub(r'(href="#|url\(#)([^")]+)', lambda m: m[1] + number[m[2]], body)


class InlineFigures(SphinxPostTransform):
    """图像节点 → 内联的 ``<svg>``。在 MyST-NB 选定输出格式（优先级 4）之后运行。"""

    default_priority = 500
    formats = ("html",)

    def run(self, **_: object) -> None:
        root = Path(self.app.confdir)
        for image in list(self.document.findall(nodes.image)):
            path = _local_file(self.app, image["uri"])
            if path is None:
                continue
            colors = style_colors(root / "dlbook" / "plot" / "style.py")
            alt = image.get("alt", "")
            html = inline_svg(path.read_text(encoding="utf-8"), alt, colors)
            box = nodes.raw("", f'<div class="figure-box">{html}</div>', format="html", alt=alt)
            image.replace_self(box)


def _local_file(app: Sphinx, uri: str) -> Path | None:
    """图像节点所指的本地 SVG 文件；不是就返回 ``None``。"""
    if not uri.endswith(".svg") or ":" in uri:
        return None
    path = Path(app.srcdir, uri.lstrip("/"))
    return path if path.is_file() else None


def setup(app: Sphinx) -> dict:
    """登记扩展。"""
    app.add_post_transform(InlineFigures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
