"""书里用到的数据。名字按需导入：``from dlbook.data import mnist`` 不会牵连别的数据集。

随包携带的数据文件读入时都核对 SHA-256；有任何不对，抛出 :class:`~dlbook.data.files.DataError`。
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "DataError": "files",
        "MNIST": "digits",
        "Poem": "poems",
        "TangShi": "poems",
        "mnist": "digits",
        "sonnets": "poems",
        "tangshi": "poems",
        "toy_line": "toy",
        "toy_moons": "toy",
    },
)
