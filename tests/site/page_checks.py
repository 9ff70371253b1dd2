"""打开一页、检查一页的办法：一位断了网的读者，几段在页面里运行的检查脚本，axe。"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
LOCAL = ("file:", "data:", "blob:")
# preload 会用 XHR 取样式表，file:// 下不许。
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}
CONTRAST = "color-contrast"


class Reader:
    """一位读者：一个断了网的浏览器窗口。``problems`` 记下报错、失败的与外发的请求。"""

    def __init__(self, browser: object, html: Path, **options: object) -> None:
        self.html = html
        self.problems: list[str] = []
        self.context = browser.new_context(viewport=DESKTOP, **options)
        self.context.set_default_timeout(20_000)
        self.context.route(lambda url: not url.startswith(LOCAL), lambda route: route.abort())
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"脚本出错：{error}"))
        self.page.on("request", self._request)
        self.page.on("requestfailed", self._failed)

    def _failed(self, request: object) -> None:
        # 翻到别的页时，还没读完的文件会被浏览器放弃，那不算失败。
        if "ERR_ABORTED" not in (request.failure or ""):
            self.problems.append(f"请求失败：{request.url}")

    def _console(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"控制台：{message.text}")

    def _request(self, request: object) -> None:
        if not request.url.startswith(LOCAL):
            self.problems.append(f"请求外网：{request.url}")

    def open(self, name: str) -> object:
        """打开一页（文件名，可带 ``?查询``），等公式排好。"""
        self.page.goto(f"{self.html.as_uri()}/{name}")
        self.page.evaluate("window.MathJax?.startup?.promise")
        return self.page

    def close(self) -> None:
        self.context.close()


@dataclass
class Visit:
    """打开一页的见闻。"""

    problems: list[str] = field(default_factory=list)
    formulas: int = 0
    unrendered: list[str] = field(default_factory=list)
    overflow: int = 0
    culprits: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    english: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)


UNRENDERED = """() => [
  ...document.querySelectorAll("[data-mml-node='merror'], mjx-merror"),
  ...[...document.querySelectorAll(".math")].filter((m) => !m.querySelector("mjx-container svg")),
].map((node) => node.textContent.slice(0, 80))"""

CULPRITS = """() => [...document.querySelectorAll(".bd-article *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .filter((e) => !e.parentElement.closest("pre, mjx-container, svg, [data-wide]"))
  .slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""

# 会横向滚动、却不能用 Tab 走到的框。
UNREACHABLE = """() => [...document.querySelectorAll(".bd-article *")]
  .filter((e) => e.scrollWidth > e.clientWidth && e.clientWidth > 0)
  .filter((e) => /auto|scroll/.test(getComputedStyle(e).overflowX))
  .filter((e) => !e.closest(".toggle-hidden") && e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => e.tabIndex !== 0 || !e.getAttribute("aria-label"))
  .map((e) => e.outerHTML.slice(0, 120))"""

# 读者看得见或读屏软件会念出来的、界面上的英文（正文之外）。
ENGLISH = """() => {
  const content = "article, .bd-toc, .bd-links, .prev-next-area, script, style, kbd";
  const outside = (e) => !e.closest(content);
  const words = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!outside(e)) continue;
    for (const name of ["title", "aria-label", "placeholder", "alt", "data-bs-original-title"])
      words.push(e.getAttribute(name) ?? "");
    for (const n of e.childNodes) if (n.nodeType === Node.TEXT_NODE) words.push(n.data);
  }
  return [...new Set(words.map((w) => w.trim()).filter((w) => /[A-Za-z]{3,}/.test(w)))];
}"""


# 无障碍检查之前瘦身，否则长的一章要查一分钟。图与公式的图形元素没有语义，只留外壳与标题；
# 同一种代码记号颜色相同，每种框里每种记号只留一个样本；长表只留前几行。
SLIM = """() => {
  for (const svg of document.querySelectorAll(".figure-svg, mjx-container > svg"))
    svg.querySelectorAll(":scope > :not(title)").forEach((node) => node.remove());
  for (const row of document.querySelectorAll(".checks-table tr:nth-child(n+20)")) row.remove();
  const seen = new Set();
  for (const token of document.querySelectorAll(".highlight span[class]")) {
    const box = token.closest(".admonition, .output, .cell_input, .literal-block-wrapper");
    const key = `${token.className} ${box?.className}`;
    if (seen.has(key)) token.replaceWith(...token.childNodes);
    else seen.add(key);
  }
}"""

# 公式给读屏软件的 MathML 看不见，不必查对比度。
DROP_MATHML = "document.querySelectorAll('mjx-assistive-mml').forEach((node) => node.remove())"


def set_theme(page: object, theme: str) -> None:
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)


def serious(axe: object, page: object, **options: object) -> list[str]:
    """axe 发现的严重与致命问题。"""
    results = axe.run(page, options=AXE_OPTIONS | options)
    return [
        f"{violation['id']}：{node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
