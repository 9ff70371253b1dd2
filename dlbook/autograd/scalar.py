"""微型自动微分引擎：一个节点装一个数，反向模式，全部求导规则在一页之内。

书中：sec-micro-engine
"""

import math
from collections.abc import Callable
from numbers import Real


class Value:
    """计算图里的一个节点：一个数，以及它是怎样算出来的。

    data 是值（float）；grad 是 :meth:`backward` 的终点对它的导数（float，起初为 0）；
    op 是算出它的运算，parents 是运算的输入；自己给的数（叶子）op 为空串，parents 为空；
    pull 把本节点的梯度变成各个输入应得的那一份。运算的另一个操作数可以是普通的数。

    不是实数的操作数抛出 TypeError；超出定义域抛出 ValueError；除以零抛出 ZeroDivisionError；
    结果大得存不下抛出 OverflowError。

    书中：sec-micro-engine
    """

    __slots__ = ("data", "grad", "op", "parents", "pull")
    __array_ufunc__ = None  # 请 NumPy 让位：np.float64(2.0) * v 交给下面的 __rmul__

    def __init__(
        self,
        data: float,
        op: str = "",
        parents: tuple["Value", ...] = (),
        pull: Callable[[float], tuple[float, ...]] | None = None,
    ) -> None:
        if not isinstance(data, Real):
            raise TypeError(f"这里应是一个实数（或 Value），收到 {_describe(data)}")
        self.data = float(data)
        self.grad = 0.0
        self.op, self.parents, self.pull = op, parents, pull

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # 每种运算一行值、一行规则：收到梯度 g，乘以对各个输入的局部导数。

    def __add__(self, other: "Value | float") -> "Value":
        a, b = self, as_value(other)
        return Value(a.data + b.data, "+", (a, b), lambda g: (g, g))

    def __sub__(self, other: "Value | float") -> "Value":
        a, b = self, as_value(other)
        return Value(a.data - b.data, "−", (a, b), lambda g: (g, -g))

    def __mul__(self, other: "Value | float") -> "Value":
        a, b = self, as_value(other)
        return Value(a.data * b.data, "×", (a, b), lambda g: (g * b.data, g * a.data))

    def __truediv__(self, other: "Value | float") -> "Value":
        a, b = self, as_value(other)
        if b.data == 0:
            raise ZeroDivisionError(f"除数为零：{a.data} / {b.data}")
        y = a.data / b.data
        return Value(y, "÷", (a, b), lambda g: (g / b.data, -g * y / b.data))

    def __pow__(self, exponent: float) -> "Value":
        if not isinstance(exponent, Real):
            raise _bad_exponent(exponent)
        x, n = self.data, float(exponent)
        if x == 0 and n < 1 and n != 0:
            raise ZeroDivisionError(f"x ** {n:g} 在 x = 0 处没有导数")
        if x < 0 and not n.is_integer():
            raise ValueError(f"负数的非整数次幂不是实数：({x}) ** {n:g}")
        slope = n * x ** (n - 1) if n else 0.0
        return Value(x**n, f"**{n:g}", (self,), lambda g: (g * slope,))

    def exp(self) -> "Value":
        y = math.exp(self.data)
        return Value(y, "exp", (self,), lambda g: (g * y,))

    def log(self) -> "Value":
        if self.data <= 0:
            raise ValueError(f"log 的自变量应为正数，收到 {self.data}")
        return Value(math.log(self.data), "log", (self,), lambda g: (g / self.data,))

    def tanh(self) -> "Value":
        y = math.tanh(self.data)
        return Value(y, "tanh", (self,), lambda g: (g * (1 - y**2),))

    def relu(self) -> "Value":
        y = max(self.data, 0.0)
        return Value(y, "relu", (self,), lambda g: (g * (y > 0),))

    # 其余的写法都化成上面的运算。

    def __neg__(self) -> "Value":
        return self * -1

    def __rsub__(self, other: float) -> "Value":
        return as_value(other) - self

    def __rtruediv__(self, other: float) -> "Value":
        return as_value(other) / self

    def __rpow__(self, base: float) -> "Value":
        raise _bad_exponent(self)

    __radd__ = __add__
    __rmul__ = __mul__

    def backward(self) -> None:
        """反向传播：求本节点对它所依赖的每个节点的导数。

        叶子的 grad 是累加上去的，不会自动清零；要重新开始，自己写 ``w.grad = 0.0``。

        书中：sec-accumulate
        """
        order = topological_order(self)
        for node in order:
            if node.parents:  # 中间节点的梯度只属于这一次
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            if node.parents:
                shares = node.pull(node.grad)
                for parent, share in zip(node.parents, shares, strict=True):
                    parent.grad += share


def topological_order(root: Value) -> list[Value]:
    """root 依赖的全部节点，每个恰好一次，输入总排在用到它的节点之前，root 在最后。

    用自己的栈代替递归：一万个节点连成的链也不会碰到 Python 的递归上限。

    书中：sec-topological-order
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack = [(root, False)]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.parents))
    return order


def as_value(x: "Value | float") -> Value:
    """把普通的数包成叶子；已经是 Value 的原样返回。

    书中：sec-engine-operators
    """
    return x if isinstance(x, Value) else Value(x)


def _bad_exponent(exponent: object) -> TypeError:
    return TypeError(
        f"** 的指数应是普通的数，收到 {_describe(exponent)}；"
        "指数也要求导时，把 a ** b 写成 (b * a.log()).exp()"
    )


def _describe(x: object) -> str:
    shape = getattr(x, "shape", None)
    return type(x).__name__ + (f"，形状 {tuple(shape)}" if shape is not None else "")
