"""神经网络用的函数，参数与语义同 ``torch.nn.functional``；不支持的选项抛出 NotImplementedError。

每个函数的公式都在 :mod:`dlbook.backprop` 的同名函数对里；这里管 PyTorch 的写法：
任意的批维、各种 reduction、可有可无的参数。

书中：sec-bp-engine
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlbook import random
from dlbook._options import refuse
from dlbook.autograd.dtypes import int64, uint8
from dlbook.autograd.ops import reductions
from dlbook.autograd.ops._common import floating, operands, tensor_only
from dlbook.autograd.ops.elementwise import relu as _relu
from dlbook.autograd.ops.elementwise import sigmoid as _sigmoid
from dlbook.autograd.ops.elementwise import tanh as _tanh
from dlbook.autograd.ops.elementwise import where
from dlbook.autograd.ops.indexing import one_hot
from dlbook.autograd.ops.shapes import repeat_interleave
from dlbook.autograd.tensor import Tensor, apply
from dlbook.backprop import (
    activations,
    affine,
    convolution,
    gaussian,
    indexing,
    losses,
    normalization,
    pooling,
    regularization,
    shapes,
)
from dlbook.backprop import attention as attention_pairs
from dlbook.backprop._check import InputError

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]

# 全连接与激活


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b：input (…, in)、weight (out, in)、bias (out,)，返回 (…, out)。

    书中：sec-bp-linear
    """
    x, w = tensor_only(input), tensor_only(weight, "weight")
    if x.ndim == 2:
        return apply(affine.linear, _linear_backward, x, w, bias)
    if x.ndim == 0 or w.ndim != 2:
        raise RuntimeError(f"linear 要 input (…, in)、weight (out, in)，收到 {x.shape}、{w.shape}")
    # 前面的各轴都是样本，排成一个高矩阵。
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = apply(affine.linear, _linear_backward, rows, w, bias)
    return y.reshape(*x.shape[:-1], w.shape[0])


def _linear_backward(dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool]) -> tuple:
    return affine.linear_backward(dy, cache, need_dinput=need[0])


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)。

    书中：sec-bp-relu
    """
    refuse(inplace=inplace)
    return _relu(input)


def _activation(forward: Callable, backward: Callable, x: Tensor, **options: Any) -> Tensor:
    if tensor_only(x).dtype.kind != "f":
        raise RuntimeError(f"{forward.__name__} 只用于浮点张量，收到 {x.dtype}；先写 x.float()")
    return apply(forward, backward, x, **options)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x)，Φ 是标准正态的分布函数；approximate="tanh" 用 tanh 近似 Φ。

    书中：sec-bp-gelu
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f'gelu 的 approximate 应是 "none" 或 "tanh"，收到 {approximate!r}')
    return _activation(gaussian.gelu, gaussian.gelu_backward, input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x)。

    书中：sec-bp-gelu
    """
    refuse(inplace=inplace)
    return _activation(activations.silu, activations.silu_backward, input)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """ln(1 + e^{βx}) / β；βx 超过 threshold 时就是 x。

    书中：sec-bp-relu
    """
    return _activation(
        activations.softplus,
        activations.softplus_backward,
        input,
        beta=float(beta),
        threshold=float(threshold),
    )


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x > 0 处是 x，其余是 negative_slope · x。

    书中：sec-bp-relu
    """
    refuse(inplace=inplace)
    return _activation(
        activations.leaky_relu,
        activations.leaky_relu_backward,
        input,
        negative_slope=float(negative_slope),
    )


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x > 0 处是 x，其余是 alpha · (eˣ − 1)。

    书中：sec-bp-relu
    """
    refuse(inplace=inplace)
    return _activation(activations.elu, activations.elu_backward, input, alpha=float(alpha))


def logsigmoid(input: Tensor) -> Tensor:
    """ln sigmoid(x)。

    书中：sec-bp-softmax
    """
    return _activation(activations.logsigmoid, activations.logsigmoid_backward, input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)。

    书中：sec-bp-relu
    """
    return _sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """双曲正切。

    书中：sec-bp-relu
    """
    return _tanh(input)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """沿 dim 的 softmax；dim 必须写明。

    书中：sec-bp-softmax
    """
    return reductions.softmax(input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """softmax 的对数，沿 dim。

    书中：sec-bp-softmax
    """
    return reductions.log_softmax(input, dim, dtype=dtype)


# 卷积与池化


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """一个整数当作（高，宽）都是它。"""
    pair = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or not all(isinstance(n, int | np.integer) for n in pair):
        raise TypeError(f"{name} 应是一个整数，或（高，宽）两个整数，收到 {value!r}")
    return pair


def _positive(value: int | Sequence[int], name: str, least: int = 1) -> tuple[int, int]:
    pair = _pair(value, name)
    if min(pair) < least:
        raise RuntimeError(f"{name} 应不小于 {least}，收到 {value}")
    return pair


def _image(input: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
    """没有批维的一幅图 (C, H, W)，当作一批一幅。"""
    if tensor_only(input).ndim == 3:
        return run(input.unsqueeze(0)).squeeze(0)
    if input.ndim != 4:
        raise RuntimeError(f"input 的形状应是 (N, C, H, W) 或 (C, H, W)，收到 {input.shape}")
    return run(input)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """二维卷积：input (N, C, H, W)、weight (O, C/groups, kh, kw)、bias (O,)。

    padding 也可以是 "valid"（不补）、"same"（输出与输入一样大，须步长为 1）。

    书中：sec-bp-conv
    """
    stride, dilation = _positive(stride, "stride"), _positive(dilation, "dilation")
    if padding == "valid":
        padding = 0
    if padding == "same":
        if stride != (1, 1):
            raise RuntimeError('padding="same" 要求 stride=1')
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padding = [n // 2 for n in total]
        if any(n % 2 for n in total):  # 单数时多出来的一个补在后面
            input = pad(input, (0, total[1] % 2, 0, total[0] % 2))
    elif isinstance(padding, str):
        raise RuntimeError(f'padding 应是整数、"valid" 或 "same"，收到 {padding!r}')
    padding = _positive(padding, "padding", 0)

    def run(x: Tensor) -> Tensor:
        return apply(
            convolution.conv2d,
            convolution.conv2d_backward,
            x,
            tensor_only(weight, "weight"),
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    return _image(input, run)


def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """每个窗口取最大；stride 不给就等于 kernel_size。

    书中：sec-bp-pool
    """
    refuse(return_indices=return_indices)
    kernel = _positive(kernel_size, "kernel_size")
    options = {
        "kernel_size": kernel,
        "stride": kernel if stride is None else _positive(stride, "stride"),
        "padding": _positive(padding, "padding", 0),
        "dilation": _positive(dilation, "dilation"),
        "ceil_mode": ceil_mode,
    }
    return _image(
        input, lambda x: apply(pooling.max_pool2d, pooling.max_pool2d_backward, x, **options)
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """每个窗口取平均；stride 不给就等于 kernel_size。

    书中：sec-bp-pool
    """
    kernel = _positive(kernel_size, "kernel_size")
    if divisor_override == 0:
        raise RuntimeError("divisor_override 不能为 0")
    options = {
        "kernel_size": kernel,
        "stride": kernel if stride is None else _positive(stride, "stride"),
        "padding": _positive(padding, "padding", 0),
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor_override": divisor_override,
    }
    return _image(
        input, lambda x: apply(pooling.avg_pool2d, pooling.avg_pool2d_backward, x, **options)
    )


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """补边：pad 从最后一轴起，每轴（前，后）两个数，负数是裁掉。mode 只支持 "constant"。

    书中：sec-bp-conv
    """
    if mode != "constant":
        raise NotImplementedError(f'pad 的 mode 只支持 "constant"，收到 {mode!r}')
    if len(pad) % 2 or len(pad) > 2 * tensor_only(input).ndim:
        raise RuntimeError(f"pad 应有双数个、至多 {2 * input.ndim} 个整数，收到 {tuple(pad)}")
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1]
    if any(n + a + b < 0 for n, (a, b) in zip(input.shape, widths, strict=True)):
        raise RuntimeError(f"裁掉的比形状 {input.shape} 还多：pad = {tuple(pad)}")
    return apply(
        shapes.pad,
        shapes.pad_backward,
        input,
        widths=widths,
        value=0 if value is None else value,
    )


# 查表与随机


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """查表：input 是任意形状的编号，weight (V, d)，返回 (…, d)。

    padding_idx 那一行不得到梯度。max_norm、scale_grad_by_freq、sparse 不支持。

    书中：sec-bp-embedding
    """
    refuse(max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    if norm_type != 2.0:
        raise NotImplementedError("norm_type 要与 max_norm 一起用，而 max_norm 不支持")
    if tensor_only(input).dtype.kind not in "iu":
        raise RuntimeError(f"embedding 的 input 应是整数张量，收到 {input.dtype}")
    if tensor_only(weight, "weight").ndim != 2:
        raise RuntimeError(f"embedding 的 weight 应是二维 (V, d)，收到形状 {weight.shape}")
    n = weight.shape[0]
    if padding_idx is not None and not -n <= padding_idx < n:
        raise RuntimeError(f"padding_idx 应在 {-n} 到 {n - 1} 之间，收到 {padding_idx}")

    def backward(dy: np.ndarray, cache: tuple, need: tuple) -> tuple:
        dweight = indexing.embedding_backward(dy, cache)
        if padding_idx is not None:
            dweight[padding_idx] = 0
        return None, dweight

    return apply(indexing.embedding, backward, input, weight)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """训练时每个元素以概率 p 置 0，其余除以 1 − p；评估时原样返回。

    书中：sec-bp-dropout
    """
    refuse(inplace=inplace)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout 的 p 应在 0 到 1 之间，收到 {p}")
    if not training or p == 0:
        return tensor_only(input)
    return _activation(
        regularization.dropout,
        regularization.dropout_backward,
        input,
        p=float(p),
        rng=random.source(),
    )


# 归一化


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """在最后几轴（normalized_shape）上减平均、除标准差，再乘 weight、加 bias。

    书中：sec-bp-layernorm
    """
    return apply(
        _fix_second(normalization.layer_norm, tuple(normalized_shape)),
        normalization.layer_norm_backward,
        tensor_only(input),
        weight,
        bias,
        eps=eps,
    )


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """在最后几轴上除以均方根，再乘 weight；eps 不给时取 dtype 的机器精度。

    书中：sec-bp-rmsnorm
    """
    eps = float(np.finfo(floating(input).dtype).eps) if eps is None else eps
    return apply(
        _fix_second(normalization.rms_norm, tuple(normalized_shape)),
        normalization.rms_norm_backward,
        tensor_only(input),
        weight,
        eps=eps,
    )


def _fix_second(forward: Callable, second: Any) -> Callable:
    """把 forward 的第二个参数（不是张量）固定住，剩下的都是张量，好交给 apply。"""

    def run(first: np.ndarray, *rest: Any, **options: Any) -> tuple:
        return forward(first, second, *rest, **options)

    run.__name__ = forward.__name__
    return run


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """input (N, C, …)：训练时每个通道用这一批的统计量，评估时用 running_mean、running_var。

    训练时就地更新 running_mean、running_var（后者用样本方差）：新值占 momentum。

    书中：sec-bp-layernorm
    """
    x = tensor_only(input)
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None and x.ndim > 1 and running.shape != x.shape[1:2]:
            raise RuntimeError(
                f"{name} 应每个通道一个数，input 有 {x.shape[1]} 个通道，收到 {running.shape}"
            )
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("评估（training=False）时要给 running_mean 与 running_var")
        statistics = (running_mean.array, running_var.array)
    else:
        n = x.array.size // x.shape[1] if x.ndim > 1 and x.shape[1] else 0
        if n <= 1:
            raise ValueError(f"训练时每个通道要多于一个数才有方差，收到形状 {x.shape}")
        statistics = normalization.channel_statistics(x.array)
        _blend(running_mean, statistics[0], momentum)
        _blend(running_var, statistics[1] * (n / (n - 1)), momentum)
    return apply(
        normalization.batch_norm,
        normalization.batch_norm_backward,
        x,
        weight,
        bias,
        eps=eps,
        statistics=statistics,
        training=training,
    )


def _blend(running: Tensor | None, new: np.ndarray, momentum: float) -> None:
    if running is not None:
        out = running.write()
        out *= 1 - momentum
        out += new * momentum


# 注意力


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q kᵀ · scale + 掩码) v：query (…, L, d)、key (…, S, d)、value (…, S, dv)。

    attn_mask 是布尔（真处可以看）或浮点（加到分数上），不求导；is_causal 时各行只看自己与之前。
    dropout_p 总会生效，评估时要自己给 0（与 PyTorch 相同）。

    书中：sec-bp-attention
    """
    q, k, v = tensor_only(query), tensor_only(key, "key"), tensor_only(value, "value")
    if is_causal and attn_mask is not None:
        raise RuntimeError("is_causal 与 attn_mask 只能给一个")
    if attn_mask is not None and attn_mask.requires_grad:
        raise NotImplementedError("attn_mask 不能求导")
    if attn_mask is not None and attn_mask.dtype.kind != "b" and attn_mask.dtype != q.dtype:
        raise RuntimeError(f"attn_mask 应是布尔或 {q.dtype}，收到 {attn_mask.dtype}")
    if enable_gqa:
        k, v = (repeat_interleave(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    kept = None
    if dropout_p > 0:
        batch = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
        ones = np.ones((*batch, q.shape[-2], k.shape[-2]), q.dtype)
        kept = regularization.dropout(ones, dropout_p, random.source())[0]
    return apply(
        attention_pairs.scaled_dot_product_attention,
        attention_pairs.scaled_dot_product_attention_backward,
        q,
        k,
        v,
        attn_mask=None if attn_mask is None else attn_mask.array,
        is_causal=is_causal,
        scale=scale,
        dropout=kept,
    )


# 损失

CLASS_DTYPES = (int64, uint8)  # 类别编号可用的 dtype，与 PyTorch 相同


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f'reduction 应是 "mean"、"sum" 或 "none"，收到 {reduction!r}')


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """交叉熵：input (m, C) 或 (m, C, …) 或 (C,) 是分数（logits）。

    target 是类别编号（整数，没有 C 那一轴），或与 input 同形状的概率（浮点）。
    weight (C,) 是各类的权重；等于 ignore_index 的样本不算；label_smoothing = ε 把目标换成
    (1 − ε) 独热 + ε/C。

    书中：sec-bp-cross-entropy
    """
    refuse(size_average=size_average, reduce=reduce)
    x, t = tensor_only(input), tensor_only(target, "target")
    plain = weight is None and reduction == "mean" and not label_smoothing and ignore_index < 0
    if plain and x.ndim == 2 and x.array.size and t.dtype in CLASS_DTYPES:
        try:
            # 最常见的情形：softmax 与交叉熵合成一步，反向就是 (softmax − 独热) / m。
            return apply(losses.cross_entropy, losses.cross_entropy_backward, x, target=t.array)
        except InputError:
            pass  # 有 ignore_index，或真的不合：下面照定义算，不合的在那里报错
    return _composed_cross_entropy(x, t, weight, ignore_index, reduction, label_smoothing)


def _composed_cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """由 log_softmax 拼出来的交叉熵：照定义写，带全部选项；也是上面那条捷径的对照。"""
    if not 0 <= smoothing <= 1:
        raise RuntimeError(f"label_smoothing 应在 0 到 1 之间，收到 {smoothing}")
    axis = 1 if x.ndim > 1 else 0
    num_classes = x.shape[axis]
    logp = log_softmax(x, axis)
    spread = (num_classes,) + (1,) * (x.ndim - axis - 1)
    if target.dtype.kind == "f":
        if target.shape != x.shape:
            raise RuntimeError(f"概率 target 应与 input 同形状 {x.shape}，收到 {target.shape}")
        soft = target * (1 - smoothing) + smoothing / num_classes if smoothing else target
        terms = soft * logp if weight is None else soft * logp * weight.reshape(spread)
        loss = -terms.sum(axis)
        # 概率形式的 "mean" 除以样本数，不管权重。
        if reduction == "mean":
            return loss.sum() / max(loss.numel(), 1)
        return _reduce(loss, reduction)
    hard = nll_loss(logp, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not smoothing:
        return hard
    weighted = logp if weight is None else logp * weight.reshape(spread)
    kept = Tensor(target.array != ignore_index)
    smooth = where(kept, -weighted.sum(axis), 0.0)
    if reduction == "mean":
        shares = kept.array.astype(x.dtype)
        if weight is not None:
            shares = shares * weight.array[target.array * kept.array]
        smooth = smooth.sum() / float(shares.sum())
    else:
        smooth = _reduce(smooth, reduction)
    return hard * (1 - smoothing) + smooth * (smoothing / num_classes)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """负对数似然：input 是对数概率 (m, C)、(m, C, …) 或 (C,)，target 是类别编号。

    书中：sec-bp-cross-entropy
    """
    refuse(size_average=size_average, reduce=reduce)
    x, t = tensor_only(input), tensor_only(target, "target")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction 应是 "mean"、"sum" 或 "none"，收到 {reduction!r}')
    if t.dtype not in CLASS_DTYPES:
        raise RuntimeError(f"target（类别编号）应是 int64，收到 {t.dtype}；先写 target.long()")
    expected = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if x.ndim == 0 or t.shape != expected:
        raise InputError(f"input {x.shape} 的 target 形状应是 {expected}，收到 {t.shape}")
    if weight is not None and weight.shape != (x.shape[1 if x.ndim > 1 else 0],):
        raise RuntimeError(f"weight 应每类一个数，收到形状 {weight.shape}")
    return apply(
        losses.nll_loss,
        losses.nll_loss_backward,
        x,
        target=t.array,
        weight=None if weight is None else weight.array,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def _same_shape(x: Tensor, t: Tensor) -> None:
    if tensor_only(x).shape != tensor_only(t, "target").shape:
        raise ValueError(
            f"input 与 target 应同形状，收到 {x.shape} 与 {t.shape}；"
            "不自动广播，(m, 1) 减 (m,) 会悄悄变成 (m, m)"
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """均方误差；input 与 target 须同形状。

    书中：eq-mse
    """
    refuse(size_average=size_average, reduce=reduce)
    _same_shape(input, target)
    if reduction == "mean" and weight is None and input.array.size and input.dtype == target.dtype:
        return apply(losses.mse_loss, _mse_loss_backward, input, target)
    return _reduce(_weighted((input - target).square(), weight), reduction)


def _mse_loss_backward(dy: np.ndarray, cache: np.ndarray, need: tuple[bool, bool]) -> tuple:
    dinput = losses.mse_loss_backward(dy, cache)
    return dinput, -dinput if need[1] else None


def _weighted(loss: Tensor, weight: Tensor | None) -> Tensor:
    return loss if weight is None else loss * weight


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """平均绝对误差；input 与 target 须同形状。

    书中：eq-mse
    """
    refuse(size_average=size_average, reduce=reduce)
    _same_shape(input, target)
    return _reduce(_weighted((input - target).abs(), weight), reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """|差| < beta 时是 差²/2beta，否则是 |差| − beta/2。

    书中：eq-mse
    """
    refuse(size_average=size_average, reduce=reduce)
    _same_shape(input, target)
    if beta < 0:
        raise RuntimeError(f"beta 不能为负，收到 {beta}")
    gap = (input - target).abs()
    if beta == 0:
        return _reduce(gap, reduction)
    return _reduce(where(gap < beta, gap.square() * (0.5 / beta), gap - 0.5 * beta), reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """二元交叉熵：input 是 0 到 1 之间的概率，target 同形状，不求导。

    书中：sec-bp-cross-entropy
    """
    refuse(size_average=size_average, reduce=reduce)
    _same_shape(input, target)
    _constant_target(target)
    if target.dtype != input.dtype:
        raise RuntimeError(f"target 应与 input 同为 {input.dtype}，收到 {target.dtype}")
    loss = apply(
        losses.binary_cross_entropy,
        losses.binary_cross_entropy_backward,
        input,
        target=target.array,
    )
    return _reduce(_weighted(loss, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """sigmoid 与二元交叉熵合在一起，稳定；pos_weight 是正例的权重（可广播）。

    书中：sec-bp-cross-entropy
    """
    refuse(size_average=size_average, reduce=reduce)
    _same_shape(input, target)
    _constant_target(target)
    input, target = operands(input, target)
    loss = apply(
        losses.binary_cross_entropy_with_logits,
        losses.binary_cross_entropy_with_logits_backward,
        input,
        target=target.array,
        pos_weight=None if pos_weight is None else pos_weight.array,
    )
    return _reduce(_weighted(loss, weight), reduction)


def _constant_target(target: Tensor) -> None:
    if target.requires_grad:
        raise NotImplementedError("二元交叉熵的 target 不能求导")
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"二元交叉熵的 target 应是浮点，收到 {target.dtype}；先写 target.float()"
        )
