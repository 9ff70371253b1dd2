"""参数：放进 Module 就会被登记、被优化器更新的张量。

书中：sec-bp-engine
"""

import numpy as np

from dlbook.autograd.tensor import Tensor, share_memory


class Parameter(Tensor):
    """缺省要求导的张量；作为属性放进 :class:`~dlbook.nn.Module` 时自动登记为参数。

    与 data（Tensor）共用内存；data 省略时是空的。data 既不是 Tensor 也不是数组时抛出 TypeError。

    书中：sec-bp-engine
    """

    __slots__ = ()

    def __init__(self, data: Tensor | np.ndarray | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor(np.empty(0, np.float32))
        if not isinstance(data, Tensor | np.ndarray):
            raise TypeError(f"Parameter 应由 Tensor 建立，收到 {type(data).__name__}")
        super().__init__(np.asarray(getattr(data, "array", data)), requires_grad)
        if isinstance(data, Tensor):
            share_memory(self, data)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
