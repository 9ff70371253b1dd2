"""按需导入：包的 ``__init__`` 里只放一张“名字 → 模块”的表，用到哪个名字才导入哪个模块。

书的构建记下每一章真正导入了哪些模块；包若一次导入全部，改一个模块就会惊动所有的章。
表里的模块不能与它提供的名字同名，否则导入之后子模块会盖住那个名字。
"""

from collections.abc import Callable
from importlib import import_module


def lazy_names(
    package: str, modules: dict[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """返回包的 ``__getattr__``、``__dir__`` 与 ``__all__``；modules 把公开的名字对到包内的模块。

    模块写成空串的，名字就是子模块（或子包）本身。
    """
    names = sorted(modules)

    def __getattr__(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"{package} 里没有 {name!r}；有：{'、'.join(names)}")
        module = import_module(f"{package}.{modules[name] or name}")
        return getattr(module, name) if modules[name] else module

    return __getattr__, lambda: names, names
