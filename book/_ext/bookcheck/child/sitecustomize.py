"""执行章节时，另起的每个 Python 进程启动时都会自动导入这个文件：记下它读了哪些文件。"""

from bookcheck.opened import watch

watch()
