"""读者的动作：换颜色、用键盘、打印、展开解答、看演示。"""

from tests.site.page_checks import PHONE

CHAPTER = "02_linear_regression.html"
SHORT = "05_loss.html"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
NAVIGATION = (
    ".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer",
)  # fmt: skip
# 键盘焦点落在哪一部分。
PLACE = """() => {
  const parts = { skip: "#pst-skip-link", search: ".search-button__button", toc: ".bd-links",
                  content: "article" };
  const here = Object.keys(parts).find((name) => document.activeElement.closest(parts[name]));
  return here ?? document.activeElement.tagName;
}"""
INK = """() => getComputedStyle(document.querySelector(
  '.figure-svg [style*="--fig-ink"], .figure-svg [style*="--fig-muted"]')).fill"""


def theme(page):
    return page.evaluate("document.documentElement.dataset.theme")


def switch_to_dark(page):
    page.locator(".theme-switch-button").first.click()
    page.locator(".theme-change-button[data-mode=dark]").first.click()


def test_dark_mode_switches_and_persists(reader):
    page = reader.open(CHAPTER)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    before, background = page.evaluate(INK), page.evaluate(BACKGROUND)
    switch_to_dark(page)
    assert theme(page) == "dark"
    assert page.evaluate(BACKGROUND) != background
    assert page.evaluate(INK) != before, "图里的文字没有随主题换色"
    page.reload()
    assert theme(page) == "dark"
    reader.open(SHORT)
    assert theme(page) == "dark"


def test_figures_are_inline_named_and_do_not_share_ids(reader):
    page = reader.open(CHAPTER)
    figures = page.evaluate(
        """() => [...document.querySelectorAll("figure svg.figure-svg")].map((svg) => ({
            role: svg.getAttribute("role"),
            title: document.getElementById(svg.getAttribute("aria-labelledby"))?.textContent,
            width: svg.getBoundingClientRect().width,
        }))"""
    )
    assert len(figures) >= 5
    for figure in figures:
        assert figure["role"] == "img" and figure["width"] > 100
        assert any("\u4e00" <= char <= "\u9fff" for char in figure["title"])
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids)), sorted({i for i in ids if ids.count(i) > 1})
    assert page.locator("figure img").count() == 0, "图应当内联，而不是另一个文件"


def test_keyboard_reaches_search_and_content(reader):
    page = reader.open(CHAPTER)
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(PLACE))
        if seen[-1] == "content":
            break
    assert seen[0] == "skip"
    assert {"search", "toc", "content"} <= set(seen)


def test_skip_link_jumps_to_the_content(reader):
    page = reader.open(SHORT)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_solution_opens_with_the_keyboard(reader):
    page = reader.open(CHAPTER)
    solution = page.locator("div.solution.dropdown").first
    content = solution.locator(":scope > :not(.admonition-title)").first
    assert not content.is_visible()
    solution.locator("button.toggle-button").focus()
    page.keyboard.press("Enter")
    assert content.is_visible()


def test_print_hides_navigation_and_opens_solutions(reader):
    page = reader.open(CHAPTER)
    switch_to_dark(page)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for selector in NAVIGATION:
        assert not page.locator(selector).first.is_visible(), selector
    assert page.locator("article h1").first.is_visible()
    assert theme(page) == "light"
    assert page.locator(".toggle-hidden").count() == 0
    avoid = page.evaluate("getComputedStyle(document.querySelector('figure')).breakInside")
    assert avoid == "avoid"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert theme(page) == "dark"
    assert page.locator(".toggle-hidden").count() > 0


def test_code_can_be_copied(reader):
    page = reader.open(CHAPTER)
    assert page.locator("div.cell_input button.copybtn").count() > 20
    label = page.locator("div.cell_input button.copybtn").first.get_attribute("data-tooltip")
    assert label == "复制"


def test_player_scrolls_to_the_active_node_on_a_phone(reader):
    reader.page.set_viewport_size(PHONE)
    page = reader.open("12_backpropagation.html")
    player = page.locator(".player").last
    player.scroll_into_view_if_needed()
    slider = player.locator("input[type=range]")
    frame = player.locator(".player-scroll")
    assert frame.evaluate("box => box.scrollWidth > box.clientWidth"), "这个演示本来就放得下"
    at, seen = page.evaluate("window.scrollY"), 0
    for step in range(int(slider.get_attribute("max")) + 1):
        slider.fill(str(step))
        for node in player.locator(".player-now").all():
            here, box = node.bounding_box(), frame.bounding_box()
            seen += 1
            assert box["x"] - 1 <= here["x"] and here["x"] + here["width"] <= (
                box["x"] + box["width"] + 1
            ), f"第 {step} 步的节点在框外"
    assert seen > 10
    assert page.evaluate("window.scrollY") == at, "只动框，不动页面"


def test_player_counts_like_its_text(reader):
    """文字从“第 0 步”说起的，计数也从 0 起；别的从 1 数到步数。"""
    for page, first in (("06_learning.html", 0), ("12_backpropagation.html", 1)):
        player = reader.open(page).locator(".player").first
        counter, slider = player.locator(".player-counter"), player.locator("input[type=range]")
        last = int(slider.get_attribute("max"))
        for step in (0, 1, last):
            slider.fill(str(step))
            assert counter.text_content() == f"{first + step} / {first + last}"
            text = player.locator("li:not([hidden])").text_content()
            assert first == 1 or text.startswith(f"第 {step} 步")


def test_phone_buttons_are_large_enough_for_a_finger(reader):
    reader.page.set_viewport_size(PHONE)
    page = reader.open("12_backpropagation.html")
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, summary, input")]
            .filter((e) => e.checkVisibility({ visibilityProperty: true }))
            .map((e) => [e.getBoundingClientRect(), e.outerHTML.slice(0, 80)])
            .filter(([box]) => box.right > 0 && box.width && Math.min(box.width, box.height) < 36)
            .map(([, html]) => html)"""
    )
    assert small == []
    mark = page.locator(".mark-line .mark").first
    mark.scroll_into_view_if_needed()
    above = """mark => {
        const box = mark.getBoundingClientRect();
        return document.elementFromPoint(box.left + box.width / 2, box.top - 8) === mark;
    }"""
    assert mark.evaluate(above), "标记上方一点也应点得中"


def test_formulas_in_table_cells_are_not_clipped(reader):
    reader.page.set_viewport_size(PHONE)
    for name in ("10_supervised.html", "notation.html"):
        cells = reader.open(name).locator(".bd-article :is(td, th) mjx-container")
        clipped = "all => all.filter((box) => box.scrollWidth > box.clientWidth + 1).length"
        assert cells.count() > 5 and cells.evaluate_all(clipped) == 0, name


def test_checks_table_keeps_every_column_in_view(reader):
    """标签里的代码再长也换行；展开的核对函数有地方看。"""
    page = reader.open("checks.html")
    tables = page.locator(".checks-table")
    narrow = """all => all.filter((table) => {
        const how = table.querySelector("th:nth-child(4)").getBoundingClientRect();
        return table.offsetWidth > table.parentElement.clientWidth || how.width < 280;
    }).length"""
    assert tables.count() > 15 and tables.evaluate_all(narrow) == 0


def test_paper_is_not_laid_out_as_a_phone(reader):
    """A4 的版心约 660 像素：表与演示都不超出纸宽。"""
    reader.page.set_viewport_size({"width": 660, "height": 900})
    page = reader.open("12_backpropagation.html")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 660
    wider = "all => all.filter((svg) => svg.getBoundingClientRect().width > 661).length"
    assert page.locator(".player svg").evaluate_all(wider) == 0


def test_collapse_buttons_are_named_in_chinese(reader):
    page = reader.open(CHAPTER)
    labels = page.locator("button.toggle-button").evaluate_all("all => all.map((b) => b.ariaLabel)")
    assert set(labels) == {"展开或收起"}


def test_only_the_equation_itself_is_highlighted_as_a_target(reader):
    page = reader.open("02_linear_regression.html#sec-step-size")
    plain = page.locator("#sec-step-size > div.math").first
    color = "node => getComputedStyle(node).backgroundColor"
    assert plain.evaluate(color) == "rgba(0, 0, 0, 0)"
    page = reader.open("02_linear_regression.html#equation-eq-step-bound")
    target = page.locator("div.math:target, :target > .math").first
    assert target.evaluate(color) != "rgba(0, 0, 0, 0)"
