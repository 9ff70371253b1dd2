"""每一页：不联网、公式排好、没有报错、手机上不横滚、无障碍。"""

import pytest

from tests.site.page_checks import CULPRITS, ENGLISH, PHONE, UNREACHABLE, UNRENDERED, serious


def collect(visits, attribute):
    return {name: value for name, visit in visits.items() if (value := getattr(visit, attribute))}


def test_no_errors_and_no_request_leaves_the_page(visits):
    assert collect(visits, "problems") == {}


def test_every_formula_is_rendered(visits):
    assert collect(visits, "unrendered") == {}
    assert visits["02_linear_regression.html"].formulas > 100


def test_phone_has_no_sideways_scrolling(visits):
    wide = {name: visit.culprits for name, visit in visits.items() if visit.overflow > 0}
    assert wide == {}


def test_scrolling_boxes_are_reachable_and_named(visits):
    assert collect(visits, "unreachable") == {}


def test_interface_is_chinese(visits):
    assert collect(visits, "english") == {}


@pytest.mark.parametrize("condition", ["浅色", "深色", "手机"])
def test_axe_finds_no_serious_violation(visits, condition):
    found = {name: visit.violations[condition] for name, visit in visits.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_the_checks_above_can_fail(reader):
    """种下四种毛病，上面的检查都要看见。"""
    from axe_playwright_python.sync_playwright import Axe

    page = reader.open("05_loss.html")
    page.set_viewport_size(PHONE)
    page.evaluate(
        """() => {
            document.querySelector("article").insertAdjacentHTML("beforeend", `
              <p style="color: #bbb; background: #fff">太淡的字</p>
              <p style="width: 600px">太宽的段落</p>
              <div style="width: 100px; overflow: auto; white-space: nowrap">走不到的很长的框</div>
              <span class="math">没有排好的公式</span>
              <img src="data:image/png;base64,">`);
            document.body.insertAdjacentHTML("beforeend", "<button>English button</button>");
        }"""
    )
    assert "没有排好的公式" in page.evaluate(UNRENDERED)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0
    assert any("太宽" in html for html in page.evaluate(CULPRITS))
    assert any("走不到" in html for html in page.evaluate(UNREACHABLE))
    assert "English button" in page.evaluate(ENGLISH)
    found = " ".join(serious(Axe(), page))
    assert "color-contrast" in found and "image-alt" in found
    page.evaluate("new Image().src = 'http://example.invalid/a.png'")
    page.wait_for_timeout(200)
    assert any("请求外网" in problem for problem in reader.problems)
    reader.problems.clear()
