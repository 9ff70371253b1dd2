"""反向传播的公式，一对一对的纯函数：``f(x, …) -> (y, cache)``，``f_backward(dy, cache)``。

- ``cache`` 是前向留给反向的中间结果，使用者不必看它；同一份 cache 可以反复用。
- ``dy`` 是损失对输出 y 的梯度，形状与 y 相同；反向返回损失对各个输入的梯度。
- 样本按行排列；float32 进 float32 出，float64 进 float64 出，同一次调用的浮点数组 dtype 须一致。
- 输入与 ``dy`` 都不会被修改。形状不合抛出 ValueError，dtype 不合抛出 TypeError。

书中：eq-dz2
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "linear": "affine",
        "linear_backward": "affine",
        "relu": "activations",
        "relu_backward": "activations",
        "softmax": "activations",
        "softmax_backward": "activations",
        "cross_entropy": "losses",
        "cross_entropy_backward": "losses",
        "mse_loss": "losses",
        "mse_loss_backward": "losses",
        "one_hot": "losses",
    },
)
