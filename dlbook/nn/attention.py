"""多头注意力层。

书中：sec-bp-attention
"""

import math

import numpy as np
from numpy.typing import DTypeLike

import dlbook.nn.functional as F
from dlbook._options import parameter_dtype, refuse
from dlbook.autograd.tensor import Tensor
from dlbook.nn import init
from dlbook.nn.linear import Linear
from dlbook.nn.module import Module
from dlbook.nn.parameter import Parameter


class MultiheadAttention(Module):
    """多头注意力：q、k、v 各投影一次，分成 num_heads 个头各自注意，拼起来再投影。

    形状：query (N, L, E)、key 与 value (N, S, E)，输出 (N, L, E)；batch_first=False（缺省）时
    前两维对调，没有批的输入是 (L, E)、(S, E)。in_proj_weight (3E, E) 自上而下是 q、k、v 的权重。

    embed_dim 不能被 num_heads 整除抛出 ValueError。add_bias_kv、add_zero_attn、与 embed_dim 不同的
    kdim、vdim 不支持，抛出 NotImplementedError。

    书中：sec-bp-attention
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        refuse(add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn)
        dtype = parameter_dtype(device, dtype)
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim={embed_dim} 与 num_heads={num_heads} 应是正整数，前者能被后者整除"
            )
        for name, dim in (("kdim", kdim), ("vdim", vdim)):
            if dim not in (None, embed_dim):
                raise NotImplementedError(f"只支持 {name} 等于 embed_dim={embed_dim}，收到 {dim}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim, self.batch_first = embed_dim // num_heads, batch_first
        self.in_proj_weight = Parameter(np.empty((3 * embed_dim, embed_dim), dtype))
        in_bias = Parameter(np.empty(3 * embed_dim, dtype)) if bias else None
        self.register_parameter("in_proj_bias", in_bias)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """重新取 in_proj_weight 的初始值（Xavier），偏置都归零。"""
        init.xavier_uniform_(self.in_proj_weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """返回（输出，注意力权重）；need_weights=False 时后者是 None，也更快。

        权重的形状是 (N, L, S)（各头的平均），average_attn_weights=False 时是 (N, num_heads, L, S)。
        key_padding_mask (N, S)、attn_mask (L, S) 或 (N·num_heads, L, S)：布尔的以 True 表示
        “不许看”，浮点的加到得分上。is_causal=True 只是说 attn_mask 是因果掩码，须一并给出。

        书中：sec-bp-attention
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal=True 只是提示，须同时给出因果的 attn_mask")
        self._check(query, key, value)
        batched = query.ndim == 3
        to_batch_first, from_batch_first = _moves(batched, self.batch_first)
        same = query is key and key is value
        query = to_batch_first(query)
        if same:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            q, k, v = self._project(query, to_batch_first(key), to_batch_first(value))
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        mask = self._merge_masks(attn_mask, key_padding_mask, q, k)
        p = self.dropout if self.training else 0.0
        if need_weights:
            scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
            weights = F.softmax(scores if mask is None else scores + mask, -1)
            weights = F.dropout(weights, p) if p else weights
            heads = weights @ v
        else:
            weights = None
            heads = F.scaled_dot_product_attention(q, k, v, mask, p)
        n, _, length, _ = heads.shape
        merged = heads.transpose(1, 2).reshape(n, length, self.embed_dim)
        output = from_batch_first(self.out_proj(merged))
        if weights is not None:
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        return output, weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            raise RuntimeError(
                "query、key、value 应都是三维（有批）或都是二维，收到形状 "
                f"{query.shape}、{key.shape}、{value.shape}"
            )
        if key.shape != value.shape or query.shape[-1] != self.embed_dim:
            raise RuntimeError(
                f"key 与 value 应同形，query 的最后一维应是 {self.embed_dim}，收到形状 "
                f"{query.shape}、{key.shape}、{value.shape}"
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        inputs = (query, key, value)
        return [F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _split_heads(self, x: Tensor) -> Tensor:
        """(N, 长, E) → (N, 头, 长, E/头)。"""
        n, length, _ = x.shape
        return x.reshape(n, length, self.num_heads, self.head_dim).transpose(1, 2)

    def _merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """两种掩码合成一个加在得分上的张量，能广播到 (N, 头, L, S)；都没有时为 None。"""
        n, heads, length, _ = q.shape
        source = k.shape[2]
        mask = None
        if attn_mask is not None:
            shapes = {2: (length, source), 3: (n * heads, length, source)}
            if attn_mask.shape != shapes.get(attn_mask.ndim):
                raise RuntimeError(
                    f"attn_mask 的形状应是 {shapes[2]} 或 {shapes[3]}，收到 {attn_mask.shape}"
                )
            mask = _additive(attn_mask, q.dtype)
            if mask.ndim == 3:
                mask = mask.reshape(n, heads, length, source)
        if key_padding_mask is not None:
            if key_padding_mask.shape != (n, source):
                raise RuntimeError(
                    f"key_padding_mask 的形状应是 {(n, source)}，收到 {key_padding_mask.shape}"
                )
            padding = _additive(key_padding_mask, q.dtype).reshape(n, 1, 1, source)
            mask = padding if mask is None else mask + padding
        return mask


def _moves(batched: bool, batch_first: bool) -> tuple:
    """（化成批在最前，化回来）两个函数。"""
    if not batched:
        return (lambda x: x.unsqueeze(0)), (lambda x: x.squeeze(0))
    if batch_first:
        return (lambda x: x), (lambda x: x)
    return (lambda x: x.transpose(0, 1)), (lambda x: x.transpose(0, 1))


def _additive(mask: Tensor, dtype: np.dtype) -> Tensor:
    """布尔掩码（True 是不许看）变成加数：0 或 −∞；浮点掩码原样。"""
    if mask.dtype.kind == "f":
        return mask
    if mask.dtype.kind != "b":
        raise TypeError(f"掩码应是布尔或浮点，收到 {mask.dtype}")
    return Tensor(np.where(mask.array, -np.inf, 0).astype(dtype))
