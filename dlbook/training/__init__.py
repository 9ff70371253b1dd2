"""用 PyTorch 认真训练：一个循环，任何设备，一个或许多进程，随时可以中断再接着来。

    from dlbook.training import Batches, Checkpoints, classification_loss, train

命令行是 ``python -m dlbook.training``（装好之后就是 ``dlbook``）。

书中：sec-training-loop
"""

from dlbook._lazy import lazy_names

_NAMES = {
    "loop": "History NonFiniteLossError classification_loss train",
    "metrics": "accuracy classification_metrics",
    "schedules": "warmup_cosine warmup_linear",
    "batches": "Batches",
    "checkpoint": "Checkpoints CheckpointError load_checkpoint save_checkpoint",
    "device": "move pick_device supports_bfloat16",
    "randomness": "get_rng_state preserved_rng seed_everything set_rng_state",
    "": "distributed",
}

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {name: module for module, names in _NAMES.items() for name in names.split()}
)
