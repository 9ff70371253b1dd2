"""练习的框架：对的解法通过，错的解法得到一条看得懂的信息。"""

import sys

import numpy as np
import pytest

from dlbook import exercises
from dlbook.exercises import Case, ExerciseError, check, exercise


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """每个测试用一份空的登记表，也不导入真正的各章。"""
    monkeypatch.setattr(exercises, "_exercises", {})
    monkeypatch.setattr(exercises, "__path__", [])
    monkeypatch.setattr(exercises, "__file__", "/不存在/__init__.py")


@pytest.fixture
def difference():
    @exercise("ex-99-1", title="中心差分")
    def _(solution):
        yield Case(
            "f(x) = x²，x = 3，h = 0.1",
            lambda: solution(lambda x: x**2, 3.0, 0.1),
            6.0,
            rtol=1e-9,
            mistakes={"忘了除以 2h": 1.2, "用了前向差分": 6.1},
            hint="差商的分母是两点之间的距离",
        )
        yield Case("f(x) = 5", lambda: solution(lambda x: 5.0, 0.0, 0.1), 0.0)


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def failure(name, solution):
    with pytest.raises(ExerciseError) as caught:
        check(name, solution)
    assert isinstance(caught.value, AssertionError)
    return caught.value


def one_case(*args, **kwargs):
    """登记只有一项检查的练习。"""

    @exercise("ex-99-2", title="一项")
    def _(solution):
        yield Case("给定", lambda: solution, *args, **kwargs)


def test_a_right_solution_prints_one_line(difference, capsys):
    assert check("ex-99-1", central) is None
    assert capsys.readouterr().out == "✓ ex-99-1 通过：2 项检查\n"


def test_a_wrong_solution_is_explained(difference, capsys):
    error = failure("ex-99-1", lambda f, x, h: (f(x + h) - f(x)) / h)
    assert str(error).splitlines()[:3] == [
        "ex-99-1《中心差分》第 1 项检查没有通过",
        "  输入：f(x) = x²，x = 3，h = 0.1",
        "  期望：6.0",
    ]
    assert str(error).splitlines()[3].startswith("  实际：6.1")
    assert str(error).splitlines()[4] == "  可能的原因：用了前向差分"
    assert capsys.readouterr().out == ""


def test_each_mistake_is_recognised_and_others_get_the_hint(difference):
    assert "忘了除以 2h" in str(failure("ex-99-1", lambda f, x, h: f(x + h) - f(x - h)))
    assert "两点之间的距离" in str(failure("ex-99-1", lambda f, x, h: 0.0))
    assert "忘了写 return" in str(failure("ex-99-1", lambda f, x, h: None))


def test_the_second_case_is_counted_as_second(difference):
    wrong = lambda f, x, h: central(f, x, h) or 1.0  # noqa: E731
    error = failure("ex-99-1", wrong)
    assert "第 2 项" in str(error) and "f(x) = 5" in str(error)
    assert "可能的原因" not in str(error), "没有提示可说时不留空行"


def test_a_solution_that_raises_is_a_failed_check(difference):
    error = failure("ex-99-1", lambda f, x, h: 1 / 0)
    assert "解法报错：ZeroDivisionError: division by zero" in str(error)
    assert "f(x) = x²，x = 3" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert isinstance(failure("ex-99-1", 3.14).__cause__, TypeError)


def test_a_solution_that_raises_between_cases_is_a_failed_check():
    @exercise("ex-99-3", title="先算好再问")
    def _(solution):
        yield Case("甲", lambda: 1, 1)
        got = solution()
        yield Case("乙", lambda: got, 1)

    error = failure("ex-99-3", lambda: {}["没有"])
    assert "第 2 项" in str(error) and "甲" not in str(error)
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        (1.0, [1.0, np.float32(1), 1, np.array(1.0)], [1.1, np.array([1.0]), "1", None, np.nan]),
        (True, [True, np.True_], [False, 0.5]),
        ("均方误差", ["均方误差"], ["交叉熵", None, 1]),
        (np.eye(2), [np.eye(2), [[1, 0], [0, 1]]], [np.eye(3), np.ones((2, 2)), 1.0, "x"]),
        ((2, 3), [(2, 3), [2, 3]], [(3, 2), (2,), 2, None]),
        ((np.ones(2), 0.5), [(np.ones(2), 0.5)], [(np.ones(2), 0.6), (np.ones(3), 0.5)]),
        (None, [None], [0.0]),
        (np.nan, [np.nan], [0.0]),
    ],
)
def test_answers_are_compared_with_shape_and_tolerance(expected, right, wrong):
    one_case(expected)
    for solution in right:
        check("ex-99-2", solution)
    for solution in wrong:
        failure("ex-99-2", solution)


def test_tolerance_can_be_set():
    one_case(1.0, rtol=0, atol=0.1)
    check("ex-99-2", 1.09)
    failure("ex-99-2", 1.11)


def test_a_requirement_instead_of_one_answer():
    one_case("至少 0.9", accept=lambda accuracy: accuracy >= 0.9)
    check("ex-99-2", 0.95)
    error = failure("ex-99-2", 0.5)
    assert "期望：至少 0.9\n  实际：0.5" in str(error)
    assert "TypeError" in str(failure("ex-99-2", "高"))


def test_values_are_shown_readably():
    one_case((np.float64(2.0), 3))
    text = str(failure("ex-99-2", np.zeros((30, 40))))
    assert "期望：(2.0, 3)" in text
    assert "形状 (30, 40)" in text and "..." in text and len(text) < 500


def test_unknown_names_list_what_exists(difference):
    with pytest.raises(
        LookupError, match="没有名为 ex-99-11 的练习，是不是 ex-99-1？现有：ex-99-1"
    ):
        check("ex-99-11", central)
    with pytest.raises(LookupError, match="现有：ex-99-1"):
        check("练习一", central)


def test_a_checker_without_cases_is_an_error():
    @exercise("ex-99-4", title="空")
    def _(solution):
        yield from ()

    with pytest.raises(RuntimeError, match="一项也没有"):
        check("ex-99-4", None)


def test_names_are_checked_at_registration(difference):
    with pytest.raises(ValueError, match="ex-99-1 已经登记过（《中心差分》）"):
        exercise("ex-99-1", title="重名")(lambda solution: iter(()))
    with pytest.raises(ValueError, match="形如"):
        exercise("99-1", title="没有前缀")


def test_the_chapter_is_imported_only_when_asked(tmp_path, monkeypatch, capsys):
    (tmp_path / "ch98.py").write_text(
        "from dlbook.exercises import Case, exercise\n"
        "@exercise('ex-98-1', title='一')\n"
        "def _(solution):\n"
        "    yield Case('无', lambda: solution, 1)\n",
        encoding="utf-8",
    )
    (tmp_path / "ch97.py").write_text("raise ImportError('这一章坏了')\n", encoding="utf-8")
    monkeypatch.setattr(exercises, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "dlbook.exercises.ch98", raising=False)
    check("ex-98-1", 1)
    assert "通过：1 项" in capsys.readouterr().out
    assert "dlbook.exercises.ch97" not in sys.modules
    with pytest.raises(ImportError, match="这一章坏了"):
        check("ex-97-1", 1)
