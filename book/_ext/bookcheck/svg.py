"""把图内联进网页：随主题换色、矢量、可读屏、不发请求。

MyST-NB 把 matplotlib 画的图写成 ``_build/jupyter_execute/<散列>.svg``，文中放一个图像节点。
这里把图像节点换成 ``<svg>`` 元素本身，顺便：

- 墨色（:data:`~dlbook.plot.style.INK` 等四种）与字的颜色换成 CSS 变量，深色下自动反白、变亮；
  线与点的颜色不动；
- id 前加上图的散列，同一页的几幅图不会互相引用；没有被引用的 id 删去；
- ``<style>`` 会作用于整页，改写成根元素的属性；固定的宽高改成最大宽度，
  另写明多宽才看得清最小的字，手机上照此加宽，横向滚动；
- 替代文字写进 ``<title>``。
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

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
# matplotlib 的一段文字：字形以 1/100 号为单位，所以缩放的倍数乘 100 就是字号（磅）。
_TEXT_SCALE = re.compile(r'<g id="text_\d+">\s*<g[^>]* scale\(([\d.]+) ')
_LEGIBLE = 7.5  # 最小的字至少这么多 CSS 像素


class Colors(NamedTuple):
    """颜色（小写的十六进制）→ 网页里的写法：inks 处处换，labels 只换文字的颜色。"""

    inks: dict[str, str]
    labels: dict[str, str]


@cache
def style_colors(path: Path) -> Colors:
    """读出样式文件里的颜色；只解析，不导入（导入会连带 matplotlib）。"""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    values = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in (*INKS, "COLORS")
    }  # fmt: skip
    inks = {values[name]: variable for name, variable in INKS.items()}
    labels = {color: f"--fig-label-{name}" for name, color in values["COLORS"].items()}
    return Colors(*({c.lower(): f"var({v}, {c})" for c, v in d.items()} for d in (inks, labels)))


def _recolor(body: str, colors: Colors) -> str:
    """墨色换成变量；用数据的颜色写的字（matplotlib 里只有文字的颜色写在 <g> 上）也换。"""

    text_colors = colors.inks | colors.labels

    def color(match: re.Match) -> str:
        known = text_colors if match[1] else colors.inks
        return match[1] + known.get(match[2].lower(), match[2])

    return re.sub(r'(<g style="fill: |)(#[0-9a-fA-F]{6})\b', color, body)


def inline_svg(source: str, alt: str, colors: Colors) -> str:
    """一个 SVG 文件的内容 → 可以直接放进 HTML 的 ``<svg>``。"""
    start = _ROOT.search(source)
    if start is None or (viewbox := _VIEWBOX.search(start[0])) is None:
        raise ValueError("不是带 viewBox 的 SVG")
    body = source[start.end() : source.rindex("</svg>")]
    body = _JUNK.sub("", body)
    sizes = [100 * float(scale) for scale in _TEXT_SCALE.findall(body)]
    body = _number_ids(body.replace("xlink:href", "href"))
    prefix = "f" + hashlib.sha256((alt + body).encode()).hexdigest()[:8] + "-"
    body = re.sub(r'(href="#|url\(#| id=")', rf"\g<1>{prefix}", body)
    body = re.sub(r">\s+<", "><", _recolor(body, colors)).strip()
    width = _SIZE.search(start[0])
    limit = ""
    if width:
        pixels = float(width[1]) * (_POINT if width[2] == "pt" else 1)
        limit = f"max-width:{pixels:.0f}px"
        if sizes:
            limit += f";--legible:{pixels * min(1, _LEGIBLE / min(sizes) / _POINT):.0f}px"
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
