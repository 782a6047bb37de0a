
"use strict";
(() => {
  const PER_PAGE = 100;
  const PRINTED_ROWS = 500;
  const PRINTED_DETAILS = 25;
  const SVG = "http://www.w3.org/2000/svg";
  const ORDER = {
    standing: ["fail", "unknown", "waived", "fixed", "pass"],
    risk: ["critical", "high", "medium", "low"],
    todo: ["retire", "rotate", "review", "none"],
    state: ["new", "reappeared", "persisting", "fixed"],
  };
  const WORDS = {
    todo: { none: "by hand" },
    state: { reappeared: "again", persisting: "unchanged" },
  };
  const byId = (id) => document.getElementById(id);

  /* Everything that is shown is set as text: names and messages come from strangers. */
  function make(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }
  function draw(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function instant(seconds) {
    return seconds === null ? "" : new Date(seconds * 1000).toISOString().replace(".000", "");
  }
  const day = (seconds) => instant(seconds).slice(0, 10);
  function length(seconds) {
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    let rest = Math.abs(seconds);
    const parts = [];
    for (const [size, name] of units) {
      const number = Math.floor(rest / size);
      rest -= number * size;
      if (number && parts.length < 2) parts.push(`${number} ${name}`);
      else if (parts.length) break;
    }
    return (seconds < 0 ? "-" : "") + (parts.join(" ") || "0 s");
  }

  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const next = { undefined: "light", light: "dark" }[root.dataset.theme];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    theme.textContent = `Theme: ${next || "system"}`;
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.long-list)")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });

  const table = byId("table");
  if (!table) return;

  const data = JSON.parse(byId("data").textContent);
  WORDS.standing = data.words;
  const rows = data.rows.map(read);
  const body = table.tBodies[0];
  const columns = [...table.tHead.rows[0].cells];
  const filters = Object.fromEntries(
    ["standing", "policy", "risk", "todo", "account", "state"].map((name) => [name, byId(`f-${name}`)]),
  );
  const search = byId("q");
  const open = new Set();
  let shown = rows;
  let page = 0;
  let sorting = { name: "", down: false };

  function read(values, number) {
    const row = { number };
    data.fields.forEach((name, place) => { row[name] = values[place]; });
    const [account, name] = data.accounts[row.account];
    row.account = account;
    row.accountName = name;
    row.reason = data.reasons[row.reason];
    /* What is waived or fixed needs no action. */
    row.todo = row.standing === "fail" ? row.remedy : null;
    row.known = known(row);
    row.waiver = row.waiver === null ? null : data.waivers[row.waiver];
    row.text = [row.user, row.key, account, name, row.policy, row.reason, row.fingerprint, row.arn,
      row.waiver && Object.values(row.waiver).join(" ")].join("\n").toLowerCase();
    return row;
  }

  /* For how many seconds a finding has been known; the new ones first, then those that are there again. */
  function known(row) {
    if (row.state === "new") return -2;
    if (row.state === "reappeared") return -1;
    return row.firstSeen === null ? null : Math.max(0, data.asOf - row.firstSeen);
  }
  const word = (name, value) => WORDS[name]?.[value] ?? value;

  function options() {
    for (const [name, select] of Object.entries(filters)) {
      const counts = new Map();
      for (const row of rows) if (row[name]) counts.set(row[name], (counts.get(row[name]) || 0) + 1);
      const values = [...counts.keys()].sort((a, b) => compare(name, a, b));
      for (const value of values) {
        select.append(make("option", { value }, `${word(name, value)} (${counts.get(value).toLocaleString("en")})`));
      }
      select.parentElement.hidden = values.length < 2;
    }
  }

  function compare(name, a, b) {
    if (ORDER[name]) return ORDER[name].indexOf(a) - ORDER[name].indexOf(b);
    return typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
  }

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Object.entries(filters).filter(([, select]) => select.value).map(([name, select]) => [name, select.value]);
    shown = rows.filter((row) =>
      wanted.every(([name, value]) => row[name] === value) && words.every((word) => row.text.includes(word)));
    sort();
    page = 0;
    render();
    const all = rows.length.toLocaleString("en");
    byId("count").textContent = shown.length === rows.length
      ? `${all} findings` : `${shown.length.toLocaleString("en")} of ${all} findings`;
  }

  function sort() {
    const { name, down } = sorting;
    if (!name) return;
    /* What is not known comes last, whichever way. */
    shown.sort((a, b) => {
      const [x, y] = [a[name], b[name]];
      if (x === null || y === null) return (x === null) - (y === null) || a.number - b.number;
      return (down ? -1 : 1) * compare(name, x, y) || a.number - b.number;
    });
  }

  function render() {
    const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
    place(shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE), open);
    byId("pager").hidden = pages < 2;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page >= pages - 1;
    byId("where").textContent = `page ${page + 1} of ${pages}`;
  }

  function place(some, details) {
    const parts = document.createDocumentFragment();
    for (const row of some) {
      parts.append(line(row, details.has(row)));
      if (details.has(row)) parts.append(detail(row));
    }
    if (!some.length) parts.append(make("tr", {}, make("td", { colspan: columns.length }, "No finding is like that.")));
    body.replaceChildren(parts);
  }

  const CELLS = {
    risk: (row) => make("td", {}, row.risk),
    policy: (row) => make("td", { class: "wrap" }, row.policy),
    account: (row) => make("td", { title: row.accountName }, make("code", {}, row.account)),
    user: (row) => make("td", { class: "name" }, row.user ?? "(the account)"),
    key: (row) => make("td", {}, make("code", {}, row.key ?? (row.made ? "(id not read)" : ""))),
    gap: (row) => make("td", { class: "n" }, row.gap === null ? "" : length(row.gap)),
    made: (row) => make("td", {}, day(row.made)),
    lastUsed: (row) => make("td", {}, used(row)),
    todo: (row) => make("td", {}, word("todo", row.todo) ?? ""),
    known: (row) => make("td", {}, row.known >= 0 && row.known !== null ? length(row.known).split(" ").slice(0, 2).join(" ") : word("state", row.state) ?? ""),
  };
  function used(row) {
    if (row.lastUsed !== null) return day(row.lastUsed);
    if (row.made === null) return "";
    return row.everUsed === false ? "never" : row.everUsed ? "yes" : "not known";
  }

  /* The id is not the fingerprint itself: the browser would go to it on its own and take the focus away. */
  function line(row, isOpen) {
    const element = make("tr", { class: "row", id: `row-${row.fingerprint}` });
    for (const { dataset: { sort: name } } of columns) {
      element.append(name === "standing" ? first(row, isOpen) : CELLS[name](row));
    }
    return element;
  }
  function first(row, isOpen) {
    const button = make("button", { type: "button", class: "toggle", "aria-expanded": isOpen },
      make("span", { class: `badge ${row.standing}` }, data.words[row.standing]),
      make("span", { class: "unseen" }, ` details of ${row.user ?? row.account}, ${row.policy}`));
    button.addEventListener("click", () => toggle(row, button));
    return make("td", {}, button);
  }
  function toggle(row, button) {
    const element = button.closest("tr");
    const isOpen = !open.has(row);
    if (isOpen) { open.add(row); element.after(detail(row)); }
    else { open.delete(row); element.nextElementSibling.remove(); }
    button.setAttribute("aria-expanded", isOpen);
    if (isOpen) history.replaceState(null, "", `#${row.fingerprint}`);
  }

  function detail(row) {
    const left = make("div", {},
      make("p", { class: "reason" }, `${row.reason}.`),
      gone(row), waiver(row), story(row), ...todo(row), ...seen(row), identity(row));
    return make("tr", { class: "detail" },
      make("td", { colspan: columns.length }, make("div", { class: "about" }, left, rule(row))));
  }

  function gone(row) {
    return row.standing === "fixed" ? make("p", {}, "This is what the earlier scan saw. The finding is gone.") : null;
  }

  function todo(row) {
    if (row.standing === "fixed") return [];
    const parts = [];
    if (data.next[row.remedy] || row.commands.length) parts.push(make("h3", {}, row.waiver ? "What to do when the waiver ends" : "What to do"));
    if (data.next[row.remedy]) parts.push(make("p", {}, data.next[row.remedy]));
    for (const [number, ...values] of row.commands) {
      const [name, pieces] = data.commands[number];
      const text = pieces.map((piece) => typeof piece === "number" ? values[piece] : piece).join("").trimEnd();
      parts.push(make("p", { class: "dim" }, `With ${name === "AWS CLI" ? "the AWS CLI" : name}`), block(text));
    }
    return parts;
  }
  function block(text) {
    /* A line may break at a space, never within an option: `--status` would end in a hyphen. */
    const words = text.split(/(?<= )/).map((one) => make("span", { class: "whole" }, one));
    const pre = make("pre", { tabindex: "0" }, ...words);
    const button = make("button", { type: "button" }, "Copy");
    button.addEventListener("click", () => copy(pre, button));
    return make("div", { class: "block" }, pre, button);
  }
  async function copy(pre, button) {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function waiver(row) {
    if (!row.waiver) return null;
    const { reason, owner, ticket, created, expires } = row.waiver;
    return make("p", {}, `Waived by ${owner} on ${created}, through ${expires}${ticket ? ` (${ticket})` : ""}: ${reason}`);
  }

  function seen(row) {
    const lines = [];
    for (let place = 0; place < row.evidence.length; place += 2) {
      const [fact, source, asOf] = data.evidence[row.evidence[place]];
      const value = row.evidence[place + 1];
      const said = value === null ? "not known" : value === true ? "yes" : value === false ? "no" : String(value);
      lines.push(make("tr", {}, make("th", { scope: "row" }, fact), make("td", {}, said),
        make("td", {}, source), make("td", {}, make("time", {}, instant(asOf)))));
    }
    if (!lines.length) return [];
    const head = ["Fact", "Value", "Said by", "As of"].map((name) => make("th", { scope: "col" }, name));
    return [make("div", { class: "seen" }, make("h3", {}, "What was seen"),
      make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines)))];
  }

  function identity(row) {
    const since = row.firstSeen === null ? "" : `, first seen ${day(row.firstSeen)} (${length(Math.max(0, data.asOf - row.firstSeen))} ago)`;
    return make("p", { class: "dim" }, "Fingerprint ", make("a", { href: `#${row.fingerprint}` }, make("code", {}, row.fingerprint)), since,
      row.arn ? make("br") : null, row.arn ? make("code", {}, row.arn) : null);
  }

  function rule(row) {
    const prose = [...document.querySelectorAll(".prose")].find((each) => each.dataset.policy === row.policy);
    const side = make("div", { class: "beside", role: "group", "aria-label": `The policy ${row.policy}`, tabindex: "0" }, make("h3", {}, row.policy));
    if (prose) for (const child of prose.children) side.append(child.cloneNode(true));
    side.append(make("p", {}, make("a", { href: `#policy-${row.policy}` }, "The rule, parameters and remediation")));
    return side;
  }

  const PASSWORD = { password_last_changed_at: "password set", password_last_used_at: "signed in" };

  /* When things happened, from left to right; not to scale within reach of each other, so that labels can be read. */
  function story(row) {
    const events = [];
    if (row.userMade !== null) events.push([row.userMade, "user made", ""]);
    if (row.made !== null) events.push([row.made, "key made", "key"]);
    for (let place = 0; place < row.evidence.length; place += 2) {
      const at = Date.parse(row.evidence[place + 1]) / 1000;
      const event = PASSWORD[data.evidence[row.evidence[place]][0]];
      if (event && at) events.push([at, event, ""]);
    }
    if (row.lastUsed !== null) events.push([row.lastUsed, "last use", ""]);
    if (!events.length) return null;
    const end = row.status === "Inactive" ? "disabled before" : row.made !== null && row.everUsed === false ? "never used" : "scan";
    events.push([data.asOf, end, ""]);
    events.sort((a, b) => a[0] - b[0]);
    const [left, right, gap] = [45, 595, 92];
    const span = Math.max(1, data.asOf - events[0][0]);
    const places = events.map(([at]) => left + (at - events[0][0]) / span * (right - left));
    for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + gap);
    let limit = right;
    for (let i = places.length - 1; i >= 0; i--) { places[i] = Math.min(places[i], limit); limit = places[i] - gap; }
    const words = events.map(([at, name]) => `${name} ${instant(at)}`).join(", ");
    const svg = draw("svg", { class: "story", viewBox: "0 0 640 74", role: "img", "aria-label": `Timeline: ${words}` },
      draw("title", {}, `Timeline: ${words}`),
      draw("line", { class: "life", x1: places[0], x2: places.at(-1), y1: 24, y2: 24 }));
    events.forEach(([at, name, kind], i) => {
      svg.append(draw("circle", { class: `at ${kind}`, cx: places[i], cy: 24, r: 5 }),
        draw("text", { class: "mid", x: places[i], y: 12 }, name),
        draw("text", { class: "mid when", x: places[i], y: 54 }, day(at)),
        draw("text", { class: "mid when", x: places[i], y: 68 }, instant(at).slice(11)));
      if (i) {
        svg.append(draw("text", { class: "mid", x: (places[i - 1] + places[i]) / 2, y: 38 }, length(at - events[i - 1][0])));
      }
    });
    return make("div", { class: "scroll", role: "group", "aria-label": "Timeline", tabindex: "0" }, svg);
  }

  function follow() {
    const row = rows.find((each) => `#${each.fingerprint}` === location.hash);
    if (!row) {
      const target = location.hash.startsWith("#policy-") && byId(location.hash.slice(1));
      if (target) target.querySelectorAll("details").forEach((each) => { each.open = true; });
      return;
    }
    if (!shown.includes(row)) clear();
    page = Math.floor(shown.indexOf(row) / PER_PAGE);
    open.add(row);
    render();
    const element = byId(`row-${row.fingerprint}`);
    element.scrollIntoView({ block: "center", behavior: "instant" });
    element.querySelector("button").focus({ preventScroll: true });
  }

  function clear() {
    search.value = "";
    for (const select of Object.values(filters)) select.value = "";
    apply();
  }

  for (const header of columns) {
    const name = header.dataset.sort;
    const button = make("button", { type: "button" }, header.textContent);
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      sorting = { name, down: sorting.name === name && !sorting.down };
      for (const each of columns) each.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      apply();
    });
  }
  function turn(pages, pressed, other) {
    page += pages;
    render();
    /* A button that is disabled loses the focus. */
    if (pressed.disabled) other.focus({ preventScroll: true });
    table.scrollIntoView({ block: "start" });
  }
  const [previous, next] = [byId("previous"), byId("next")];
  previous.addEventListener("click", () => turn(-1, previous, next));
  next.addEventListener("click", () => turn(1, next, previous));
  byId("clear").addEventListener("click", clear);
  search.addEventListener("input", apply);
  for (const select of Object.values(filters)) select.addEventListener("change", apply);
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      event.preventDefault();
      search.focus();
    }
    if (event.key === "Escape" && event.target === search) clear();
  });

  addEventListener("beforeprint", () => {
    const some = shown.slice(0, PRINTED_ROWS);
    place(some, new Set(some.slice(0, PRINTED_DETAILS)));
    const note = byId("printed");
    note.hidden = shown.length <= PRINTED_DETAILS;
    note.textContent = `Printed are ${some.length} of ${shown.length} findings, the first ${Math.min(some.length, PRINTED_DETAILS)} with commands. `
      + "Filter the table before you print to choose others.";
  });
  addEventListener("afterprint", () => {
    byId("printed").hidden = true;
    render();
  });

  for (const element of document.querySelectorAll(".js")) element.hidden = false;
  options();
  apply();
  follow();
})();
