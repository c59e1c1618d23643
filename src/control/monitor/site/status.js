// Looks at status.json every second and shows it. Whatever comes from requests is set as text, never as markup.
"use strict";

const SECONDS = 180, WINDOW = 10, SVG = "http://www.w3.org/2000/svg";
const looks = [], points = [];
const by = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.map(String));
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Numbers for people.
function time(us) {
  if (us === null) return "–";
  if (us < 1e3) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(1)} ms`;
  if (us < 120e6) return `${(us / 1e6).toFixed(2)} s`;
  if (us < 7200e6) return `${Math.floor(us / 60e6)} min`;
  return us < 172800e6 ? `${Math.floor(us / 3600e6)} h` : `${Math.floor(us / 86400e6)} d`;
}
const whole = String;
const number = (n) => (n >= 100 || n === 0 ? n.toFixed(0) : n.toFixed(1));
function bytes(n) {
  let unit = 0;
  while (n >= 1000 && unit < 3) { n /= 1000; unit += 1; }
  return `${unit ? n.toFixed(1) : n.toFixed(0)} ${["B", "kB", "MB", "GB"][unit]}`;
}

// Two looks, and what they come to.
function rate(before, now, of) {
  const seconds = Math.max(1, now.now_ms - before.now_ms) / 1000;
  return Math.max(0, of(now) - of(before)) / seconds;
}
function percentile(before, now, name, percent) {
  const counts = now[name].counts.map((count, n) => Math.max(0, count - before[name].counts[n]));
  const total = counts.reduce((sum, count) => sum + count, 0), bounds = now.bounds_us;
  if (!total) return null;
  const wanted = (total * percent) / 100;
  let seen = 0;
  for (let n = 0; n < counts.length; n += 1) {
    if (counts[n] && seen + counts[n] >= wanted) {
      const low = n ? bounds[n - 1] : 0, high = n < bounds.length ? bounds[n] : low;
      return low + (high - low) * Math.min(1, (wanted - seen) / counts[n]);
    }
    seen += counts[n];
  }
  return null;
}

function cards(now, point) {
  const threads = now.workers.filter((worker) => worker.pid).reduce((sum, worker) => sum + worker.cores.length, 0);
  const shown = [
    ["Requests", `${number(point.requests)}/s`],
    ["Answered 5xx", `${number(point.failed)}/s`, point.failed > 0],
    ["Median time", time(point.p50)],
    ["99th percentile", time(point.p99)],
    ["Queued (99th)", time(point.queue)],
    ["Threads busy", `${now.running} of ${threads}`],
    ["Waiting", now.in_hand > now.running ? now.in_hand - now.running : 0],
    ["Sent", `${bytes(point.sent)}/s`],
  ];
  by("cards").replaceChildren(...shown.map(([name, value, bad]) => {
    const card = element("div");
    card.append(element("dt", {}, name), element("dd", bad ? { class: "bad" } : {}, value));
    return card;
  }));
}

const CHARTS = [
  ["Requests a second", number, [["requests", "one", "all"], ["failed", "two", "5xx"]]],
  ["Time in the application", time, [["p50", "one", "median"], ["p99", "three", "99th"]]],
  ["Threads", whole, [["busy", "one", "busy"], ["waiting", "two", "waiting requests"]]],
];

function chart([title, format, lines]) {
  const values = lines.flatMap(([name]) => points.map((point) => point[name] ?? 0));
  const most = Math.max(...values, 1), last = points[points.length - 1];
  // What there is to see at first is not to hide in a corner.
  const span = Math.max(30, points.length);
  const told = lines.map(([name, , label]) => `${label} ${format(last[name])}`).join(", ");
  const figure = element("figure"), caption = element("figcaption"), legend = element("span");
  caption.append(element("span", {}, title), legend);
  for (const [name, colour, label] of lines) legend.append(element("span", { class: colour }, `${label} ${format(last[name])} `));
  const svg = drawn("svg", { viewBox: `0 0 ${span} 100`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${told}; at most ${format(most)}` });
  for (const y of [2, 50, 98]) svg.append(drawn("line", { class: "grid", x1: 0, x2: span, y1: y, y2: y }));
  for (const [name, colour] of lines) {
    const at = (point, n) => `${span - points.length + n + 1},${(98 - ((point[name] ?? 0) / most) * 96).toFixed(1)}`;
    svg.append(drawn("polyline", { class: colour, points: points.map(at).join(" ") }));
  }
  figure.append(caption, svg, element("figcaption", {}, `at most ${format(most)}`, ""));
  return figure;
}

// Each column: name, class, text or element of a row.
function table(id, columns, rows, none) {
  const head = element("tr"), body = element("tbody"), top = element("thead");
  for (const [name, kind] of columns) head.append(element("th", { scope: "col", class: kind }, name));
  top.append(head);
  for (const row of rows) {
    const line = element("tr");
    for (const [, kind, of] of columns) {
      const value = of(row), cell = element("td", { class: kind });
      cell.append(value instanceof Node ? value : String(value));
      line.append(cell);
    }
    body.append(line);
  }
  by(id).replaceChildren(...(rows.length ? [top, body] : [element("caption", { class: "word" }, none)]));
}

function request(row) {
  const text = `${row.method} ${row.uri}`;
  return element("span", { title: text }, text);
}

function phases(row) {
  const parts = [["accept", row.accept_us], ["read", row.read_us], ["queue", row.queue_us], ["app", row.app_us], ["write", row.write_us]];
  const told = parts.map(([name, us]) => `${name} ${time(us)}`).join(", ");
  const svg = drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": told });
  const title = drawn("title", {});
  title.append(told);
  svg.append(title);
  // The wait to be accepted comes before what counts as the request's time.
  const all = Math.max(1, row.accept_us + row.total_us);
  let x = 0;
  for (const [name, us] of parts) {
    const width = (100 * us) / all;
    svg.append(drawn("rect", { class: name, x, y: 0, width, height: 10 }));
    x += width;
  }
  return svg;
}

function tables(before, now) {
  const earlier = new Map(before.workers.map((worker) => [worker.id, worker]));
  const of = (worker, name) => {
    const then = earlier.get(worker.id) ?? worker;
    return rate({ now_ms: before.now_ms, it: then }, { now_ms: now.now_ms, it: worker }, (look) => look.it[name]);
  };
  table("connections", [["what they do", "word", (row) => row.state], ["connections", "", (row) => row.count]], now.connections, "none");
  table("sockets", [
    ["socket", "word", (row) => row.name],
    ["waiting", "", (row) => row.waiting ?? "–"],
    ["at most", "", (row) => row.limit ?? "–"],
  ], now.sockets, "none");
  table("workers", [
    ["worker", "", (row) => row.id],
    ["process", "", (row) => row.pid || "–"],
    ["state", "word", (row) => row.state],
    ["busy", "", (row) => `${Math.min(100, of(row, "busy_us") / 1e4 / Math.max(1, row.cores.length)).toFixed(0)} %`],
    ["rate", "", (row) => `${number(of(row, "requests"))}/s`],
    ["requests", "", (row) => row.requests],
    ["average", "", (row) => time(row.average_us)],
    ["raised", "", (row) => row.exceptions],
    ["late", "", (row) => row.harakiri],
    ["memory", "", (row) => bytes(row.rss_bytes)],
    ["starts", "", (row) => row.starts],
  ], now.workers, "none");
  table("in-flight", [
    ["worker", "", (row) => row.worker],
    ["thread", "", (row) => row.core],
    ["running", "", (row) => time(row.running_us)],
    ["waited", "", (row) => time(row.waited_us)],
    ["request", "request", request],
  ], now.recorder.in_flight, "none");
  const finished = (name, of) => [
    ["ago", "", (row) => time(Math.max(0, now.now_ms - row.started_ms) * 1000)],
    ["worker", "", (row) => row.worker],
    ["total", "", (row) => time(row.total_us)],
    ["phases", "", phases],
    [name, "word", of],
    ["request", "request", request],
  ];
  table("slowest", finished("status", (row) => row.status || "–"), now.recorder.slowest, "none");
  table("failed", finished("reason", (row) => (row.failure === "status" ? row.status : row.failure)), now.recorder.failed, "none");
}

function show(now) {
  const before = looks[looks.length - 1], first = looks[0] ?? now;
  looks.push(now);
  if (looks.length > WINDOW) looks.shift();
  const since = before ?? now;
  const point = {
    requests: rate(since, now, (look) => look.requests),
    failed: rate(since, now, (look) => look.answers[5]),
    sent: rate(since, now, (look) => look.tx_bytes),
    p50: percentile(first, now, "app_time", 50),
    p99: percentile(first, now, "app_time", 99),
    queue: percentile(first, now, "queue_time", 99),
    busy: now.running,
    waiting: Math.max(0, now.in_hand - now.running),
  };
  points.push(point);
  if (points.length > SECONDS) points.shift();
  by("about").textContent = `${now.version} · process ${now.pid} · ${now.phase} · generation ${now.generation} · up ${time(Math.max(0, now.now_ms * 1000 - now.started_on * 1e6))}`;
  document.title = `uwring: ${number(point.requests)}/s`;
  cards(now, point);
  by("charts").replaceChildren(...CHARTS.map(chart));
  tables(since, now);
}

async function look() {
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const now = await answer.json();
    const last = looks[looks.length - 1];
    // Another server has come in its place.
    if (last && (last.pid !== now.pid || last.requests > now.requests)) looks.length = 0;
    by("trouble").textContent = "";
    show(now);
  } catch (error) {
    by("trouble").textContent = `no answer: ${error.message}`;
  }
}

async function watch() {
  if (!document.hidden) await look();
  setTimeout(watch, 1000);
}
watch();
