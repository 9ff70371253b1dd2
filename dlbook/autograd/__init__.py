"""自动求导：:mod:`~dlbook.autograd.scalar` 是一个数一个节点的微型引擎，
:mod:`~dlbook.autograd.tensor` 是张量的引擎，:mod:`~dlbook.autograd.ops` 是它的各种运算，
:mod:`~dlbook.autograd.gradcheck` 用数值微分核对任何一对前向、反向。

用到哪个导入哪个：``from dlbook.autograd.scalar import Value``。
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    dict.fromkeys(["grad", "no_grad", "enable_grad", "set_grad_enabled"], "tensor"),
)
