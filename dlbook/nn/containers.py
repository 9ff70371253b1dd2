"""装模块的容器。

书中：sec-bp-engine
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module, indent


class _Numbered(Module):
    """按 0、1、2 …… 编号、可以用下标取的一列子模块。"""

    def _renumber(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self._modules.values())
        if isinstance(index, slice):
            return type(self)(*modules[index])
        return modules[self._position(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, list(self._modules)[self._position(index)], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self._modules.values())
        del modules[index]
        self._renumber(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def append(self, module: Module) -> "_Numbered":
        """加在末尾，返回自己。"""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> "_Numbered":
        """逐个加在末尾，返回自己。"""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> "_Numbered":
        """插在第 index 个之前，返回自己。"""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__} 里有 {len(self)} 个模块，没有第 {index} 个")
        return index % len(self)


class Sequential(_Numbered):
    """把模块首尾相接：前一个的输出是后一个的输入。也可以给一个 OrderedDict，名字自定。

    书中：sec-bp-engine
    """

    def __init__(self, *args: Module | OrderedDict[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):  # 保留名字
            return Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def forward(self, input: Tensor) -> Tensor:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """一列子模块；怎样用它们由 forward 自己写。

    书中：sec-bp-engine
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return super().__getitem__(index)

    def __repr__(self) -> str:
        """相邻而打印出来相同的模块合成一行。"""
        lines, start = [], 0
        for text, group in groupby(map(repr, self)):
            count = len(list(group))
            place = f"({start})" if count == 1 else f"({start}-{start + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"{place}: {times}{indent(text)}")
            start += count
        return "\n  ".join(["ModuleList(", *lines]) + "\n)" if lines else "ModuleList()"


class ModuleDict(Module):
    """有名字的一组子模块；怎样用它们由 forward 自己写。

    书中：sec-bp-engine
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """全部名字。"""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """全部子模块。"""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """名字与子模块。"""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """加进一批有名字的子模块，同名的换掉。"""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        for name, module in pairs:
            self[name] = module

    def pop(self, key: str) -> Module:
        """取出并去掉名为 key 的子模块。"""
        return self._modules.pop(key)

    def clear(self) -> None:
        """去掉全部子模块。"""
        self._modules.clear()
