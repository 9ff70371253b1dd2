"""矩阵乘法与爱因斯坦求和。

书中：sec-bp-linear、sec-bp-batch
"""

from functools import lru_cache

import numpy as np

from dlbook.backprop.shapes import unbroadcast


@lru_cache(maxsize=16)
def _ones(n: int, dtype: np.dtype) -> np.ndarray:
    """n 个 1；每一步都要同样的几个，造一次就够。"""
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def column_sum(rows: np.ndarray) -> np.ndarray:
    """rows (m, n) 各列之和 (n,)：写成全 1 的行乘矩阵。

    NumPy 沿第 0 轴求和是一行一行累加，慢一个数量级，m 大时舍入误差也大；矩阵乘法分块累加。

    书中：sec-bp-speed
    """
    return _ones(len(rows), rows.dtype) @ rows


def row_sum(rows: np.ndarray) -> np.ndarray:
    """rows (…, n) 每一行之和 (…, 1)：矩阵乘全 1 的列，比 NumPy 逐行求和快几倍。

    书中：sec-bp-speed
    """
    return (rows @ _ones(rows.shape[-1], rows.dtype))[..., None]


def row_max(rows: np.ndarray) -> np.ndarray:
    """rows (…, n) 每一行的最大 (…, 1)。行短的时候，NumPy 花在换行上的时间比比较还多；

    改成对折：左半与右半逐个比，长度减半；折到很短时转置，一整列一整列地比。

    书中：sec-bp-speed
    """
    *shape, n = rows.shape
    if n > 128:
        return rows.max(axis=-1, keepdims=True)
    while n > 16:
        half = (n + 1) // 2  # n 是单数时，正中间的一列两边都算，不影响最大
        rows, n = np.maximum(rows[..., :half], rows[..., n - half :]), half
    columns = rows.reshape(-1, n).T.copy()
    return np.maximum.reduce(columns).reshape(*shape, 1)


# 乘加次数不超过 10⁶ 时，OpenBLAS 用一种不必先重排数据的核；又高又瘦的矩阵花在重排上的时间
# 比乘还多，所以切成这样的小段反而快。另一边宽于 NARROW 时重排划得来，照常一次乘完。
SMALL_PRODUCT = 900_000
NARROW = 32


def row_product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """rows (m, k) @ matrix (k, n)；m 很大而 n 很小时，切成一段一段来乘。

    书中：sec-bp-speed
    """
    m, k = rows.shape
    n = matrix.shape[1]
    block = SMALL_PRODUCT // max(k * n, 1)
    if n > NARROW or m <= block or block < 8:
        return rows @ matrix
    y = np.empty((m, n), rows.dtype)
    whole = m - m % block
    parts = rows[:whole].reshape(-1, block, k)  # 一批小矩阵，np.matmul 逐个相乘
    np.matmul(parts, matrix, out=y[:whole].reshape(-1, block, n))
    np.matmul(rows[whole:], matrix, out=y[whole:])
    return y


def transposed_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """aᵀ b，a (m, p)、b (m, q)，也就是对 m 个样本求和；m 很大而 p 很小时一段一段地加。

    书中：sec-bp-speed
    """
    m, p = a.shape
    block = SMALL_PRODUCT // 2 // max(p * b.shape[1], 1)  # 一段的输入还要留在二级缓存里
    if p > NARROW or m <= 2 * block or block < 8:
        return a.T @ b
    total = a[:block].T @ b[:block]
    part = np.empty_like(total)
    for start in range(block, m, block):
        rows = slice(start, start + block)
        total += np.matmul(a[rows].T, b[rows], out=part)
    return total


def matmul(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a b：最后两轴做矩阵乘法，前面的轴是批，按广播规则对齐；一维的当作行（左）或列（右）。

    书中：sec-bp-batch
    """
    if input.ndim > 2 and other.ndim == 2:
        # (…, n, k) 乘 (k, p)：所有的行排成一个高矩阵，一次乘完，比一批小的快。
        rows = input.reshape(-1, input.shape[-1])
        return (rows @ other).reshape(*input.shape[:-1], other.shape[1]), (input, other)
    return np.matmul(input, other), (input, other)


def matmul_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """da = dy bᵀ，db = aᵀ dy；批里被广播的一边再求和。

    书中：sec-bp-batch
    """
    a, b = cache
    if a.ndim > 2 and b.ndim == 2:
        rows = dy.reshape(-1, dy.shape[-1])
        da = (rows @ b.T).reshape(a.shape) if need[0] else None
        return da, a.reshape(-1, a.shape[-1]).T @ rows if need[1] else None
    # 一维的补成矩阵，下面就只有一种情形。
    a2 = a[None, :] if a.ndim == 1 else a
    b2 = b[:, None] if b.ndim == 1 else b
    if a.ndim == 1:
        dy = np.expand_dims(dy, -1 if b.ndim == 1 else -2)
    if b.ndim == 1:
        dy = np.expand_dims(dy, -1)
    da = db = None
    if need[0]:
        da = unbroadcast(dy @ np.swapaxes(b2, -1, -2), a2.shape).reshape(a.shape)
    if need[1]:
        db = unbroadcast(np.swapaxes(a2, -1, -2) @ dy, b2.shape).reshape(b.shape)
    return da, db


def einsum(equation: str, operands: list[np.ndarray]) -> tuple[np.ndarray, tuple]:
    """爱因斯坦求和，如 ``einsum("bik,bkj->bij", [a, b])``；写法与 NumPy 相同。

    同一个操作数里重复的下标（取对角线）不支持，抛出 NotImplementedError。

    书中：sec-bp-batch
    """
    inputs, output = parse_einsum(equation, [x.ndim for x in operands])
    explicit = ",".join(inputs) + "->" + output
    y = np.einsum(explicit, *operands, optimize=len(operands) > 1)
    return y, (inputs, output, list(operands))


def einsum_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, ...] | None = None
) -> list[np.ndarray | None]:
    """对第 i 个操作数的梯度：把它的下标与输出的下标对调，再做一次爱因斯坦求和。

    只在这个操作数里出现的下标被求和掉了，它的梯度沿那一轴处处相同，最后广播回去。

    书中：sec-bp-batch
    """
    inputs, output, operands = cache
    grads = []
    for i, (own, x) in enumerate(zip(inputs, operands, strict=True)):
        if need is not None and not need[i]:
            grads.append(None)
            continue
        others = inputs[:i] + inputs[i + 1 :]
        seen = set(output).union(*others)
        kept = "".join(c for c in own if c in seen)
        arrays = [dy, *operands[:i], *operands[i + 1 :]]
        equation = ",".join([output, *others]) + "->" + kept
        grad = np.einsum(equation, *arrays, optimize=len(arrays) > 1)
        shape = [n if c in seen else 1 for c, n in zip(own, x.shape, strict=True)]
        # 长度为 1 的轴可能在别的操作数那里更长（广播），多出来的要求和。
        full = [_length(c, [output, *inputs], [dy, *operands]) for c in kept]
        grad = np.broadcast_to(grad, full)
        shrink = tuple(j for j, c in enumerate(kept) if x.shape[own.index(c)] == 1 and full[j] != 1)
        grad = grad.sum(axis=shrink, keepdims=True) if shrink else grad
        grads.append(np.broadcast_to(grad.reshape(shape), x.shape))
    return grads


def _length(letter: str, subscripts: list[str], arrays: list[np.ndarray]) -> int:
    return max(
        a.shape[s.index(letter)] for s, a in zip(subscripts, arrays, strict=True) if letter in s
    )


def parse_einsum(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """把 einsum 的式子拆成各操作数的下标与输出的下标；省略号换成没有用过的字母。

    书中：sec-bp-batch
    """
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ndims):
        raise ValueError(f"einsum {equation!r} 有 {len(inputs)} 个操作数，收到 {len(ndims)} 个")
    unused = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    widest = ""
    for i, (subscript, ndim) in enumerate(zip(inputs, ndims, strict=True)):
        extra = ndim - len(subscript.replace("...", ""))
        if extra < 0 or (extra > 0 and "..." not in subscript):
            raise ValueError(f"einsum 的下标 {subscript!r} 与 {ndim} 维的操作数对不上")
        letters = "".join(unused[:extra][::-1])
        inputs[i] = subscript.replace("...", letters)
        widest = max(widest, letters, key=len)
        if len(set(inputs[i])) != len(inputs[i]):
            raise NotImplementedError(f"einsum 不支持同一操作数里重复的下标：{subscript!r}")
    if not arrow:
        joined = "".join(inputs)
        output = "..." + "".join(
            sorted(c for c in set(joined) - set(widest) if joined.count(c) == 1)
        )
    output = output.replace("...", widest)
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        raise ValueError(f"einsum 的输出下标重复，或没有在输入里出现：{equation!r}")
    return inputs, output
