"""多元最小二乘：设计矩阵、梯度，正规方程与 QR 两种解法。预测总是 ``X @ phi``。

只有一个输入的直线另见 :mod:`dlbook.models.linear_regression`。

书中：sec-sl-least-squares
"""

import numpy as np


def with_ones(features: np.ndarray) -> np.ndarray:
    """在特征左边添一列 1，得到设计矩阵。

    features 形状 (N, D)，或 (N,)（只有一个特征）；返回 (N, D + 1)，float64。
    其他维数抛出 ValueError。

    书中：eq-sl-design-matrix
    """
    features = np.asarray(features, dtype=float)
    if features.ndim == 1:
        features = features[:, None]
    if features.ndim != 2:
        raise ValueError(f"features 应是 (N, D) 或 (N,) 的数组，收到形状 {features.shape}")
    return np.hstack([np.ones((len(features), 1)), features])


def powers(x: np.ndarray, degree: int) -> np.ndarray:
    """多项式的设计矩阵：第 j 列是 x 的 j 次幂，j = 0, …, degree。

    x 形状 (N,)；返回 (N, degree + 1)，float64。
    x 不是一维、degree 不是非负的整数时抛出 ValueError。

    书中：eq-sl-polynomial
    """
    x = np.asarray(x, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"x 应是一维数组，收到形状 {x.shape}")
    if degree != int(degree) or degree < 0:
        raise ValueError(f"阶数 degree 应是不小于 0 的整数，收到 {degree}")
    return x[:, None] ** np.arange(degree + 1)


def gradient(X: np.ndarray, y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """残差平方和对参数的梯度 2 Xᵀ(Xφ − y)，形状与 phi 相同。

    X 形状 (N, P)，y 形状 (N,)，phi 形状 (P,)；形状对不上时抛出 ValueError。

    书中：eq-sl-gradient
    """
    _check(X, y, phi)
    return 2 * X.T @ (X @ phi - y)


def solve_normal(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """解正规方程 XᵀX φ = Xᵀy。X 形状 (N, P)，y 形状 (N,)；返回 (P,)。

    形状对不上、或 XᵀX 在浮点数里不可逆时抛出 ValueError。

    书中：eq-sl-normal-equations
    """
    _check(X, y)
    try:
        return np.linalg.solve(X.T @ X, X.T @ y)
    except np.linalg.LinAlgError:
        raise ValueError("XᵀX 在浮点数里不可逆，正规方程没有唯一解；请改用 QR 或 lstsq") from None


def solve_qr(X: np.ndarray, y: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """用 QR 分解求使 ‖Xφ − y‖² + ridge·‖φ‖² 最小的 φ，不必算出 XᵀX。

    X 形状 (N, P)，y 形状 (N,)；返回 (P,)。形状对不上、ridge 为负、
    或 ridge = 0 而 X 的列线性相关（解不唯一）时抛出 ValueError。

    书中：sec-sl-solvers
    """
    _check(X, y)
    if ridge < 0:
        raise ValueError(f"正则化的系数 ridge 应不小于 0，收到 {ridge}")
    P = X.shape[1]
    if ridge > 0:
        # 惩罚项也是平方和：在数据下面接 P 行，目标是 0。
        X = np.vstack([X, np.sqrt(ridge) * np.eye(P)])
        y = np.concatenate([y, np.zeros(P)])
    Q, R = np.linalg.qr(X)
    diagonal = np.abs(np.diag(R))
    if len(diagonal) < P or diagonal.min() <= np.finfo(float).eps * diagonal.max():
        raise ValueError(f"X 的 {P} 列线性相关，最小二乘解不唯一；请减少列数，或改用 lstsq")
    return np.linalg.solve(R, Q.T @ y)


def rms(X: np.ndarray, y: np.ndarray, phi: np.ndarray) -> float:
    """均方根误差：残差平方的平均，再开方，单位与 y 相同。形状同 :func:`gradient`。

    书中：eq-sl-rms
    """
    _check(X, y, phi)
    return float(np.sqrt(np.mean((X @ phi - y) ** 2)))


def _check(X: np.ndarray, y: np.ndarray, phi: np.ndarray | None = None) -> None:
    if np.ndim(X) != 2 or np.shape(y) != np.shape(X)[:1] or np.size(X) == 0:
        raise ValueError(
            f"X 应是 (N, P)、y 应是 (N,) 的非空数组，收到 {np.shape(X)} 与 {np.shape(y)}"
        )
    if phi is not None and np.shape(phi) != np.shape(X)[1:]:
        raise ValueError(f"phi 应每列一个数，形状 {np.shape(X)[1:]}，收到 {np.shape(phi)}")
