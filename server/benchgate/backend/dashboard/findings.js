// What was found of a run beyond its summary: the notes, the steps of a search, how a schedule was
// kept, every kind of operation, the objectives, and whether the generator or a session is left out.

import { connections, define, element, fill, isKnown, itemize, millis, ms, percent, rate, say, short, shown, whole } from "/assets/figures.js";

export const KINDS = {
  POINT_LOOKUP: "point lookups",
  RANGE_SCAN: "range scans",
  INSERT: "inserts",
  UPDATE: "updates",
  GENERIC_SQL: "statements of its own",
};
const PURPOSES = { RAMP: "way up", BACKOFF: "step back", BISECTION: "between" };
const PERCENTILES = [
  ["p50", "p50_ms"],
  ["p95", "p95_ms"],
  ["p99", "p99_ms"],
  ["p99.9", "p999_ms"],
  ["p99.99", "p9999_ms"],
  ["max", "max_ms"],
];
const MEASURED = {
  p95_latency_ms: "p95",
  p99_latency_ms: "p99",
  error_rate_pct: "error rate",
};
const STEP_HEADS = ["Step", "Why", "Connections", "QPS", "p95", "p99", "Errors", "Stable"];
const STEPS_SEEN_MAX = 200;

const nameOf = (kind) => KINDS[kind] ?? kind;
const heads = (names) => [names.map((text) => ({ text }))];
const held = (holds) => (holds ? { text: "holds", kind: "good" } : { text: "missed", kind: "bad" });
const stable = (holds) => (holds ? { text: "yes", kind: "good" } : { text: "no", kind: "bad" });
const within = (value, error, format) => `${format(value)} ± ${shown(error, short)}`;

export function showNotes(notes) {
  element("notes").hidden = !notes.length;
  itemize(element("notes-list"), notes);
}

// A live search, as far as its frames tell: they name no figures of a step but those of its seconds.
const seen = new Map();

function see(position) {
  const { current_step: number, current_concurrency: level, best_concurrency: best } = position;
  for (const step of seen.values()) {
    // What has been judged stays so, even if a later step shows that the level does not hold.
    if (step.number < number && !isKnown(step.isStable)) step.isStable = best >= step.level;
  }
  if (!seen.has(number) && seen.size < STEPS_SEEN_MAX) {
    seen.set(number, { number, level, seconds: 0, queries: 0 });
  }
  const step = seen.get(number);
  if (!step || !isKnown(position.qps)) return;
  step.seconds += 1;
  step.queries += position.qps;
}

function seenRow({ number, level, seconds, queries, isStable }) {
  const verdict = isKnown(isStable) ? stable(isStable) : "under way";
  const qps = seconds ? `~${rate.format(queries / seconds)}` : "–";
  return { cells: [whole.format(number), "–", shown(level), qps, "–", "–", "–", verdict] };
}

export function showPosition(position) {
  const { current_step: number, total_steps: most, best_concurrency: best } = position;
  element("search").hidden = false;
  if (!isKnown(number)) return say("search-now", "It has not begun yet.");
  see(position);
  const at = isKnown(position.current_concurrency) ? `: ${connections(position.current_concurrency)}` : "";
  const found = isKnown(best)
    ? `Best so far: ${connections(best)} at ${shown(position.best_qps, rate)} QPS.`
    : "Nothing is known to be stable yet.";
  say("search-now", `Step ${number}${isKnown(most) ? ` of at most ${most}` : ""}${at}. ${found}`);
  say("steps-meaning", "After ~ stands the mean of the seconds that this page has seen of a step; its figures come at the end.");
  fill(element("steps"), heads(STEP_HEADS), [...seen.values()].map(seenRow));
}

function stepRow(step, best) {
  const { figures } = step;
  const isBest = step.is_stable && figures.concurrency === best;
  return {
    kind: isBest ? "best" : "",
    cells: [
      whole.format(step.number),
      PURPOSES[step.purpose] ?? step.purpose,
      whole.format(figures.concurrency),
      within(figures.qps.value, figures.qps.std_error, (n) => shown(n, rate)),
      ms(figures.p95_latency_ms.value),
      ms(figures.p99_latency_ms.value),
      percent(figures.error_rate),
      stable(step.is_stable),
    ],
    below: step.reasons.join("; "),
  };
}

function showSearch(search, leftOut) {
  element("search").hidden = false;
  if (!search) return say("search-now", "The run ended before its search did.");
  const { best_concurrency: best, best_qps: qps, reason } = search.outcome;
  const found = isKnown(best)
    ? `${connections(best)} at ${shown(qps, rate)} QPS: the most that was stable.`
    : "No step was stable.";
  say("search-now", found);
  say("search-reason", `Why it ended: ${reason}`);
  say("steps-meaning", "After ± stands the standard error of the mean over the seconds of a step.");
  fill(element("steps"), heads(STEP_HEADS), search.steps.map((step) => stepRow(step, best)));
  element("steps-left-out").hidden = !leftOut;
  say("steps-left-out", `${whole.format(leftOut)} earlier steps are not shown.`);
}

function showSchedule(schedule, verdict, kinds) {
  element("schedule").hidden = !(schedule || verdict);
  if (!schedule && !verdict) return;
  const delivered = verdict ? `${rate.format(verdict.qps)} QPS, ${verdict.holds ? "met" : "not met"}` : "–";
  define(element("schedule-facts"), [
    ["Target", verdict ? `${rate.format(verdict.target_qps)} QPS` : "–"],
    ["Delivered", delivered, verdict ? (verdict.holds ? "good" : "bad") : ""],
    ["Scheduled", shown(schedule?.scheduled)],
    ["Sent", shown(schedule?.sent)],
    ["Sent late", shown(schedule?.late)],
    ["Never sent", shown(schedule?.missed), schedule?.missed ? "bad" : ""],
    ["Lag p50", ms(schedule?.lag_p50_ms)],
    ["Lag p99", ms(schedule?.lag_p99_ms)],
    ["Lag max", ms(schedule?.lag_max_ms)],
  ]);
  const paired = kinds.filter((one) => one.response);
  element("paired-scroll").hidden = !paired.length;
  const names = paired.map((one) => ({ text: nameOf(one.kind), span: 2 }));
  const columns = paired.flatMap(() => [{ text: "service" }, { text: "response" }]);
  const rows = [...PERCENTILES, ["mean", "mean_ms"]].map(([name, key]) => ({
    cells: [name, ...paired.flatMap((one) => [ms(one.service[key]), ms(one.response[key])])],
  }));
  fill(element("paired"), [[{ text: "" }, ...names], [{ text: "Time" }, ...columns]], rows);
}

function showKinds(kinds) {
  element("kinds").hidden = !kinds.length;
  const isOpen = kinds.some((one) => one.response);
  say(
    "kinds-meaning",
    isOpen
      ? "Times are response times in milliseconds: from when an operation was due to its answer."
      : "Times are service times in milliseconds: from when an operation was sent to its answer.",
  );
  const names = ["Operation", "Answered", "QPS", ...PERCENTILES.map(([name]) => name), "mean ± (n)", "Rows read", "Rows written", "Errors"];
  const rows = kinds.map((one) => {
    const times = one.response ?? one.service;
    return {
      cells: [
        nameOf(one.kind),
        whole.format(one.total_queries),
        rate.format(one.qps),
        ...PERCENTILES.map(([, key]) => shown(times[key], millis)),
        `${within(times.mean_ms, times.std_error_ms, (n) => shown(n, millis))} (${whole.format(times.n)})`,
        whole.format(one.rows_read),
        whole.format(one.rows_written),
        { text: whole.format(one.errors), kind: one.errors ? "bad" : "" },
      ],
    };
  });
  fill(element("kinds-table"), heads(names), rows);
}

function showObjectives(verdicts) {
  element("objectives").hidden = !verdicts.length;
  const rows = verdicts.map((verdict) => {
    const isRate = verdict.metric === "error_rate_pct";
    const written = isRate ? percent : ms;
    const of = isRate ? "" : verdict.is_response ? " response time" : " service time";
    return {
      cells: [
        nameOf(verdict.kind),
        `${MEASURED[verdict.metric] ?? verdict.metric}${of}`,
        `at most ${written(verdict.limit)}`,
        isKnown(verdict.value) ? written(verdict.value) : "no data",
        held(verdict.holds),
      ],
      below: verdict.unanswered_seconds ? `nothing was answered for ${whole.format(verdict.unanswered_seconds)} s` : "",
    };
  });
  fill(element("objectives-table"), heads(["Operation", "Objective", "Limit", "Measured", "Verdict"]), rows);
}

function showGenerator(health, told) {
  element("generator").hidden = !told;
  if (!told) return;
  say("generator-told", told.sentence);
  element("generator-told").className = told.is_limit ? "lead bad" : "lead";
  const lost = health.workers_lost ? `, ${whole.format(health.workers_lost)} lost` : "";
  const pairs = [
    ["Workers", `${whole.format(health.workers)} on ${shown(health.cores)} cores${lost}`],
    ["Busiest worker", isKnown(health.busiest_worker_cpu_pct) ? `${percent(health.busiest_worker_cpu_pct)} of a core` : "–"],
    ["All workers", isKnown(health.workers_cpu_pct) ? `${percent(health.workers_cpu_pct)} of a core` : "–"],
    ["Whole machine", isKnown(health.machine_cpu_pct) ? `${percent(health.machine_cpu_pct)} busy` : "–"],
    ["Longest loop lag", ms(health.loop_lag_max_ms)],
  ];
  if (isKnown(health.oversleep_p99_ms)) pairs.push(["Own delay p99", ms(health.oversleep_p99_ms)]);
  if (isKnown(health.real_time_pct)) pairs.push(["Real-time priority", `${percent(health.real_time_pct)} of the time`]);
  define(element("generator-facts"), pairs);
}

function showSessions(proof) {
  element("sessions").hidden = !proof;
  if (!proof) return;
  const sessions = (n) => `${whole.format(n)} session${n === 1 ? "" : "s"} of the run`;
  const ended = proof.found ? `${sessions(proof.found)} outlived the workers and had to be ended. ` : "";
  const left = proof.left ? `${sessions(proof.left)} still in the database.` : "No session of the run was left in the database.";
  say("sessions", `${ended}${left}`);
  element("sessions").className = proof.left ? "bad" : "";
}

// data: what the page has read of a run that has ended.
export function showFindings(data) {
  const { findings, load_mode: mode } = data.test;
  if (mode === "FIND_MAX_CONCURRENCY" || findings?.search) showSearch(findings?.search, data.steps_left_out);
  if (!findings) return;
  showSchedule(findings.schedule, findings.rate, findings.kinds);
  showKinds(findings.kinds);
  showObjectives(findings.verdicts);
  showGenerator(findings.generator, data.generator);
  showSessions(findings.sessions);
  element("after").hidden = !(data.generator || findings.sessions);
}
