"""第 11 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-11-1 回溯线搜索 ----


def halving(enough):
    def solution(f, x, g):
        eta = 1.0
        for _ in range(60):
            if enough(f, x, g, eta):
                return eta
            eta /= 2
        return eta

    return solution


@mutant("ex-11-1", "只要下降就收下")
def any_decrease(f, x, g):
    return halving(lambda f, x, g, eta: f(x - eta * g) <= f(x))(f, x, g)


@mutant("ex-11-1", "系数太大")
def too_strict(f, x, g):
    return halving(lambda f, x, g, eta: f(x - eta * g) <= f(x) - 0.75 * eta * np.sum(g * g))(
        f, x, g
    )


@mutant("ex-11-1", "漏了二分之一，对凸函数永远减半下去")
def never_enough(f, x, g):
    eta = 1.0
    while f(x - eta * g) > f(x) - eta * np.sum(g * g):
        eta /= 2
    return eta


@mutant("ex-11-1", "步长从二分之一试起")
def skips_one(f, x, g):
    eta = 0.5
    while f(x - eta * g) > f(x) - 0.5 * eta * np.sum(g * g):
        eta /= 2
    return eta


@mutant("ex-11-1", "多减半了一次")
def one_too_many(f, x, g):
    eta = 1.0
    while f(x - eta * g) > f(x) - 0.5 * eta * np.sum(g * g):
        eta /= 2
    return eta / 2


@mutant("ex-11-1", "用了梯度的长度，没有平方")
def not_squared(f, x, g):
    norm = np.linalg.norm(g)
    return halving(lambda f, x, g, eta: f(x - eta * g) <= f(x) - 0.5 * eta * norm)(f, x, g)


@mutant("ex-11-1", "方向反了")
def uphill(f, x, g):
    return halving(lambda f, x, g, eta: f(x + eta * g) <= f(x) - 0.5 * eta * np.sum(g * g))(f, x, g)


@mutant("ex-11-1", "先把所有步长都试一遍")
def tries_everything(f, x, g):
    etas = [0.5**k for k in range(10)]
    good = [e for e in etas if f(x - e * g) <= f(x) - 0.5 * e * np.sum(g * g)]
    return good[0]


# ---- ex-11-2 给驻点分类 ----


def by_signs(values, small):
    up, down = any(v > small for v in values), any(v < -small for v in values)
    if up and down:
        return "鞍点"
    if any(abs(v) <= small for v in values):
        return "不能判定"
    return "极小" if up else "极大"


@mutant("ex-11-2", "只看对角元")
def diagonal(H):
    return by_signs(np.diag(H), 0.0)


@mutant("ex-11-2", "看行列式与左上角")
def determinant(H):
    det = np.linalg.det(H)
    if abs(det) < 1e-12:
        return "不能判定"
    if det < 0:
        return "鞍点"
    return "极小" if np.trace(H) > 0 else "极大"


@mutant("ex-11-2", "有零就说不能判定")
def zero_first(H):
    values = np.linalg.eigvalsh(H)
    if any(abs(values) <= 1e-10 * abs(values).max()):
        return "不能判定"
    return by_signs(values, 0.0)


@mutant("ex-11-2", "不设容差")
def no_tolerance(H):
    return by_signs(np.linalg.eigvalsh(H), 0.0)


@mutant("ex-11-2", "容差是绝对的")
def absolute_tolerance(H):
    return by_signs(np.linalg.eigvalsh(H), 1e-10)


@mutant("ex-11-2", "零特征值当作正的")
def zero_is_positive(H):
    values = np.linalg.eigvalsh(H)
    values = np.where(abs(values) <= 1e-10 * abs(values).max(), 1.0, values)
    return by_signs(values, 0.0)


@mutant("ex-11-2", "极大极小颠倒")
def swapped(H):
    return by_signs(-np.linalg.eigvalsh(H), 1e-10 * abs(H).max())


# ---- ex-11-3 更老实的停止准则 ----


def descent(small_enough, last_look=True):
    def solution(start, gradient, learn_rate, max_iter, tol):
        x = start
        for _ in range(max_iter):
            g = gradient(x)
            if small_enough(g, learn_rate, tol):
                return x, True
            x = x - learn_rate * g
        return x, last_look and bool(small_enough(gradient(x), learn_rate, tol))

    return solution


@mutant("ex-11-3", "比的是步长")
def by_step(*args):
    return descent(lambda g, lr, tol: np.linalg.norm(lr * g) < tol)(*args)


@mutant("ex-11-3", "走满之后不再看")
def no_last_look(*args):
    return descent(lambda g, lr, tol: np.linalg.norm(g) < tol, last_look=False)(*args)


@mutant("ex-11-3", "只能用于一元")
def scalar_only(*args):
    return descent(lambda g, lr, tol: bool(abs(g) < tol))(*args)


@mutant("ex-11-3", "永远说收敛")
def always_converged(*args):
    return descent(lambda g, lr, tol: np.linalg.norm(g) < tol)(*args)[0], True


@mutant("ex-11-3", "多走一步")
def one_step_late(start, gradient, learn_rate, max_iter, tol):
    x, done = descent(lambda g, lr, t: np.linalg.norm(g) < t)(
        start, gradient, learn_rate, max_iter, tol
    )
    return x - learn_rate * gradient(x), done


@mutant("ex-11-3", "只返回终点")
def only_the_end(*args):
    return descent(lambda g, lr, tol: np.linalg.norm(g) < tol)(*args)[0]


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-11-1", any_decrease, "没有要求降得够多"),
        ("ex-11-1", too_strict, "系数应是 1/2"),
        ("ex-11-1", never_enough, "漏了 1/2"),
        ("ex-11-1", not_squared, "没有平方"),
        ("ex-11-1", one_too_many, "减半过了头"),
        ("ex-11-1", skips_one, "没有先试"),
        ("ex-11-1", tries_everything, "三处"),
        ("ex-11-2", diagonal, "只看了对角元"),
        ("ex-11-2", determinant, "行列式为正"),
        ("ex-11-2", zero_first, "一正一负"),
        ("ex-11-2", no_tolerance, "十个数量级"),
        ("ex-11-2", absolute_tolerance, "相对于最大"),
        ("ex-11-2", zero_is_positive, "二阶说了不算"),
        ("ex-11-3", by_step, "步长，不是梯度"),
        ("ex-11-3", no_last_look, "再看一次"),
        ("ex-11-3", scalar_only, "ValueError"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def power_of_half(f, x, g):
        k = 0
        while f(x - 0.5**k * g) - f(x) > -(0.5 ** (k + 1)) * np.vdot(g, g):
            k += 1
        return 0.5**k

    def counting(H):
        values = np.linalg.eigvalsh(H) / abs(np.linalg.eigvalsh(H)).max()
        up, down = np.sum(values > 1e-10), np.sum(values < -1e-10)
        if up * down:
            return "鞍点"
        return {up: "极小", down: "极大"}.get(len(values), "不能判定")

    def looking_first(start, gradient, learn_rate, max_iter, tol):
        x, left = start, max_iter
        while np.linalg.norm(gradient(x)) >= tol and left:
            x, left = x - learn_rate * gradient(x), left - 1
        return x, bool(np.linalg.norm(gradient(x)) < tol)

    check("ex-11-1", power_of_half)
    check("ex-11-2", counting)
    check("ex-11-3", looking_first)
    assert capsys.readouterr().out.count("✓") == 3
