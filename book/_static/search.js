// 全书搜索。文字在 search_text.js 里（由 bookcheck/search.py 生成，格式见那里），第一次搜索时才载入。
//
// 匹配在“折叠”后的文字上进行：逐字做 NFKC、转小写、去掉空白、减号当作连字符，于是全角与半角、大写与小写、
// 汉字与西文之间有没有空格都不要紧。空格隔开的几个词都要出现；完整的词哪里都没有时，
// 退而按二字组的覆盖率找最接近的节。
"use strict";

(() => {
  const ROOT = document.documentElement.dataset.content_root || "./";
  const DATA = new URL("search_text.js", document.currentScript.src).href;
  const LIMIT = 50; // 最多列出多少条
  const WINDOW = 70; // 摘录里，第一处匹配之后显示多少字
  const BLOCK_WEIGHT = { p: 10, f: 9, m: 3, o: 2, c: 2 }; // 块的类别 → 权重
  const FUZZY_COVERAGE = 0.5; // 近似匹配至少要盖住的二字组比例

  // ---------------------------------------------------------------- 折叠

  const folded = new Map();

  function foldCharacter(character) {
    let result = folded.get(character);
    if (result === undefined) {
      result = character.normalize("NFKC").toLowerCase().replace(/\s+/g, "").replace("−", "-");
      folded.set(character, result);
    }
    return result;
  }

  // 折叠一段文字。at[i] 是折叠后第 i 个字符在原文中的位置，最后多一项：原文长度。
  function foldWithMap(text) {
    let result = "";
    const at = [];
    let position = 0;
    for (const character of text) {
      const piece = foldCharacter(character);
      for (let i = 0; i < piece.length; i++) at.push(position);
      result += piece;
      position += character.length;
    }
    at.push(position);
    return { text: result, at };
  }

  function fold(text) {
    let result = "";
    for (const character of text) result += foldCharacter(character);
    return result;
  }

  function count(text, term) {
    let n = 0;
    for (let i = text.indexOf(term); i >= 0; i = text.indexOf(term, i + term.length)) n++;
    return n;
  }

  // ---------------------------------------------------------------- 索引

  let loading = null;

  function load() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = DATA;
      script.onload = () => resolve(window.bookText.map(prepare));
      script.onerror = () => reject(new Error("读不到 search_text.js"));
      document.head.append(script);
    });
    return loading;
  }

  function prepare(entry) {
    return {
      ...entry,
      title: fold(entry.t),
      terms: entry.k.flatMap((term) => term.split(/[（）()]/)).map(fold).filter(Boolean),
      blocks: entry.b.map(([kind, text]) => [kind, fold(text)]),
    };
  }

  // ---------------------------------------------------------------- 查询

  // 一个词在一节里的得分；没有出现为 0。
  // 次序：章名相同 > 节名相同 > 标题包含 > 加粗（定义） > 出现次数，正文重于公式与代码。
  function score(entry, term) {
    let total = 0;
    if (entry.title === term || entry.n === term) total += entry.u.includes("#") ? 1000 : 1500;
    else if (entry.title.includes(term)) {
      total += 300 + (150 * term.length) / entry.title.length;
      if (entry.title.startsWith(term)) total += 100;
    }
    if (entry.terms.includes(term)) total += 300;
    else if (entry.terms.some((t) => t.startsWith(term))) total += 200;
    else if (entry.terms.some((t) => t.includes(term))) total += 60;
    const counts = {};
    for (const [kind, text] of entry.blocks) {
      const n = count(text, term);
      if (n) counts[kind] = (counts[kind] ?? 0) + n;
    }
    for (const kind in counts) total += BLOCK_WEIGHT[kind] * Math.log2(1 + counts[kind]);
    return total * entry.w;
  }

  // 查询 → { exact, found: [{ entry, score, needles }] }，好的在前。needles 是要标亮的折叠文字。
  function search(entries, query) {
    const terms = [...new Set(query.split(/\s+/).map(fold).filter(Boolean))];
    const phrase = fold(query);
    if (!phrase) return { exact: true, found: [] };
    let exact = true;
    let found = entries.flatMap((entry) => {
      const scores = terms.map((term) => score(entry, term));
      if (scores.includes(0)) return [];
      const whole = terms.length > 1 ? score(entry, phrase) : 0;
      const sum = scores.reduce((a, b) => a + b) + 5 * whole;
      return [{ entry, score: sum, needles: whole ? [phrase] : terms }];
    });
    if (!found.length) {
      exact = false;
      found = fuzzy(entries, terms);
    }
    found.sort((a, b) => b.score - a.score);
    return { exact, found };
  }

  // 近似匹配：每个词拆成二字组，少见的二字组更重要。
  function fuzzy(entries, terms) {
    const pairs = new Set(terms.flatMap((t) => [...t].slice(1).map((c, i) => [...t][i] + c)));
    if (!pairs.size) return [];
    const texts = entries.map((e) => e.title + "\n" + e.blocks.map((b) => b[1]).join("\n"));
    const weights = new Map();
    for (const pair of pairs) {
      const frequency = texts.filter((text) => text.includes(pair)).length;
      weights.set(pair, Math.log((1 + entries.length) / (1 + frequency)) + 0.1);
    }
    const total = [...weights.values()].reduce((a, b) => a + b);
    return entries.flatMap((entry, i) => {
      const hits = [...pairs].filter((pair) => texts[i].includes(pair));
      if (hits.length / pairs.size < FUZZY_COVERAGE) return [];
      const coverage = hits.reduce((sum, pair) => sum + weights.get(pair), 0) / total;
      const needles = terms.flatMap((term) => longestRuns(term, texts[i]));
      const longest = Math.max(...needles.map((needle) => needle.length));
      return [{ entry, score: (coverage + longest) * entry.w, needles }];
    });
  }

  // 一个词里出现在文字中的最长的几段，每段至少两个字。
  function longestRuns(term, text) {
    const runs = [];
    for (let i = 0; i < term.length; ) {
      let stop = term.length;
      while (stop > i && !text.includes(term.slice(i, stop))) stop--;
      if (stop - i >= 2) runs.push(term.slice(i, stop));
      i = Math.max(stop, i + 1);
    }
    return runs;
  }

  // 最能说明问题的一块：含有的词多的优先，其次正文优先。
  function bestBlock(entry, needles) {
    let best = null;
    let bestValue = 0;
    entry.blocks.forEach(([kind, text], i) => {
      const hits = needles.filter((needle) => text.includes(needle)).length;
      const value = hits && hits * 100 + BLOCK_WEIGHT[kind];
      if (value > bestValue) [best, bestValue] = [entry.b[i], value];
    });
    return best;
  }

  // ---------------------------------------------------------------- 显示

  function element(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  }

  // 折叠文字里各词占据的区间，按位置排好，重叠的合并。
  function ranges(text, needles) {
    const all = [];
    for (const needle of needles) {
      for (let i = text.indexOf(needle); i >= 0; i = text.indexOf(needle, i + 1)) {
        all.push([i, i + needle.length]);
      }
    }
    all.sort((a, b) => a[0] - b[0]);
    const merged = [];
    for (const range of all) {
      const last = merged.at(-1);
      if (last && range[0] <= last[1]) last[1] = Math.max(last[1], range[1]);
      else merged.push(range);
    }
    return merged;
  }

  // 带 <mark> 的文字。只用 textContent 一类的接口建立节点，书里的 < 与 & 不会变成标记。
  function marked(text, needles, limit = Infinity) {
    const { text: flat, at } = foldWithMap(text);
    const hits = ranges(flat, needles).map(([from, to]) => [at[from], at[to - 1] + 1]);
    const first = hits.length ? hits[0][0] : 0;
    const start = limit === Infinity ? 0 : Math.max(0, first - Math.round(limit / 2));
    const stop = limit === Infinity ? text.length : Math.min(text.length, first + limit);
    const parts = start > 0 ? ["…"] : [];
    let position = start;
    for (const [from, to] of hits) {
      if (from >= stop) break;
      parts.push(text.slice(position, from), element("mark", "", text.slice(from, to)));
      position = to;
    }
    parts.push(text.slice(position, Math.max(stop, position)));
    if (stop < text.length) parts.push("…");
    return parts;
  }

  function resultItem({ entry, needles }) {
    const block = bestBlock(entry, needles) ?? entry.b[0];
    const [page, anchor] = entry.u.split("#");
    const target = (block && block[2]) || anchor;
    const query = needles.map((needle) => "find=" + encodeURIComponent(needle)).join("&");
    const link = element("a", "search-title");
    link.href = ROOT + page + "?" + query + (target ? "#" + target : "");
    if (entry.n) link.append(element("span", "search-number", entry.n), " ");
    link.append(...marked(entry.t, needles));
    const item = element("li", "", link);
    if (entry.p.length) item.append(element("p", "search-path", entry.p.join(" › ")));
    if (block) {
      const kind = "co".includes(block[0]) ? " search-code" : "";
      item.append(element("p", "search-passage" + kind, ...marked(block[1], needles, WINDOW)));
    }
    return item;
  }

  function show(box, query, { exact, found }) {
    const status = box.querySelector(".search-status");
    box.querySelector(".search-results").replaceChildren(...found.slice(0, LIMIT).map(resultItem));
    if (!fold(query)) status.textContent = "";
    else if (!found.length) status.textContent = `没有找到“${query.trim()}”。`;
    else if (!exact) status.textContent = `没有“${query.trim()}”这几个字，以下 ${Math.min(found.length, LIMIT)} 处最接近：`;
    else if (found.length > LIMIT) status.textContent = `共 ${found.length} 节，列出前 ${LIMIT} 节：`;
    else status.textContent = `共 ${found.length} 节：`;
  }

  function connect(box) {
    const form = box.querySelector("form");
    const input = box.querySelector("input");
    const onSearchPage = Boolean(box.closest(".search-page"));
    let timer = null;
    let latest = 0;

    async function run() {
      const turn = ++latest;
      const query = input.value;
      try {
        const entries = await load();
        if (turn === latest) show(box, query, search(entries, query));
      } catch (error) {
        box.querySelector(".search-status").textContent = `搜索不可用：${error.message}`;
      }
    }

    function later() {
      clearTimeout(timer);
      timer = setTimeout(run, 80);
    }

    // 用输入法拼字的途中不搜拼音，上下键留给输入法选字。
    input.addEventListener("input", (event) => event.isComposing || later());
    input.addEventListener("compositionend", later);
    form.addEventListener("submit", (event) => {
      if (!onSearchPage) return; // 对话框里按回车：转到搜索页
      event.preventDefault();
      history.replaceState(null, "", "?q=" + encodeURIComponent(input.value));
      run();
    });
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
      const stops = [input, ...box.querySelectorAll(".search-results a")];
      const here = stops.indexOf(document.activeElement);
      const next = stops[here + (event.key === "ArrowDown" ? 1 : -1)];
      if (here < 0 || !next) return;
      event.preventDefault();
      next.focus();
    });
    if (onSearchPage) {
      input.value = new URLSearchParams(location.search).get("q") ?? "";
      input.focus();
      if (input.value) run();
    }
  }

  // ---------------------------------------------------------------- 在页面上标亮

  const SKIP = "script, style, svg, .math, mjx-container, .headerlink, .mark, button, #searchbox";

  function highlightPage() {
    const needles = new URLSearchParams(location.search).getAll("find").map(fold).filter(Boolean);
    const article = document.querySelector("article.bd-article:not(.search-page)");
    if (!needles.length || !article) return;
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const source = []; // 折叠后的每个字符来自哪个文本节点的哪一段
    let flat = "";
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest(SKIP)) continue;
      const { text, at } = foldWithMap(node.data);
      for (let i = 0; i < text.length; i++) source.push([node, at[i], at[i + 1]]);
      flat += text;
    }
    const found = ranges(flat, needles);
    // 一处匹配可能跨几个文本节点；从后往前切，前面的位置才不会变。
    for (const [from, to] of [...found].reverse()) wrap(source.slice(from, to));
    const marks = [...article.querySelectorAll("mark.found")];
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && !target.closest("section > h1")) reveal(target);
    const first =
      marks.find((m) => target && (target.contains(m) || follows(target, m))) ?? marks[0];
    if (first) {
      reveal(first);
      const settle = () => first.scrollIntoView({ block: "center" });
      settle();
      window.MathJax?.startup?.promise?.then(settle); // 公式排好后位置会变
    }
    announce(found.length, marks);
  }

  const follows = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);

  function wrap(pieces) {
    const spans = new Map(); // 文本节点 → [起, 止]
    for (const [node, from, to] of pieces) {
      const span = spans.get(node);
      if (span) span[1] = Math.max(span[1], to);
      else spans.set(node, [from, to]);
    }
    for (const [node, [from, to]] of spans) {
      node.splitText(to);
      const middle = node.splitText(from);
      const mark = element("mark", "found");
      middle.replaceWith(mark);
      mark.append(middle);
    }
  }

  // 打开折叠着的祖先。
  function reveal(node) {
    for (let box = node.parentElement; box; box = box.parentElement) {
      if (box.tagName === "DETAILS") box.open = true;
      if (box.classList.contains("toggle-hidden")) box.querySelector(".toggle-button")?.click();
    }
  }

  function announce(n, marks) {
    const place = document.getElementById("searchbox");
    if (!place || !n) return;
    const button = element("button", "clear-found", "清除标记");
    button.type = "button";
    button.addEventListener("click", () => {
      for (const mark of marks) {
        const parent = mark.parentNode;
        mark.replaceWith(...mark.childNodes);
        parent.normalize();
      }
      place.replaceChildren();
      history.replaceState(null, "", location.pathname + location.hash);
    });
    place.append(element("p", "found-note", `本页标出 ${n} 处。`, button));
  }

  // 供测试与浏览器控制台使用：bookSearch("softmax") → [{ url, score }]
  window.bookSearch = async (query) =>
    search(await load(), query).found.map(({ entry, score }) => ({ url: entry.u, score }));

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".book-search").forEach(connect);
  });
  // 等折叠按钮（sphinx-togglebutton）装好之后再标亮。
  window.addEventListener("load", highlightPage);
})();
