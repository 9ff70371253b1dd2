"""训练用的工具：``dlbook.utils.data`` 是数据集与按批读取。

书中：sec-bp-tools
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"data": ""})
