"""数值微分与梯度检验：不看公式，只求函数值，核对手推的梯度对不对。

书中：sec-numerical-diff
"""

from collections.abc import Callable, Sequence

import numpy as np


def numerical_diff(f: Callable[[float], float], x: float, eps: float = 1e-4) -> float:
    """一元函数 f 在 x 处的导数，用中心差分近似：(f(x + ε) − f(x − ε)) / 2ε。

    书中：sec-numerical-diff
    """
    x0 = x - eps
    x1 = x + eps
    return (f(x1) - f(x0)) / (2 * eps)


def numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """f 在 x 处的梯度，形状与 x 相同，float64：每次只动 x 的一个元素，各做一次中心差分。

    f 接受与 x 同形状的 float64 数组，返回一个数；x 本身不会被修改。
    f 返回的不是一个数时抛出 ValueError。n 个元素要调用 f 共 2n 次，只适合小规模的核对。

    书中：sec-numerical-diff
    """
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        center = x[index]

        def along(value: float, index: tuple[int, ...] = index) -> float:
            x[index] = value
            return _scalar(f(x))

        gradient[index] = numerical_diff(along, center, eps)
        x[index] = center
    return gradient


def _scalar(value: float) -> float:
    if np.size(value) != 1:
        raise ValueError(f"f 应返回一个数，收到形状 {np.shape(value)}；先求和或取平均")
    return float(np.reshape(value, ()))


def gradcheck(
    forward: Callable[..., tuple[np.ndarray, object]],
    backward: Callable[..., np.ndarray | tuple[np.ndarray, ...]],
    inputs: np.ndarray | Sequence[np.ndarray],
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-4,
) -> bool:
    """用数值微分核对一对函数 ``forward(*inputs) -> (y, cache)``、``backward(dy, cache)``。

    浮点输入转成 float64 再核对，其余（如整数标签）原样传入；backward 须依次给出每个浮点输入的
    梯度（只有一个时可不装进元组）。不求梯度的浮点输入请先固定住：
    ``gradcheck(lambda x: mse_loss(x, t), mse_loss_backward, [x])``。

    损失取 Σ r ⊙ y，其中 r 是随机的上游梯度（种子固定）：只用全 1 的话，有些错误会恰好抵消。
    每个元素要求 |反向 − 数值| ≤ atol + rtol · |数值|，全部满足返回 True；否则抛出 AssertionError，
    指明哪个输入的哪一个元素差得最多。输入或上游梯度被修改也算失败。
    不要在不可导的点（如 ReLU 的 0）上核对。

    书中：sec-gradcheck
    """
    if isinstance(inputs, np.ndarray):
        inputs = [inputs]
    inputs = [_as_float64(x) for x in inputs]
    original = [x.copy() for x in inputs]
    y, cache = forward(*inputs)
    upstream = np.random.default_rng(0).standard_normal(np.shape(y))
    # 损失的上游梯度按约定是一个数，不是 0 维数组。
    dy = upstream.copy() if upstream.ndim else float(upstream)
    grads = backward(dy, cache)
    grads = grads if isinstance(grads, tuple | list) else (grads,)

    if np.asarray(y).dtype != np.float64:
        raise AssertionError(
            f"输入都是 float64，forward 却算出 {np.asarray(y).dtype}，精度不够核对"
        )
    if not np.array_equal(dy, upstream):
        raise AssertionError("backward 修改了传给它的上游梯度 dy")
    for i, (x, x_original) in enumerate(zip(inputs, original, strict=True)):
        if not np.array_equal(x, x_original):
            raise AssertionError(f"inputs[{i}] 被 forward 或 backward 修改了")
    floating = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    if len(grads) != len(floating):
        raise AssertionError(
            f"有 {len(floating)} 个浮点输入，backward 却给出 {len(grads)} 个梯度；"
            "不求梯度的浮点输入请用 lambda 固定住"
        )

    for i, grad in zip(floating, grads, strict=True):

        def loss(x: np.ndarray, i: int = i) -> float:
            y, _ = forward(*inputs[:i], x, *inputs[i + 1 :])
            return np.sum(upstream * y)

        _compare(i, grad, numerical_gradient(loss, inputs[i], eps), atol, rtol)
    return True


def _as_float64(x: np.ndarray) -> np.ndarray:
    x = np.array(x)
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def _compare(i: int, grad: np.ndarray, numerical: np.ndarray, atol: float, rtol: float) -> None:
    """反向给出的 grad 与数值梯度逐元素比较，不合时指出差得最多的那一个。"""
    if grad is None or np.shape(grad) != numerical.shape:
        found = "None，是不是忘了 return？" if grad is None else np.shape(grad)
        raise AssertionError(
            f"inputs[{i}] 的梯度应与输入同形状 {numerical.shape}，backward 给出 {found}"
        )
    error = np.abs(grad - numerical)
    # 写成“不满足”而不是“大于”：nan 与谁比都不成立，这样它也算不合格。
    wrong = ~(error <= atol + rtol * np.abs(numerical))
    if wrong.any():
        worst = np.unravel_index(np.argmax(np.where(wrong, error, -1)), numerical.shape)
        where = f"[{i}]" + (f" 的元素 {tuple(map(int, worst))}" if numerical.ndim else "")
        raise AssertionError(
            f"inputs{where} 的梯度不对：backward 给出 {np.asarray(grad)[worst]:.8g}，"
            f"数值微分给出 {numerical[worst]:.8g}；{wrong.size} 个元素中有 {wrong.sum()} 个不合"
        )
