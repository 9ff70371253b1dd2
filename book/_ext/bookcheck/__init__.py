"""本书的核对工具与 Sphinx 扩展。

========================  ====================================================
:mod:`bookcheck.source`      读章节源文件
:mod:`bookcheck.execute`     并行执行，按“账”判断是否过期
:mod:`bookcheck.kernel`      在内核里加载的扩展：确定的输出、图的指纹
:mod:`bookcheck.deps`        一次执行用到了哪些文件与包
:mod:`bookcheck.opened`      各个进程读过的文件
:mod:`bookcheck.fingerprint` 图的指纹
:mod:`bookcheck.compare`     比较器
:mod:`bookcheck.prose`       正文里手写的数
:mod:`bookcheck.equations`   公式的核对函数、练习的错误解法
:mod:`bookcheck.recording`   录制：不能每次构建都跑的输出
:mod:`bookcheck.checks`      汇总成一份报告
:mod:`bookcheck.bless`       接受新结果
:mod:`bookcheck.directives`  Sphinx 一侧：读入执行结果、指令、标记、核对总表
:mod:`bookcheck.svg`         图内联进网页，随主题换色
:mod:`bookcheck.search`      离线的中文子串搜索
:mod:`bookcheck.notebook`    每章可下载的笔记本
========================  ====================================================
"""

# 内核交给构建的两种数据：图的指纹、求得的数与账。写在这里，构建就不必为它们导入 matplotlib。
FIGURE_MIME = "application/vnd.dlbook.figure+json"
RESULT_MIME = "application/vnd.dlbook.result+json"
