"""网页的测试：在真的 Chromium 里从 ``file://`` 打开 ``_build/html``，断开一切网络。

浏览器用系统装好的，不下载；没有就跳过，并说明怎样安装。
每一页只打开一次（:func:`visits`），各项检查共用那一次的见闻。
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site.page_checks import (
    CONTRAST,
    CULPRITS,
    DESKTOP,
    DROP_MATHML,
    ENGLISH,
    PHONE,
    SLIM,
    UNREACHABLE,
    UNRENDERED,
    Reader,
    Visit,
    serious,
    set_theme,
)

REPO = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOW_TO_INSTALL = (
    "没有找到 Chromium，跳过浏览器里的测试。"
    "安装办法（Debian、Ubuntu）：sudo apt-get install chromium fonts-noto-cjk"
)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def html() -> Path:
    """已经是最新的 ``_build/html``；不是最新就构建（什么都没变时只要几秒）。"""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", ".", "book", "_build/html"]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"网页没有构建成功：\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return REPO / "_build" / "html"


@pytest.fixture(scope="session")
def pages(html: Path) -> list[str]:
    """全部页面的文件名。"""
    return sorted(path.name for path in html.glob("*.html"))


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip(HOW_TO_INSTALL)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def reader(browser, html):
    """每个测试一位新读者：没有浏览记录，也没有存下的设置。"""
    reader = Reader(browser, html)
    yield reader
    reader.close()
    assert reader.problems == []


@pytest.fixture(scope="session")
def visits(browser, html, pages) -> dict[str, Visit]:
    """每一页打开一次，依次看手机宽度、桌面浅色、桌面深色。

    换颜色只影响对比度，换宽度不影响对比度，所以后两次各只查相关的规则。
    """
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    found: dict[str, Visit] = {}
    # 过渡动画会让 axe 量到一半的颜色。
    reader = Reader(browser, html, reduced_motion="reduce")
    for name in pages:
        visit = found[name] = Visit()
        reader.problems = visit.problems
        reader.page.set_viewport_size(DESKTOP)
        page = reader.open(name)
        page.add_style_tag(content="*, ::before, ::after { transition: none !important }")
        visit.formulas = page.locator(".math").count()
        visit.unrendered = page.evaluate(UNRENDERED)
        visit.english = page.evaluate(ENGLISH)
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(100)  # 等 ResizeObserver
        visit.overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        visit.culprits = page.evaluate(CULPRITS) if visit.overflow > 0 else []
        visit.unreachable = page.evaluate(UNREACHABLE)
        page.evaluate(SLIM)
        visit.violations["手机"] = serious(axe, page, rules={CONTRAST: {"enabled": False}})
        page.evaluate(DROP_MATHML)
        page.set_viewport_size(DESKTOP)
        set_theme(page, "light")
        visit.violations["浅色"] = serious(axe, page)
        set_theme(page, "dark")
        visit.violations["深色"] = serious(axe, page, runOnly=[CONTRAST])
    reader.close()
    return found
