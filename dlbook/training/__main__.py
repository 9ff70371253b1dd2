"""``python -m dlbook.training``，等同于 ``dlbook``。"""

import sys

from dlbook.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
