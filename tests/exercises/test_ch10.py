"""第 10 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-10-1 不罚截距的岭回归 ----


@mutant("ex-10-1", "连截距也罚")
def penalise_everything(X, t, lam):
    return np.linalg.solve(X.T @ X + lam * np.eye(X.shape[1]), X.T @ t)


@mutant("ex-10-1", "只罚了截距")
def penalise_intercept(X, t, lam):
    penalty = np.zeros((X.shape[1], X.shape[1]))
    penalty[0, 0] = lam
    return np.linalg.solve(X.T @ X + penalty, X.T @ t)


@mutant("ex-10-1", "没有用到惩罚")
def no_penalty(X, t, lam):
    return np.linalg.lstsq(X, t)[0]


@mutant("ex-10-1", "惩罚大了一倍")
def twice(X, t, lam):
    penalty = 2 * lam * np.eye(X.shape[1])
    penalty[0, 0] = 0
    return np.linalg.solve(X.T @ X + penalty, X.T @ t)


# ---- ex-10-2 共轭梯度法 ----


def descend(X, y, steps, beta_of, stop=True):
    phi = np.zeros(X.shape[1])
    r = p = X.T @ y
    for _ in range(steps):
        if stop and r @ r == 0:
            break
        q = X.T @ (X @ p)
        alpha = (r @ r) / (p @ q)
        phi = phi + alpha * p
        r_next = r - alpha * q
        p = r_next + beta_of(r, r_next) * p
        r = r_next
    return phi


@mutant("ex-10-2", "其实是最速下降：β 恒为 0")
def steepest(X, y, steps):
    return descend(X, y, steps, lambda r, r_next: 0.0)


@mutant("ex-10-2", "β 上下颠倒")
def inverted_beta(X, y, steps):
    return descend(X, y, steps, lambda r, r_next: (r @ r) / max(r_next @ r_next, 1e-300))


@mutant("ex-10-2", "收敛之后 0 除以 0")
def no_stop(X, y, steps):
    return descend(X, y, steps, lambda r, r_next: (r_next @ r_next) / (r @ r), stop=False)


@mutant("ex-10-2", "方向反了")
def uphill(X, y, steps):
    return -descend(X, y, steps, lambda r, r_next: (r_next @ r_next) / (r @ r))


@mutant("ex-10-2", "步长恒为 1")
def unit_step(X, y, steps):
    phi = np.zeros(X.shape[1])
    for _ in range(steps):
        phi = phi + X.T @ (y - X @ phi)
    return phi


# ---- ex-10-3 留一法的捷径 ----


def hat(X, t):
    Q, _ = np.linalg.qr(X)
    return t - Q @ (Q.T @ t), np.sum(Q**2, axis=1)


@mutant("ex-10-3", "训练误差")
def training_error(X, t):
    return float(np.sqrt(np.mean(hat(X, t)[0] ** 2)))


@mutant("ex-10-3", "除以了 H")
def divide_by_leverage(X, t):
    residual, leverage = hat(X, t)
    return float(np.sqrt(np.mean((residual / leverage) ** 2)))


@mutant("ex-10-3", "忘了开方")
def no_root(X, t):
    residual, leverage = hat(X, t)
    return float(np.mean((residual / (1 - leverage)) ** 2))


@mutant("ex-10-3", "用杠杆值的平均代替各自的（广义交叉验证）")
def generalized(X, t):
    residual, leverage = hat(X, t)
    return float(np.sqrt(np.mean((residual / (1 - leverage.mean())) ** 2)))


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-10-1", penalise_everything, "截距也一起罚"),
        ("ex-10-1", penalise_intercept, "只罚了截距"),
        ("ex-10-1", no_penalty, "没有用到 λ"),
        ("ex-10-1", twice, "大了一倍"),
        ("ex-10-2", unit_step, "分母应是 pᵀq"),
        ("ex-10-2", uphill, "方向反了"),
        ("ex-10-2", steepest, "至多 4 步"),
        ("ex-10-2", no_stop, "FloatingPointError"),
        ("ex-10-3", training_error, "训练误差"),
        ("ex-10-3", divide_by_leverage, "除以了 H"),
        ("ex-10-3", no_root, "忘了开方"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def stacked(X, t, lam):
        rows = np.sqrt(lam) * np.eye(X.shape[1])[1:]
        return np.linalg.lstsq(np.vstack([X, rows]), np.concatenate([t, np.zeros(len(rows))]))[0]

    def polak_ribiere(X, y, steps):
        return descend(X, y, steps, lambda r, r_next: r_next @ (r_next - r) / (r @ r))

    def with_inverse(X, t):
        H = X @ np.linalg.inv(X.T @ X) @ X.T
        return np.sqrt(np.mean(((t - H @ t) / (1 - np.diag(H))) ** 2))

    check("ex-10-1", stacked)
    check("ex-10-2", polak_ribiere)
    check("ex-10-3", with_inverse)
    assert capsys.readouterr().out.count("✓") == 3
