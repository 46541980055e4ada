// The live page of one run: reads what is recorded, then draws what the WebSocket tells.
// Whatever comes from a database or a template is set as text, never as markup.

import { Chart, clock } from "/assets/chart.js";
import { compact, count, credits, element, figure, isKnown, millis, rate, say, short, whole } from "/assets/figures.js";
import { KINDS, showFindings, showNotes, showPosition } from "/assets/findings.js";

const BASE = location.pathname.replace(/\/$/, "");
const TERMINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "STOPPED"]);
const RETRY_MS_FIRST = 1000;
const RETRY_MS_MAX = 30000;
const WHOLE_RUN_SECONDS = 900;
const POINTS_MAX = 7200;
const NAME_CHARACTERS_LONG = 60;

const PHASES = {
  PREPARING: "preparing",
  WARMUP: "warm-up",
  MEASUREMENT: "measurement",
  PROCESSING: "adding up",
};

const charts = {
  qps: new Chart(element("qps-chart"), {
    title: "Queries per second over time",
    filled: true,
    lines: [{ name: "qps", label: "QPS", of: (p) => p.qps }],
    format: (n) => compact.format(n),
  }),
  latency: new Chart(element("latency-chart"), {
    title: "Latency in milliseconds over time",
    lines: [
      { name: "p50", label: "p50", of: (p) => p.p50 },
      { name: "p95", label: "p95", of: (p) => p.p95 },
      { name: "p99", label: "p99", of: (p) => p.p99 },
    ],
    format: (n) => `${compact.format(n)} ms`,
  }),
};

const run = { points: new Map(), expected: null, name: "", mode: "", status: "", elapsed: 0 };
let retryMs = RETRY_MS_FIRST;

// A second is known by its time of the run, whichever way it came.
function addPoint(point) {
  run.points.set(point.elapsed.toFixed(1), point);
  if (run.points.size > POINTS_MAX) run.points.delete(run.points.keys().next().value);
}

function drawLines() {
  const points = [...run.points.values()].sort((a, b) => a.elapsed - b.elapsed);
  const last = points.at(-1)?.elapsed ?? 0;
  const ahead = Math.min(run.expected ?? WHOLE_RUN_SECONDS, WHOLE_RUN_SECONDS);
  const until = TERMINAL.has(run.status) && last ? last : Math.max(last, ahead);
  const nothing = TERMINAL.has(run.status) ? "Nothing was measured" : "Nothing measured yet";
  for (const chart of Object.values(charts)) chart.show(points, until, nothing);
}

function showState(status, phase) {
  run.status = status;
  const label = phase && !TERMINAL.has(status) ? (PHASES[phase] ?? phase) : "";
  document.body.dataset.status = status;
  say("status", status);
  say("phase", label);
  document.body.dataset.ended = TERMINAL.has(status) ? "yes" : "no";
  document.title = `${status} · ${run.name} · benchgate`;
}

function showProgress(elapsed) {
  run.elapsed = elapsed;
  const bar = element("progress");
  const ended = TERMINAL.has(run.status);
  if (run.expected === null) {
    if (ended) bar.value = 100;
    else bar.removeAttribute("value");
    say("elapsed", clock(elapsed));
    say("percent", "");
    return;
  }
  const percent = Math.min(100, (100 * elapsed) / run.expected);
  bar.value = run.status === "COMPLETED" ? 100 : percent;
  say("elapsed", `${clock(elapsed)} of ${clock(run.expected)}`);
  say("percent", `${Math.round(bar.value)}%`);
}

function showFigures(values) {
  figure("qps", values.qps, "", rate);
  figure("p50", values.p50, "ms", millis);
  figure("p95", values.p95, "ms", millis);
  figure("p99", values.p99, "ms", millis);
  figure("error-rate", values.errorRate, "%");
  figure("total", values.total, "", count);
  figure("connections", values.connections, "", whole);
}

function showSummary(test) {
  const summary = test.summary;
  const completed = test.status === "COMPLETED";
  // Of a search the steps together would be figures of no load at all.
  const result = isSearch(test) ? "Result: the best step" : "Result, warm-up excluded";
  say("figures-title", completed ? result : summary ? "Partial figures, warm-up excluded: no result" : "No figures");
  say("qps-label", "Average QPS");
  showFigures({
    qps: summary?.average_qps,
    p50: summary?.p50_latency_ms,
    p95: summary?.p95_latency_ms,
    p99: summary?.p99_latency_ms,
    errorRate: summary?.error_rate,
    total: summary?.total_queries,
  });
  figure("measured", test.timing.measured_seconds, "s");
  figure("cost", test.estimated_cost, "credits", credits);
}

const isSearch = (test) => test.load_mode === "FIND_MAX_CONCURRENCY" || isKnown(test.current_step);

function notice(title, text) {
  element("notice").hidden = false;
  say("notice-title", title);
  say("notice-text", text);
}

function showRecord(data) {
  const test = data.test;
  run.name = data.name;
  run.mode = test.load_mode;
  run.expected = test.timing.total_expected_seconds ?? null;
  say("name", data.name);
  element("name").classList.toggle("long", data.name.length > NAME_CHARACTERS_LONG);
  say("target", data.target);
  say("run-id", test.run_id);
  say("load", `${test.load_mode}, ${data.load}`);
  const shares = data.workload.map((s) => `${short.format(s.share_pct)}% ${KINDS[s.kind] ?? s.kind}`);
  say("workload", shares.join(", "));
  const { warmup_seconds: warmup, run_seconds: measured } = test.timing;
  say("duration", `${clock(measured)} measured${warmup ? `, ${clock(warmup)} warm-up before` : ""}`);
  say("started", test.started_at ? new Date(test.started_at).toLocaleString() : TERMINAL.has(test.status) ? "never" : "not yet");
  const mark = element("warmup-mark");
  mark.hidden = !(warmup && run.expected);
  if (!mark.hidden) mark.style.left = `${(100 * warmup) / run.expected}%`;
  showState(test.status, test.phase);
  showProgress(test.timing.elapsed_display_seconds);
  if (test.reason && test.status !== "COMPLETED") notice(`The run is ${test.status}`, test.reason);
  showNotes(data.notes);
  if (TERMINAL.has(test.status)) {
    showSummary(test);
    showFindings(data);
  } else if (isSearch(test)) {
    showPosition(test);
  }
}

function showFrame(frame) {
  // A change of state brings more than a frame can tell: when it started, why it failed.
  if (frame.status !== run.status && !TERMINAL.has(frame.status)) readRecord().catch(() => {});
  showState(frame.status, frame.phase);
  showProgress(frame.elapsed_seconds);
  // The last frame repeats the summary, and before the first second there is nothing to draw.
  if (TERMINAL.has(frame.status)) return;
  if (isSearch({ ...frame, load_mode: run.mode })) showPosition(frame);
  showFigures({
    qps: frame.qps,
    p50: frame.latency_p50_ms,
    p95: frame.latency_p95_ms,
    p99: frame.latency_p99_ms,
    errorRate: frame.error_rate,
    total: frame.total_queries,
    connections: frame.active_connections,
  });
  if (frame.elapsed_seconds > 0 && (frame.phase === "WARMUP" || frame.phase === "MEASUREMENT")) {
    addPoint({
      elapsed: frame.elapsed_seconds,
      warmup: frame.phase === "WARMUP",
      qps: frame.qps,
      p50: frame.latency_p50_ms,
      p95: frame.latency_p95_ms,
      p99: frame.latency_p99_ms,
    });
    drawLines();
  }
}

async function read(part) {
  const answer = await fetch(`${BASE}/${part}`, { credentials: "same-origin", cache: "no-store" });
  if (answer.ok) return answer.json();
  const problem = new Error(`${answer.status}`);
  problem.status = answer.status;
  throw problem;
}

async function readRecord() {
  const [data, series] = await Promise.all([read("data"), read("series")]);
  for (const s of series.snapshots) {
    addPoint({
      elapsed: s.elapsed_seconds,
      warmup: s.warmup,
      qps: s.ops_per_sec,
      p50: s.p50_latency,
      p95: s.p95_latency,
      p99: s.p99_latency,
    });
  }
  showRecord(data);
  drawLines();
  return data.test.status;
}

function showLink(kind, text) {
  element("link").dataset.link = kind;
  say("link", text);
}

function retry() {
  const seconds = Math.round(retryMs / 1000);
  showLink("lost", `Connection lost, trying again in ${seconds} s`);
  setTimeout(follow, retryMs);
  retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
}

function listen() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${BASE}/ws`);
  socket.addEventListener("message", (event) => {
    retryMs = RETRY_MS_FIRST;
    showLink("live", "Live");
    showFrame(JSON.parse(event.data));
  });
  // After the end this reads the result; before it, it goes on where the connection was lost.
  socket.addEventListener("close", (event) => {
    if (event.code === 1000) follow();
    else retry();
  });
}

async function follow() {
  try {
    const status = await readRecord();
    if (TERMINAL.has(status)) showLink("ended", "The run has ended");
    else listen();
  } catch (problem) {
    if (problem.status === 401) {
      showLink("lost", "Not connected");
      notice("A fresh link is needed", "Ask the agent for the status of this run: its answer comes with one.");
    } else if (problem.status === 404) {
      showLink("lost", "Not connected");
      notice("There is no such run", "Ask the agent which runs exist.");
    } else {
      retry();
    }
  }
}

document.body.dataset.ended = "no";
follow();
