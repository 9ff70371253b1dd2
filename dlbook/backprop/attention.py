"""缩放点积注意力：softmax(q kᵀ / √d + 掩码) v，前向与反向。

书中：sec-bp-attention
"""

import math

import numpy as np

from dlbook.backprop._check import InputError, check_floating, check_same_dtype, check_upstream
from dlbook.backprop.products import row_max, row_sum
from dlbook.backprop.shapes import unbroadcast


def scaled_dot_product_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    dropout: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple]:
    """s = scale · q kᵀ + 掩码；p = softmax(s)（沿最后一轴）；y = p v。

    query (…, L, d)、key (…, S, d)、value (…, S, dv)，前面的轴可广播；y (…, L, dv)。
    attn_mask 布尔（真处可以看）或浮点（加到 s 上），可广播到 (…, L, S)；
    is_causal 为真时第 i 行只看前 i + 1 个位置。scale 缺省 1/√d。
    dropout 是已经除以保留概率的掩码 (…, L, S)，乘在 p 上。整行都看不见时输出 0。

    书中：sec-bp-attention
    """
    _check(query, key, value, attn_mask)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    # 缩放 k (S × d)，比缩放分数 (L × S) 省。
    p = query @ _transposed(key, scale)
    if is_causal:
        p += causal_mask(p.shape[-2], p.shape[-1], p.dtype)
    if attn_mask is not None:
        if attn_mask.dtype == np.bool_:
            attn_mask = np.where(attn_mask, p.dtype.type(0), p.dtype.type(-np.inf))
        p = p + attn_mask
    peak = row_max(p)
    masked = attn_mask is not None
    if masked:  # 整行 −inf 时，−inf − (−inf) 会得 nan
        peak[np.isneginf(peak)] = 0
    p -= peak
    np.exp(p, out=p)
    total = row_sum(p)
    if masked:
        total[total == 0] = 1
    p /= total
    dropped = p if dropout is None else p * dropout
    # 输出按 (…, L, 头, dv) 存放，之后把各头拼回一行就不必再复制。
    y = np.matmul(dropped, value, out=_heads_last(dropped, value))
    return y, (query, key, value, p, dropout, scale)


def scaled_dot_product_attention_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool] = (True, True, True)
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dv = pᵀ dy；dp = dy vᵀ；ds = p ⊙ (dp − Σ dp ⊙ p)；dq = scale · ds k，dk = scale · dsᵀ q。

    被遮住的位置 p = 0，所以 ds 自动是 0，不必再遮一次。

    书中：sec-bp-attention
    """
    q, k, v, p, dropout, scale = cache
    check_upstream(dy, (*p.shape[:-1], v.shape[-1]), p.dtype)
    dq = dk = dv = None
    if need[2]:
        dropped = p if dropout is None else p * dropout
        dv = unbroadcast(np.swapaxes(dropped, -1, -2) @ dy, v.shape)
    if need[0] or need[1]:
        ds = dy @ _transposed(v)
        if dropout is not None:
            ds *= dropout
        ds -= np.einsum("...ij,...ij->...i", ds, p)[..., None]
        ds *= p
        ds *= scale
        if need[0]:
            dq = unbroadcast(ds @ k, q.shape)
        if need[1]:
            dk = unbroadcast(np.swapaxes(ds, -1, -2) @ q, k.shape)
    return dq, dk, dv


def causal_mask(rows: int, columns: int, dtype: np.dtype = np.float32) -> np.ndarray:
    """因果掩码 (rows, columns)：第 i 行的前 i + 1 列是 0（可以看），其余 −inf。

    书中：sec-bp-attention
    """
    return np.triu(np.full((rows, columns), -np.inf, dtype), 1)


def _transposed(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """scale · xᵀ（最后两轴对调），在内存里也排成那样：接着的一批小矩阵乘法能快一倍。"""
    return np.multiply(np.swapaxes(x, -1, -2), scale, order="C")


def _heads_last(p: np.ndarray, value: np.ndarray) -> np.ndarray | None:
    shape = (*np.broadcast_shapes(p.shape[:-2], value.shape[:-2]), p.shape[-2], value.shape[-1])
    if len(shape) != 4:
        return np.empty(shape, p.dtype)
    b, h, n, d = shape
    return np.empty((b, n, h, d), p.dtype).transpose(0, 2, 1, 3)


def _check(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, attn_mask: np.ndarray | None
) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_floating(name, x)
        if x.ndim < 2:
            raise InputError(f"{name} 至少二维 (…, 长度, 宽度)，收到 {x.shape}")
    check_same_dtype(query=query, key=key, value=value)
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise InputError(
            "query (…, L, d)、key (…, S, d)、value (…, S, dv) 的 d 与 S 应对得上，"
            f"收到 {query.shape}、{key.shape}、{value.shape}"
        )
    try:
        batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        scores = (*batch, query.shape[-2], key.shape[-2])
        mask = () if attn_mask is None else attn_mask.shape
        fits = np.broadcast_shapes(scores, mask) == scores
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            "query、key、value 前面的轴应能广播，attn_mask 应能广播到 (…, L, S)，收到 "
            f"{query.shape}、{key.shape}、{value.shape}"
            + ("" if attn_mask is None else f" 与 {attn_mask.shape}")
        )
