"""张量引擎的核心：``Tensor``、计算图的节点、反向传播。

与 :mod:`~dlbook.autograd.scalar` 的 ``Value`` 是同一个设计，差别只有四处：

1. 一个节点装一个数组，不是一个数；
2. 值与图分开：``Tensor`` 拿着数组，``Node`` 只记“从谁算来、梯度怎样传回去”。
   反向时用不着的数组随 ``Tensor`` 一起释放，不会因为图还在而留在内存里；
3. 每种运算的规则来自 :mod:`dlbook.backprop` 的一对函数，由 :func:`apply` 接进图里；
4. 就地修改有版本号看着：反向要用的数组若被改过，报错，不会悄悄算错。

运算本身在 :mod:`dlbook.autograd.ops`。

书中：sec-bp-engine
"""

from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from inspect import isgeneratorfunction
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from dlbook.autograd import dtypes

# 是否记录计算图；由 no_grad、enable_grad 改。
_recording = True
# 输入总比输出先造出来，所以按编号从大到小走，就是拓扑序的逆序。
_numbers = count()


class Node:
    """计算图里的一个中间节点：一次运算。

    number 是造出来的先后；parents 是各个输入所在的节点（叶子张量就是它自己，不需要梯度的输入是
    None）；backward、cache 是这对函数的反向与前向留下的东西，用过之后 cache 释放；
    versions 记下各张量当时的版本；tensor 只在 :meth:`Tensor.retain_grad` 之后才有。

    书中：sec-bp-engine
    """

    __slots__ = (
        "__weakref__", "backward", "cache", "name", "number", "parents", "tensor", "versions"
    )  # fmt: skip

    def __init__(
        self, name: str, parents: tuple, backward: Callable, cache: Any, versions: list
    ) -> None:
        self.name, self.parents, self.versions = name, parents, versions
        self.backward, self.cache = backward, cache
        self.tensor = None
        self.number = next(_numbers)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def pull(self, dy: np.ndarray) -> tuple:
        """由本节点的梯度算出各个输入的梯度（不需要的是 None）。

        书中：sec-bp-engine
        """
        if len(self.parents) == 1:
            return (self.backward(dy, self.cache),)
        return self.backward(dy, self.cache, tuple([p is not None for p in self.parents]))

    def check(self) -> None:
        """反向之前：没有释放过，用到的数值也没有被改过，否则抛出 RuntimeError。

        书中：sec-bp-engine
        """
        if self.backward is None:
            raise RuntimeError(
                "这张计算图已经反向传播过，中间结果释放了；"
                "要再走一次，第一次请写 backward(retain_graph=True)"
            )
        for cell, version, memory in self.versions:
            # 被改过的张量，只有它的内存还留在 cache 里时才碍事。
            if cell[0] != version and any(id(owner(a)) == memory for a in _arrays(self.cache)):
                raise RuntimeError(
                    f"运算 {self.name} 的反向要用到的数值后来被就地修改过"
                    f"（版本 {version} → {cell[0]}），梯度会错；请改成不就地的写法，或先 clone"
                )

    def free(self) -> None:
        """释放 cache 与通往上游的边。

        书中：sec-bp-engine
        """
        self.backward = self.cache = None
        self.parents, self.versions = (), []


class Tensor:
    """张量：一个 NumPy 数组 array，加上求导所需的记录。用法与 ``torch.Tensor`` 相同。

    array 是数值（ndarray）；requires_grad 为真时参与求导；grad 是累加的梯度（Tensor 或 None，
    只有叶子才有）；grad_fn 是算出它的 :class:`Node`，叶子为 None。
    列表、数请用 :func:`dlbook.tensor` 造；这里直接收下 data，是数组就不复制。

    书中：sec-bp-engine
    """

    __slots__ = ("__weakref__", "_grad", "_requires_grad", "_version_cell", "array", "grad_fn")
    __array_ufunc__ = None  # 请 NumPy 让位：np.float32(2) * t 交给 Tensor.__rmul__
    __hash__ = object.__hash__  # == 逐元素比较，散列仍按对象

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if type(data) is not np.ndarray:
            data = np.asarray(data, None if isinstance(data, np.generic) else dtypes.DEFAULT)
        self.array = data
        self._grad = None
        self.grad_fn = None
        # [版本号, 这块内存有没有别人也看得见]；共用内存的张量（视图、detach）共用这一格。
        self._version_cell = [0, False]
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # 求导

    @property
    def requires_grad(self) -> bool:
        """是否参与求导；只有浮点的叶子可以改。

        书中：sec-bp-engine
        """
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.array.dtype.kind != "f":
            raise RuntimeError(f"只有浮点张量能求导，这个是 {self.array.dtype}")
        if not value and self.grad_fn is not None:
            raise RuntimeError("中间结果的 requires_grad 不能关掉；要断开计算图请用 detach()")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """就地设置 requires_grad，返回自己。

        书中：sec-bp-engine
        """
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> "Tensor | None":
        """累加至今的梯度，没有就是 None；可以换成形状、dtype 都与自己相同的张量。

        书中：sec-bp-engine
        """
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad 应是 Tensor 或 None，收到 {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise RuntimeError(
                    f"grad 应与张量同形状、同 dtype（{self.shape}、{self.dtype}），"
                    f"收到 {value.shape}、{value.dtype}"
                )
        self._grad = value

    @property
    def is_leaf(self) -> bool:
        """是不是叶子：不是由需要求导的张量算出来的。

        书中：sec-bp-engine
        """
        return self.grad_fn is None

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """反向传播：把本张量对各个叶子的梯度累加到它们的 grad 里。

        gradient 是上游梯度，形状与本张量相同；本张量只有一个元素时可省，相当于 1。
        走过的图随即释放，再走一次会报错；要走第二次就给 ``retain_graph=True``。
        create_graph、inputs 不支持，抛出 NotImplementedError。

        书中：sec-bp-engine
        """
        if create_graph:
            raise NotImplementedError("不支持 create_graph=True（对梯度再求导）")
        if inputs is not None:
            raise NotImplementedError("不支持 inputs；只要部分叶子的梯度，用 dlbook.autograd.grad")
        _propagate(self, gradient, bool(retain_graph), _accumulate)

    def retain_grad(self) -> None:
        """让中间结果也留下 grad，供观察。

        书中：sec-bp-engine
        """
        if not self._requires_grad:
            raise RuntimeError("不参与求导的张量没有梯度可留")
        if self.grad_fn is not None:
            self.grad_fn.tensor = self

    def detach(self) -> "Tensor":
        """同一块内存，但不在计算图里。

        书中：sec-bp-engine
        """
        return share_memory(Tensor(self.array), self)

    @property
    def data(self) -> "Tensor":
        """同 :meth:`detach`；赋值则换掉数值（形状须相同）。

        书中：sec-bp-engine
        """
        return self.detach()

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data 应是 Tensor，收到 {type(value).__name__}")
        self.array = value.array
        self._version_cell = value._version_cell
        self._version_cell[1] = True

    @property
    def _version(self) -> int:
        return self._version_cell[0]

    def write(self) -> np.ndarray:
        """要就地修改数值时，从这里拿数组：不许改的报错，许改的版本号加一。

        叶子要求导时只能在 no_grad 之内改（优化器就是这样做的）；
        计算图里的中间结果不支持就地修改，抛出 NotImplementedError。

        书中：sec-bp-engine
        """
        if _recording and self._requires_grad:
            if self.grad_fn is None:
                raise RuntimeError(
                    "需要求导的叶子不能就地修改；更新参数请放在 with dlbook.no_grad(): 之内"
                )
            raise NotImplementedError(
                "计算图里的张量，就地的只支持 += -= *= /= **=；别的请写成不就地的，如 x = x.relu()"
            )
        if not self.array.flags.writeable:
            raise RuntimeError("这个张量是广播出来的视图，几个元素共用一处内存；先用 clone()")
        self._version_cell[0] += 1
        return self.array

    def become(self, new: "Tensor") -> None:
        """就地运算在计算图里的样子：换成 new 的数值与 new 在图里的位置，旧的内存不去碰它。

        只有别人都看不见旧的内存时才行得通，否则抛出 NotImplementedError。

        书中：sec-bp-engine
        """
        if self._version_cell[1]:
            raise NotImplementedError(
                "这块内存还有视图、detach() 或 NumPy 数组在用，计算图里不支持就地修改；"
                "请写成 x = x + y 而不是 x += y"
            )
        self.array, self._version_cell = new.array, new._version_cell
        self.grad_fn, self._requires_grad = new.grad_fn, True

    # 形状与数值

    @property
    def shape(self) -> tuple[int, ...]:
        """形状。

        书中：sec-bp-engine
        """
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """元素的类型。

        书中：sec-bp-engine
        """
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """维数。

        书中：sec-bp-engine
        """
        return self.array.ndim

    @property
    def device(self) -> str:
        """总是 "cpu"。

        书中：sec-bp-engine
        """
        return "cpu"

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """同一块内存的 NumPy 数组。还在求导的张量要先 detach()（或给 ``force=True``）。

        书中：sec-bp-engine
        """
        if self._requires_grad and not force:
            raise RuntimeError("需要求导的张量不能直接 numpy()；请写 x.detach().numpy()")
        self._version_cell[1] = True
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy() if dtype is None else self.numpy().astype(dtype, copy=False)
        return array.copy() if copy else array

    def item(self) -> float | int | bool:
        """只有一个元素的张量，变成 Python 的数。

        书中：sec-bp-engine
        """
        if self.array.size != 1:
            raise RuntimeError(f"item() 只用于一个元素的张量，这个的形状是 {self.shape}")
        return self.array.item()

    def tolist(self) -> list | float | int | bool:
        """变成（嵌套的）Python 列表。

        书中：sec-bp-engine
        """
        return self.array.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(f"形状 {self.shape} 的张量不能直接当真假用；请用 .any() 或 .all()")
        return bool(self.array.item())

    def __index__(self) -> int:
        if self.array.size != 1 or self.array.dtype.kind == "f":
            raise TypeError(f"只有一个元素的整数张量才能当下标，这个是 {self.dtype} {self.shape}")
        return int(self.array.item())

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("零维张量没有 len()")
        return self.array.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        if self.array.ndim == 0:
            raise TypeError("零维张量不能遍历")
        return (self[i] for i in range(self.array.shape[0]))

    def __contains__(self, element: Any) -> bool:
        return bool((self.array == getattr(element, "array", element)).any())

    def __format__(self, spec: str) -> str:
        if self.array.ndim and spec:
            raise TypeError(f"形状 {self.shape} 的张量不能按 {spec!r} 排版；一个一个数地写")
        return format(self.item(), spec) if self.array.ndim == 0 else str(self)

    def __deepcopy__(self, memo: dict) -> "Tensor":
        if self.grad_fn is not None:
            raise RuntimeError("只有叶子能 deepcopy；中间结果请先 detach()")
        copied = type(self)(self.array.copy())
        copied._requires_grad = self._requires_grad
        copied.grad = None if self.grad is None else Tensor(self.grad.array.copy())
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        from dlbook.autograd.printing import describe  # 只有打印时才用到

        return describe(self)


# 前向：把一对函数接进图里


def apply(forward: Callable, backward: Callable, *inputs: Any, **options: Any) -> Tensor:
    """执行一对 ``forward(*inputs, **options) -> (y, cache)``、``backward(dy, cache)``，记入图中。

    inputs 里的 Tensor 取出数组再交给 forward，别的原样传入；options 不求导。
    多于一个输入时，反向写作 ``backward(dy, cache, need)``，need 说明哪些输入要梯度。

    书中：sec-bp-engine
    """
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    y, cache = forward(*[x.array if isinstance(x, Tensor) else x for x in inputs], **options)
    out = Tensor(y)
    if not _recording or not any([t._requires_grad for t in tensors]):
        return out
    parents = tuple([_edge(x) for x in inputs])
    # 记下此刻的版本，与内存的主人：谁的内存留在 cache 里，反向之前就不许改。
    versions = [(t._version_cell, t._version_cell[0], id(owner(t.array))) for t in tensors]
    versions.append((out._version_cell, 0, id(owner(out.array))))
    out._requires_grad = True
    out.grad_fn = Node(forward.__name__, parents, backward, cache, versions)
    return out


def _edge(x: Any) -> "Node | Tensor | None":
    """梯度该送到哪里：中间结果送给它的节点，叶子就是它自己，不求导的是 None。"""
    if not isinstance(x, Tensor) or not x._requires_grad:
        return None
    return x if x.grad_fn is None else x.grad_fn


def _arrays(cache: Any) -> Iterator[np.ndarray]:
    if type(cache) is np.ndarray:
        yield cache
    elif isinstance(cache, tuple | list):
        for part in cache:
            yield from _arrays(part)


def owner(array: np.ndarray) -> np.ndarray:
    """拥有这块内存的数组：视图归原数组，其余归自己。

    书中：sec-bp-engine
    """
    return array.base if type(array.base) is np.ndarray else array


def share_memory(out: Tensor, source: Tensor) -> Tensor:
    """out 若与 source 共用内存，就也共用版本号；返回 out。

    书中：sec-bp-engine
    """
    if owner(out.array) is owner(source.array):
        out._version_cell = source._version_cell
        out._version_cell[1] = True
    return out


# 反向


class Partial:
    """还没有铺开的梯度：它只落在一部分元素上，其余是 0；add_to(out) 把它加到整块数组里。

    切片的梯度就是这样。同一个张量被切成许多片时，各片加进同一块数组，
    不必每片都造一块与原张量一样大、几乎全是 0 的梯度。

    书中：sec-bp-speed
    """

    __slots__ = ("add_to", "dtype", "shape")

    def __init__(self, shape: tuple, dtype: np.dtype, add_to: Callable) -> None:
        self.shape, self.dtype, self.add_to = shape, dtype, add_to


def _propagate(root: Tensor, gradient: Any, retain: bool, deliver: Callable) -> None:
    """从 root 起逆着拓扑序传梯度；到了叶子就 ``deliver(叶子, 梯度, 这块内存是否独占)``。

    全引擎只有一条所有权的规矩：**梯度一经交出，给的人不再改它；收的人只有独占时才就地改**。
    反向函数交出来的数组，除了 dy 自己或 dy 的视图，都是新造的，归收的人独有。
    """
    if not isinstance(root, Tensor):
        raise NotImplementedError(f"一次只从一个张量出发，收到 {type(root).__name__}；先把它们相加")
    start = _edge(root)
    if start is None:
        raise RuntimeError("这个张量不是由需要求导（requires_grad=True）的张量算来的")
    g = _initial_gradient(root, gradient)
    if start is root:
        return deliver(root, g, gradient is None)
    order = sorted(reachable(start), key=attrgetter("number"), reverse=True)
    for node in order:
        node.check()
    # 每个节点至今收到的梯度之和，以及这块内存是否独占。
    pending = {start: (g, gradient is None)}
    for node in order:
        if node not in pending:  # 反向函数没有给它梯度
            continue
        dy, _ = pending.pop(node)
        if node.tensor is not None:
            _accumulate(node.tensor, dy, False)
        owner_of_dy = owner(dy)
        for parent, g in zip(node.parents, node.pull(dy), strict=True):
            if parent is None or g is None:
                continue
            if isinstance(parent, Node):
                pending[parent] = _add(pending.get(parent), g, owner_of_dy)
            else:
                deliver(parent, *_add(None, g, owner_of_dy))
        if not retain:
            node.free()


def reachable(start: Node) -> set[Node]:
    """start 与它依赖的全部中间节点。用自己的栈代替递归，多深的图都不会碰到递归的上限。

    书中：sec-topological-order
    """
    seen, stack = {start}, [start]
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return seen


def _initial_gradient(root: Tensor, gradient: Any) -> np.ndarray:
    if gradient is None:
        if root.array.size != 1:
            raise RuntimeError(
                f"形状 {root.shape} 的张量有 {root.array.size} 个元素，须给出上游梯度 gradient；"
                "通常先用 sum() 或 mean() 变成一个数"
            )
        return np.ones_like(root.array)
    if not isinstance(gradient, Tensor):
        raise TypeError(f"gradient 应是 Tensor，收到 {type(gradient).__name__}")
    if gradient.shape != root.shape:
        raise RuntimeError(f"gradient 应与张量同形状 {root.shape}，收到 {gradient.shape}")
    return gradient.array.astype(root.dtype, copy=False)


def _add(total: tuple | None, g: Any, owner_of_dy: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """已有的和 total 加上新来的 g；返回（和，是否独占）。谁独占就加在谁身上，省一块内存。"""
    if isinstance(g, Partial):
        out, owned = total or (np.zeros(g.shape, g.dtype), True)
        if not owned:
            out = out.copy()
        g.add_to(out)
        return out, True
    fresh = g.flags.writeable and owner(g) is not owner_of_dy
    if total is None:
        return g, fresh
    first, owned = total
    if owned:
        first += g
        return first, True
    if fresh:
        g += first
        return g, True
    return first + g, True


def _accumulate(leaf: Tensor, g: np.ndarray, owned: bool) -> None:
    """把梯度加进叶子的 grad。第一次独占的就直接收下，不复制；以后就地相加。"""
    if leaf._grad is None:
        leaf._grad = Tensor(np.asarray(g) if owned else np.array(g))
    else:
        leaf._grad.array += g
        leaf._grad._version_cell[0] += 1


def grad(
    outputs: Tensor,
    inputs: "Tensor | tuple[Tensor, ...] | list[Tensor]",
    grad_outputs: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """outputs 对各个叶子 inputs 的梯度，以元组返回，不碰 .grad；同 ``torch.autograd.grad``。

    没有用到的输入给 None（须 ``allow_unused=True``，否则抛出 RuntimeError）。

    书中：sec-bp-engine
    """
    if create_graph:
        raise NotImplementedError("不支持 create_graph=True（对梯度再求导）")
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if any(x.grad_fn is not None for x in inputs):
        raise NotImplementedError("grad 只支持对叶子求导；中间结果请用 retain_grad()")
    found: dict[Tensor, Tensor] = {}

    def deliver(leaf: Tensor, g: np.ndarray, owned: bool) -> None:
        total, _ = _add((found[leaf].array, True) if leaf in found else None, g, None)
        found[leaf] = Tensor(np.array(total))

    _propagate(outputs, grad_outputs, bool(retain_graph), deliver)
    if not allow_unused and any(x not in found for x in inputs):
        raise RuntimeError("有的输入没有参与 outputs 的计算；确实如此就给 allow_unused=True")
    return tuple(found.get(x) for x in inputs)


class _RecordingMode(ContextDecorator):
    """with 之内（或被装饰的函数之内），按 mode 打开、关闭计算图的记录。"""

    mode: bool

    def __init__(self) -> None:
        self.previous: list[bool] = []  # 同一个对象可以嵌套着用

    def __enter__(self) -> None:
        global _recording
        self.previous.append(_recording)
        _recording = self.mode

    def __exit__(self, *exc: object) -> None:
        global _recording
        _recording = self.previous.pop()

    def __call__(self, function: Callable) -> Callable:
        if isgeneratorfunction(function):
            raise NotImplementedError("不能装饰有 yield 的函数；请在函数里面写 with")
        return super().__call__(function)


class no_grad(_RecordingMode):
    """不记录计算图：评估、更新参数时用，省时间也省内存。装饰函数时括号可省。

    书中：sec-bp-engine
    """

    mode = False

    def __new__(cls, function: Callable | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class enable_grad(no_grad):
    """在 no_grad 之内重新记录。

    书中：sec-bp-engine
    """

    mode = True


class set_grad_enabled(_RecordingMode):
    """打开、关闭计算图的记录：单独一句，立即生效；写成 with 或装饰函数，只管那里面。

    书中：sec-bp-engine
    """

    def __init__(self, mode: bool) -> None:
        global _recording
        super().__init__()
        self.mode = mode
        self.before, _recording = _recording, mode

    def __enter__(self) -> None:
        super().__enter__()
        self.previous[-1] = self.before  # 出了 with，回到造它之前

    def __call__(self, function: Callable) -> Callable:
        global _recording
        _recording = self.before
        return (enable_grad if self.mode else no_grad)(function)


def is_grad_enabled() -> bool:
    """此刻是否记录计算图。

    书中：sec-bp-engine
    """
    return _recording


# 运算要用到上面的 Tensor，所以最后才导入；导入时它们把自己挂成 Tensor 的方法。
import dlbook.autograd.ops  # noqa: E402, F401
