"""模块：带参数的函数。登记参数与子模块，合起来存取、切换训练与评估。

书中：sec-bp-engine
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from dlbook.autograd.dtypes import as_dtype
from dlbook.autograd.tensor import Tensor, no_grad
from dlbook.nn.parameter import Parameter


class IncompatibleKeys(NamedTuple):
    """:meth:`Module.load_state_dict` 的返回值：缺少的与多余的名字。

    书中：sec-bp-engine
    """

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


class Module:
    """神经网络模块的基类：子类在 ``__init__`` 里放好参数与子模块，在 forward 里写前向。

    赋给属性的 Parameter 登记为参数，Module 登记为子模块；不训练但要存的张量（如 BatchNorm 的
    滑动平均）用 :meth:`register_buffer`。training 指示处于训练还是评估，影响 Dropout 与 BatchNorm。

    书中：sec-bp-engine
    """

    def __init__(self) -> None:
        self.training = True
        self._parameters: dict[str, Parameter | None] = {}
        self._buffers: dict[str, Tensor | None] = {}
        self._modules: dict[str, Module | None] = {}
        self._not_saved: set[str] = set()  # 不进 state_dict 的缓冲张量

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} 没有写 forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # 登记

    def __setattr__(self, name: str, value: object) -> None:
        for kind, table in ((Parameter, "_parameters"), (Module, "_modules")):
            if isinstance(value, kind):
                registered = self._table(table)
                if name not in registered:  # 已在的原地换掉，次序不变
                    self._forget(name)
                registered[name] = value
                return
        for what, table in (("参数", "_parameters"), ("子模块", "_modules"), ("缓冲", "_buffers")):
            registered = self.__dict__.get(table, {})
            if name in registered:
                if value is not None and not (what == "缓冲" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{name} 登记为{what}，不能赋成 {type(value).__name__}；"
                        f"要换就给同类的对象或 None，要改用途先 del"
                    )
                registered[name] = value
                return
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        # 只有普通属性里找不到时才会来到这里。
        for table in ("_parameters", "_modules", "_buffers"):
            registered = self.__dict__.get(table)
            if registered is not None and name in registered:
                return registered[name]
        raise AttributeError(f"{type(self).__name__} 没有属性 {name!r}")

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._modules, *self._buffers})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """登记一个参数；None 表示“没有这一项”（如 bias=False），它不进 state_dict。"""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"参数 {name} 应是 Parameter 或 None，收到 {type(param).__name__}")
        self._check_name(name, "_parameters")
        self._table("_parameters")[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """登记一个缓冲：随模块保存、转换，但不训练；persistent=False 时不进 state_dict。"""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"缓冲 {name} 应是 Tensor 或 None，收到 {type(tensor).__name__}")
        self._check_name(name, "_buffers")
        self._table("_buffers")[name] = tensor
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """登记一个子模块，名字可以不是合法的标识符（如 "0"）。"""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"子模块 {name} 应是 Module 或 None，收到 {type(module).__name__}")
        self._check_name(name, "_modules")
        self._table("_modules")[name] = module

    def _table(self, name: str) -> dict[str, Any]:
        if name not in self.__dict__:
            raise AttributeError("先调用 super().__init__()，再给模块放参数或子模块")
        return self.__dict__[name]

    def _check_name(self, name: str, table: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"名字应是不含 “.” 的非空字符串，收到 {name!r}")
        if hasattr(self, name) and name not in self._table(table):
            raise KeyError(f"{type(self).__name__} 已经有属性 {name!r}")

    def _forget(self, name: str) -> bool:
        for table in ("_parameters", "_modules", "_buffers", "__dict__"):
            registered = self.__dict__ if table == "__dict__" else self.__dict__.get(table, {})
            if name in registered:
                del registered[name]
                self.__dict__.get("_not_saved", set()).discard(name)
                return True
        return False

    # 遍历

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """自己与全部后代，连同带点的名字；同一个模块只给一次。"""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator["Module"]:
        """自己与全部后代。"""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """直接的子模块，连同名字。"""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator["Module"]:
        """直接的子模块。"""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """全部参数，连同带点的名字；共用的参数只给一次。"""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """全部参数，交给优化器。"""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """全部缓冲，连同带点的名字。"""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """全部缓冲。"""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen: set[int] = set()
        for path, module in modules:
            for name, tensor in getattr(module, table).items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield _join(path, name), tensor

    def get_submodule(self, target: str) -> "Module":
        """带点的名字所指的后代；没有时抛出 AttributeError。"""
        module = self
        for name in filter(None, target.split(".")):
            module = module._modules.get(name)
            if module is None:
                raise AttributeError(f"没有子模块 {target!r}")
        return module

    # 状态

    def train(self, mode: bool = True) -> "Module":
        """自己与全部后代进入训练状态（mode=False 则进入评估状态），返回自己。"""
        if not isinstance(mode, bool):
            raise ValueError(f"mode 应是 True 或 False，收到 {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> "Module":
        """进入评估状态，返回自己。"""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """全部参数要不要求导；冻结一部分网络时用。"""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """清掉全部参数的梯度：缺省设为 None，set_to_none=False 时填零。"""
        for param in self.parameters():
            if set_to_none:
                param.grad = None
            elif param.grad is not None:
                param.grad.zero_()

    def apply(self, fn: Callable[["Module"], None]) -> "Module":
        """先对各后代、再对自己调用 fn，返回自己；常用来初始化。"""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: str | DTypeLike | Tensor, **kwargs: Any) -> "Module":
        """把浮点的参数、梯度与缓冲转成给定的 dtype，返回自己；整数的不动。

        写法与 torch 相同：``to(dtype)``、``to("cpu")``、``to("cpu", dtype)``、``to(tensor)``；
        没有 CPU 之外的设备，给了抛出 NotImplementedError。
        """
        dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
        kwargs.pop("non_blocking", None)
        if kwargs:
            raise TypeError(f"to() 没有参数 {'、'.join(kwargs)}")
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif isinstance(arg, np.dtype):
                dtype = arg
            elif arg is not None:
                device = arg
        if device is not None and str(device) != "cpu":
            raise NotImplementedError(f"本库只在 CPU 上运行，没有设备 {device!r}")
        if dtype is None:
            return self
        dtype = as_dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"模块只能转成浮点类型，收到 {dtype}")
        for tensor in [*self.parameters(), *self.buffers()]:
            for t in (tensor, tensor.grad):
                if t is not None and t.dtype.kind == "f":
                    t.data = Tensor(t.array.astype(dtype, copy=False))
        return self

    def float(self) -> "Module":
        """转成 float32。"""
        return self.to(dtype=np.float32)

    def double(self) -> "Module":
        """转成 float64。"""
        return self.to(dtype=np.float64)

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """名字 → 张量：全部参数与要保存的缓冲。名字、形状、dtype 与 torch 同名模块的相同。

        张量与模块共用内存；要留一份副本就复制。keep_vars=True 给出参数自己（还能求导）。
        """
        state = {}
        for path, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            for name, tensor in chain(module._parameters.items(), module._buffers.items()):
                if tensor is not None and name not in module._not_saved:
                    state[_join(path, name)] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """把 state_dict 的数值抄进各参数与缓冲；PyTorch 的 state_dict（在 CPU 上）可以直接给。

        strict=True 时名字须恰好对上；形状总须相同。不合则抛出 RuntimeError，一个数也不改。
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict 应是字典，收到 {type(state_dict).__name__}")
        own = self.state_dict(keep_vars=True)
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        new = {name: _values(state_dict[name]) for name in own if name in state_dict}
        problems = [
            f"{name} 的形状应是 {own[name].shape}，收到 {array.shape}"
            for name, array in new.items()
            if array.shape != own[name].shape
        ]
        if strict:
            problems += [f"缺少 {name}" for name in missing]
            problems += [f"多余 {name}" for name in unexpected]
        if problems:
            raise RuntimeError(f"state_dict 与 {type(self).__name__} 不合：{'；'.join(problems)}")
        with no_grad():
            for name, array in new.items():
                own[name].write()[...] = array
        return IncompatibleKeys(missing, unexpected)

    # 打印

    def extra_repr(self) -> str:
        """打印时括号里的说明，子类改写。"""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        lines += [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        if not lines:
            return f"{self._get_name()}()"
        if not self._modules and len(lines) == 1:
            return f"{self._get_name()}({lines[0]})"
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"

    def _get_name(self) -> str:
        return type(self).__name__


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def indent(text: str) -> str:
    """续行缩进两格，打印嵌套的模块时用。

    书中：sec-bp-engine
    """
    return text.replace("\n", "\n  ")


def _values(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.array
    if not hasattr(value, "__array__"):
        raise RuntimeError(f"state_dict 里应是张量，收到 {type(value).__name__}")
    return np.asarray(value)
