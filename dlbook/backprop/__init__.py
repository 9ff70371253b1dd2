"""反向传播的公式，一对一对的纯函数：``f(x, …) -> (y, cache)``，``f_backward(dy, cache)``。

- ``cache`` 是前向留给反向的中间结果，使用者不必看它；同一份 cache 可以反复用。
- ``dy`` 是损失对输出 y 的梯度，形状与 y 相同；反向返回损失对各个输入的梯度。
- 样本按行排列；float32 进 float32 出，float64 进 float64 出，同一次调用的浮点数组 dtype 须一致。
- 输入与 ``dy`` 都不会被修改。形状不合抛出 ValueError，dtype 不合抛出 TypeError。
- 有几个可导输入的，反向多一个参数 need，说明哪些要梯度；不要的不算，以 None 代替。

书中：eq-dz2
"""

from dlbook._lazy import lazy_names

_PAIRS = {
    "affine": "linear",
    "activations": (
        "relu softmax sigmoid tanh log_softmax leaky_relu elu softplus logsigmoid silu"
    ),
    "gaussian": "gelu",
    "losses": (
        "cross_entropy mse_loss nll_loss binary_cross_entropy binary_cross_entropy_with_logits"
    ),
    "elementwise": (
        "add sub mul div pow pow_tensor maximum minimum remainder where neg exp expm1 log log2 "
        "log10 log1p sqrt rsqrt square reciprocal abs sin cos clamp cast clone"
    ),
    "reductions": "sum mean prod var std amax amin logsumexp norm cumsum",
    "products": "matmul einsum",
    "shapes": "reshape permute broadcast_to flip roll cat stack pad",
    "indexing": ("getitem embedding gather index_select scatter_add masked_fill tril triu"),
    "convolution": "conv2d",
    "pooling": "max_pool2d avg_pool2d",
    "normalization": "layer_norm rms_norm batch_norm",
    "attention": "scaled_dot_product_attention",
    "regularization": "dropout",
}
_MODULES = {name: module for module, names in _PAIRS.items() for name in names.split()}

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        **_MODULES,
        **{f"{name}_backward": module for name, module in _MODULES.items()},
        "one_hot": "losses",
        "unbroadcast": "shapes",
        "causal_mask": "attention",
    },
)
