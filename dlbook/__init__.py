"""《深度学习：理论与实践》的配套代码。

导入只朝一个方向：``backprop`` → ``autograd`` → ``nn``、``optim`` → ``models``；
``data``、``plot``、``exercises`` 在旁边。
``import dlbook`` 之后像用 ``torch`` 那样用它：``dlbook.tensor``、``dlbook.nn.Linear``、
``dlbook.optim.SGD``。名字都是用到才导入，所以每一章只依赖它真正用到的模块。

书中：sec-bp-engine
"""

from dlbook._lazy import lazy_names
from dlbook.memory import keep_freed_memory

__version__ = "0.1.0"

keep_freed_memory()

_NAMES = {
    "autograd.tensor": "Tensor no_grad enable_grad set_grad_enabled is_grad_enabled",
    "autograd.dtypes": (
        "float32 float64 float double int64 long int32 int int16 short int8 uint8 bool"
    ),
    "autograd.ops.creation": (
        "tensor as_tensor from_numpy zeros ones empty full zeros_like ones_like empty_like "
        "full_like eye arange linspace rand randn rand_like randn_like randint randperm "
        "bernoulli multinomial"
    ),
    "autograd.ops.elementwise": (
        "add sub mul div floor_divide remainder pow maximum minimum where eq ne lt le gt ge "
        "logical_and logical_or logical_not isnan isinf isfinite equal allclose exp expm1 log "
        "log2 log10 log1p sqrt rsqrt reciprocal sin cos tanh sigmoid square neg abs relu floor "
        "ceil round sign clamp is_floating_point clone is_tensor"
    ),
    "autograd.ops.reductions": (
        "sum mean prod var std amax amin max min argmax argmin all any logsumexp norm cumsum "
        "softmax log_softmax sort argsort topk"
    ),
    "autograd.ops.shapes": (
        "numel reshape flatten unflatten squeeze unsqueeze permute transpose t movedim "
        "broadcast_to repeat_interleave flip roll cat stack split chunk unbind"
    ),
    "autograd.ops.indexing": (
        "gather scatter_add index_select masked_fill masked_select nonzero tril triu"
    ),
    "autograd.ops.products": "matmul mm bmm mv dot outer einsum",
    "random": "Generator manual_seed initial_seed get_rng_state set_rng_state default_generator",
    "serialization": "save load",
    "": "nn optim utils autograd",
}

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {name: module for module, names in _NAMES.items() for name in names.split()},
)
