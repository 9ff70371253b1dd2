"""搜索：任意子串都能找到所在的页，最好的在前；结果可点、可用键盘、不会执行查询里的标记。"""

import json
import random
import re
from urllib.parse import quote

import pytest

CHAPTER_2, CHAPTER_3 = "02_linear_regression.html", "03_mnist.html"
CHAPTER_5, CHAPTER_11 = "05_loss.html", "11_gradient_descent.html"
CHAPTER_12 = "12_backpropagation.html"


STATUS = ".search-page .search-status"


def results(page):
    return page.evaluate(
        """() => [...document.querySelectorAll(".search-page .search-results li")].map((item) => ({
            href: item.querySelector("a").getAttribute("href"),
            title: item.querySelector("a").textContent,
            marks: [...item.querySelectorAll("mark")].map((m) => m.textContent),
        }))"""
    )


def search(reader, query):
    page = reader.open(f"search.html?q={quote(query)}")
    page.wait_for_function(f"document.querySelector('{STATUS}').textContent !== ''")
    return results(page)


@pytest.fixture(scope="module")
def index(html):
    """搜索用的全文。"""
    text = (html / "_static" / "search_text.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.bookText = ").rstrip().removesuffix(";"))


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("反向传播算法", CHAPTER_12),  # 章名，先于第 2 章里同名的节
        ("中心差分近似", CHAPTER_2),
        ("梯度下降", CHAPTER_11),  # 章名以它开头
        ("数值微分", CHAPTER_2),
        ("均方误差", CHAPTER_5),  # 5.2 节的标题以它开头
        ("W = 2.118", CHAPTER_2),
        ("softmax", CHAPTER_3),
        ("ReLU", CHAPTER_12),  # 12.4 节的标题以它开头
        ("独热", CHAPTER_3),
    ],
)
def test_best_page_comes_first(reader, query, best):
    found = search(reader, query)
    assert found, f"{query} 什么也没搜到"
    assert found[0]["href"].removeprefix("./").startswith(best), found[:3]
    assert found[0]["marks"], "摘录里没有标亮"


def test_any_passage_finds_its_section(reader, index):
    """随机抽书里的片段（4–12 字），每一段都必须找回它所在的节。"""
    random.seed(0)
    blocks = [(entry["u"], text) for entry in index for _, text, *_ in entry["b"] if len(text) > 20]
    samples = []
    for url, text in random.sample(blocks, min(200, len(blocks))):
        start = random.randrange(len(text) - 12)
        passage = text[start : start + random.randint(4, 12)].strip()
        if len(passage) >= 2:
            samples.append((url, passage))
    page = reader.open("search.html")
    found = page.evaluate(
        """samples => Promise.all(samples.map(
            async ([, query]) => (await bookSearch(query)).map((result) => result.url)))""",
        samples,
    )
    lost = [sample for sample, urls in zip(samples, found, strict=True) if sample[0] not in urls]
    assert lost == []


def test_every_section_is_in_the_index(html, index):
    urls = {entry["u"] for entry in index}
    for page in (CHAPTER_2, CHAPTER_3):
        numbered = [entry for entry in index if entry["u"].startswith(page)]
        assert len(numbered) > 10
    for page in html.glob("*.html"):
        assert page.name == "search.html" or page.name in urls


def test_formulas_are_readable_in_the_index_and_in_the_snippets(reader, index):
    """除了代码，哪里都没有 LaTeX；每一种写法都认得。"""
    raw = [
        (entry["u"], text)
        for entry in index
        for kind, text, *_ in entry["b"] if kind in "pmf"
        if re.search(r"\\(?!n\b)[A-Za-z]", text)
    ]  # fmt: skip
    assert raw == []
    assert not any("\\" in title for entry in index for title in (entry["t"], *entry["p"]))
    for query in ("∂L/∂W", "xᵀ", "λ"):
        assert search(reader, query), query
        prose = ".search-page .search-passage:not(.search-code)"
        passages = reader.page.locator(prose).all_text_contents()
        assert not any("\\" in passage for passage in passages)


def test_terms_are_combined_with_and(reader):
    page = reader.open("search.html")
    both, one = page.evaluate("Promise.all([bookSearch('学习率 发散'), bookSearch('学习率')])")
    assert 0 < len(both) < len(one)
    assert {r["url"] for r in both} <= {r["url"] for r in one}


def test_width_case_and_spaces_do_not_matter(reader):
    page = reader.open("search.html")
    first, *others = page.evaluate(
        "Promise.all(['MNIST数据', 'mnist数据', 'ＭＮＩＳＴ数据'].map((q) => bookSearch(q)))"
    )
    assert first and all(other == first for other in others)


def test_near_miss_still_finds_something(reader):
    found = search(reader, "反向传播算发")
    assert found and "最接近" in reader.page.locator(STATUS).text_content()
    pages = {item["href"].removeprefix("./").partition("?")[0] for item in found[:5]}
    assert pages & {CHAPTER_2, CHAPTER_12}


def test_nothing_found_is_said(reader):
    assert search(reader, "鹬蚌龘靐") == []
    assert "没有找到" in reader.page.locator(STATUS).text_content()


def test_query_is_never_markup(reader):
    search(reader, "<img src=x onerror=alert(1)>损失")
    assert reader.page.locator(".search-page img").count() == 0


def test_opening_a_result_highlights_the_passage(reader):
    search(reader, "数值微分")
    page = reader.page
    page.locator(".search-page .search-results a").first.click()
    page.wait_for_selector("mark.found")
    page.evaluate("window.MathJax?.startup?.promise")
    assert CHAPTER_2 in page.url
    marks = page.locator("mark.found").all_text_contents()
    assert "数值微分" in "".join(marks)
    page.wait_for_function(
        """() => [...document.querySelectorAll("mark.found")].some((m) => {
            const box = m.getBoundingClientRect();
            return box.top >= 0 && box.bottom <= innerHeight;
        })"""
    )
    page.locator(".clear-found").click()
    assert page.locator("mark.found").count() == 0


def test_dialog_searches_while_typing_and_moves_with_arrows(reader):
    page = reader.open(CHAPTER_3)
    page.keyboard.press("Control+k")
    dialog = page.locator("#pst-search-dialog")
    assert dialog.is_visible()
    page.keyboard.type("数值微分")
    page.wait_for_selector("#pst-search-dialog .search-results a")
    assert "节" in dialog.locator("[aria-live]").text_content()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.matches('.search-results li:first-child a')")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.matches('input')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{CHAPTER_2}*")


def test_choosing_characters_with_an_input_method_is_left_alone(reader):
    """拼字的途中：不搜拼音，上下键不抢走焦点；选定之后才搜。"""
    page = reader.open("search.html")
    page.evaluate("bookSearch('损失')")
    status = page.evaluate(
        """async () => {
            const input = document.querySelector(".search-page input");
            const pause = () => new Promise((done) => setTimeout(done, 300));
            const status = () => document.querySelector(".search-page .search-status").textContent;
            input.value = "shu'zhi";
            input.dispatchEvent(new InputEvent("input", { isComposing: true, bubbles: true }));
            await pause();
            const during = status();
            const key = { key: "ArrowDown", isComposing: true, bubbles: true, cancelable: true };
            const kept = input.dispatchEvent(new KeyboardEvent("keydown", key));
            input.value = "数值微分";
            input.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
            await pause();
            return { during, kept, after: status() };
        }"""
    )
    assert status["during"] == "" and status["kept"]
    assert status["after"].startswith("共")


def test_enter_in_the_dialog_opens_the_search_page(reader):
    page = reader.open("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax")
    page.wait_for_selector(".search-page .search-results a")


def test_search_page_keeps_the_query_in_its_address(reader):
    page = reader.open("search.html")
    assert page.evaluate("document.activeElement.matches('.search-page input')")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax")  # 浏览器忙时，地址栏晚一点才变


def test_builtin_search_is_gone(html):
    assert not (html / "searchindex.js").exists()
    for page in html.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "searchindex.js" not in text and "searchtools.js" not in text
