"""张量的各种运算，与“哪些运算也是 Tensor 的方法”那张表。

每个运算都是 :mod:`dlbook.backprop` 的一对函数，经 :func:`dlbook.autograd.tensor.apply` 接进图里；
这里只管 PyTorch 的写法：参数的名字、dim 的正负、dtype 的升级。

书中：sec-bp-engine
"""

from dlbook.autograd.tensor import Tensor  # noqa: I001  先有 Tensor，才有运算
from dlbook.autograd.ops import elementwise, indexing, inplace, products, reductions, shapes

# 方法名就是函数名，第一个参数就是张量自己。
METHODS = {
    elementwise: (
        "abs add ceil clamp clone cos div double eq equal exp expm1 float floor floor_divide ge gt "
        "int isfinite isinf isnan le log log10 log1p log2 logical_and logical_not logical_or long "
        "lt maximum minimum mul ne neg pow reciprocal relu remainder round rsqrt sigmoid sign sin "
        "sqrt square sub tanh to type_as bool_:bool cpu allclose is_floating_point "
        "where_method:where"
    ),
    reductions: (
        "all amax amin any argmax argmin argsort cumsum log_softmax logsumexp max mean min norm "
        "prod softmax sort std sum topk var"
    ),
    shapes: (
        "T broadcast_to chunk contiguous dim element_size expand expand_as flatten flip mT movedim "
        "numel permute_method:permute repeat repeat_interleave reshape_method:reshape roll size "
        "split squeeze t transpose unbind unflatten unsqueeze view view_as"
    ),
    indexing: "gather index_select masked_fill masked_select nonzero scatter_add tril triu",
    products: "bmm dot matmul mm mv outer",
    inplace: (
        "add_ clamp_ copy_ div_ fill_ masked_fill_ mul_ neg_ normal_ pow_ relu_ sub_ uniform_ "
        "zero_ scatter_ __setitem__ __iadd__ __isub__ __imul__ __itruediv__ __ipow__ "
        "__ifloordiv__ __imod__ __iand__ __ior__ __ixor__"
    ),
}
OPERATORS = {
    "__add__": elementwise.add,
    "__radd__": elementwise.add,
    "__sub__": elementwise.sub,
    "__rsub__": elementwise.rsub,
    "__mul__": elementwise.mul,
    "__rmul__": elementwise.mul,
    "__truediv__": elementwise.div,
    "__rtruediv__": elementwise.rdiv,
    "__floordiv__": elementwise.floor_divide,
    "__rfloordiv__": elementwise.rfloordiv,
    "__mod__": elementwise.remainder,
    "__rmod__": elementwise.rmod,
    "__pow__": elementwise.pow,
    "__rpow__": elementwise.rpow,
    "__neg__": elementwise.neg,
    "__abs__": elementwise.abs,
    "__invert__": elementwise.invert,
    "__and__": elementwise.bitwise_and,
    "__rand__": elementwise.bitwise_and,
    "__or__": elementwise.bitwise_or,
    "__ror__": elementwise.bitwise_or,
    "__xor__": elementwise.bitwise_xor,
    "__rxor__": elementwise.bitwise_xor,
    "__eq__": elementwise.equals,
    "__ne__": elementwise.differs,
    "__lt__": elementwise.lt,
    "__le__": elementwise.le,
    "__gt__": elementwise.gt,
    "__ge__": elementwise.ge,
    "__matmul__": products.matmul,
    "__getitem__": indexing.getitem,
}

for module, names in METHODS.items():
    for entry in names.split():
        source, _, target = entry.partition(":")
        setattr(Tensor, target or source, getattr(module, source))
for name, operation in OPERATORS.items():
    setattr(Tensor, name, operation)
