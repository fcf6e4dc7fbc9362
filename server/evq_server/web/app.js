// The page: choose an event, upload a file, watch its import, see what became of it.

import { readCsv } from "./csv.js";
import { watch } from "./live.js";
import { ServerError, download, getHead, getJson, key, request, upload } from "./server.js";
import { duration, language, number, size, text, toggleLanguage, translate } from "./texts.js";

const ERRORS_SHOWN = 10;
const ERRORS_READ = 64 * 1024; // bytes of a file that may be large
const PEOPLE_SHOWN = 10;
const FIGURES = ["insertedCount", "updatedCount", "skippedCount", "errorCount", "tokens", "emailsSent"];

const $ = (id) => document.getElementById(id);
const state = { event: null, file: null, job: null, frame: null, cancelling: null, unwatch: () => {}, people: null };

// The address bar remembers event and job, so that a reload finds them again; the key leaves it at once.

function readAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.has("key")) key.set(hash.get("key"));
  return { event: hash.get("event"), job: hash.get("job") };
}

// A link with a key, pasted into a page that is open already, opens it anew.
addEventListener("hashchange", () => {
  if (new URLSearchParams(location.hash.slice(1)).has("key")) location.reload();
});

function writeAddress() {
  const hash = new URLSearchParams();
  if (state.event) hash.set("event", state.event.id);
  if (state.job) hash.set("job", state.job);
  history.replaceState(null, "", `${location.pathname}${hash.size ? `#${hash}` : ""}`);
}

function notice(message) {
  $("notice").textContent = message ?? "";
  $("notice").hidden = !message;
}

// Whatever goes wrong in an action is said at the top of the page.
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    if (error.status === 401) askKey(text("keyWrong"));
    else notice(error.message);
  }
}

// An event listener for an action of the user's.
function doing(action) {
  return (event) => {
    event.preventDefault();
    notice();
    attempt(action);
  };
}

// Key

function askKey(message) {
  key.forget();
  state.unwatch();
  for (const card of document.querySelectorAll("main > section")) card.hidden = true;
  $("forget-key").hidden = true;
  $("key-form").hidden = false;
  notice(message);
  $("key").focus();
}

async function enter() {
  const { event, job } = state.event ? { event: state.event.id, job: state.job } : readAddress();
  writeAddress();
  if (!key.get()) return askKey();
  await tryKey();
  $("key-form").hidden = true;
  $("forget-key").hidden = false;
  $("event-card").hidden = false;
  if (job) await openJob(job);
  else if (event) await openEvent(event);
}

// Any closed route tells whether the key is right.
async function tryKey() {
  try {
    await getJson("/api/events/-");
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

// Event

async function openEvent(id) {
  $("event-id").value = id;
  try {
    showEvent(await getJson(`/api/events/${encodeURIComponent(id)}`));
  } catch (error) {
    if (error.status !== 404) throw error;
    $("event-create").hidden = false;
    $("event-language").value = language;
    $("event-name").focus();
  }
}

async function createEvent() {
  const body = { name: $("event-name").value, language: $("event-language").value };
  const id = encodeURIComponent($("event-id").value);
  showEvent(await (await request(`/api/events/${id}`, { method: "PUT", body })).json());
}

function showEvent(event) {
  state.event = event;
  $("event-form").hidden = $("event-create").hidden = true;
  $("event-now").hidden = false;
  $("event-now-name").textContent = event.name;
  $("event-now-id").textContent = event.id;
  if (!state.job) showUpload();
  showPeople();
  writeAddress();
}

function changeEvent() {
  leaveJob();
  state.event = null;
  $("event-form").hidden = false;
  $("event-now").hidden = $("upload-card").hidden = $("people-card").hidden = true;
  writeAddress();
  $("event-id").focus();
}

// Upload

function showUpload() {
  leaveJob();
  $("upload-card").hidden = false;
  chooseFile(null);
  writeAddress();
}

function chooseFile(file) {
  state.file = file ?? null;
  $("drop").classList.toggle("chosen", Boolean(file));
  $("file-name").textContent = file ? file.name : text("drop");
  $("file-size").textContent = file ? size(file.size) : text("browse");
  $("send").disabled = !file;
  if (!file) $("file").value = "";
}

async function startImport() {
  const query = new URLSearchParams({
    filename: state.file.name,
    duplicates: $("duplicates").value,
    mode: $("mode").value,
    region: $("region").value,
    ticketTypes: $("ticket-types").value,
    sendWelcomeEmail: $("welcome").checked,
    dryRun: $("dry-run").checked,
  });
  if ($("uploaded-by").value) query.set("uploadedBy", $("uploaded-by").value);
  $("send").disabled = true;
  $("upload-card").hidden = true;
  showJobCard();
  const path = `/api/events/${encodeURIComponent(state.event.id)}/imports?${query}`;
  try {
    const { jobId } = await upload(path, state.file, (part) => {
      $("bar").value = part * 100;
      $("percent").textContent = `${Math.floor(part * 100)} %`;
    });
    watchJob(jobId);
  } catch (error) {
    $("job-card").hidden = true;
    $("upload-card").hidden = false;
    $("send").disabled = false;
    throw error;
  }
}

// Job

async function openJob(id) {
  let job;
  try {
    job = await getJson(`/api/jobs/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    return notice(text("jobGone"));
  }
  state.job = id;
  await openEvent(job.eventId);
  watchJob(id);
}

function showJobCard() {
  $("job-card").hidden = false;
  $("result-card").hidden = true;
  $("job-status").className = "badge";
  $("job-status").textContent = text("uploading");
  $("percent").textContent = "0 %";
  $("bar").value = 0;
  $("detail").textContent = "";
  $("job-actions").hidden = true;
  for (const step of $("steps").children) step.className = "";
  for (const step of $("steps").children) step.removeAttribute("aria-current");
}

function watchJob(id) {
  state.unwatch();
  state.job = id;
  state.frame = state.cancelling = null;
  $("upload-card").hidden = true;
  showJobCard();
  $("job-status").textContent = text("pending");
  writeAddress();
  state.unwatch = watch(`/api/jobs/${encodeURIComponent(id)}/progress`, {
    onFrame: (frame) => attempt(() => showFrame(frame)),
    onLost: async () => {
      $("detail").textContent = text("reconnecting");
      $("job-actions").hidden = false;
      await tryKey().catch((error) => error.status === 401 && askKey(text("keyWrong"))); // refused looks like broken
    },
    onUnknown: () => notice(text("jobGone")),
  });
}

function leaveJob() {
  state.unwatch();
  state.job = state.frame = null;
  $("job-card").hidden = $("result-card").hidden = true;
}

function showFrame(frame) {
  state.frame = frame;
  const live = frame.event === "progress";
  const shown = hasNobody(frame.data.result) ? "failed" : frame.status;
  $("job-status").textContent = text(shown);
  $("job-status").className = `badge ${shown}`;
  $("job-actions").hidden = !live;
  $("cancel").disabled = state.cancelling === frame.job;
  showProgress(live ? frame.data : frame.data.progress, frame.status);
  if (!live) return showResult(frame);
}

function showProgress(progress, status) {
  const percentage = status === "completed" ? 100 : (progress?.percentage ?? 0);
  const steps = [...$("steps").children];
  const done = status === "completed" ? steps.length : (progress?.completedSteps ?? 0);
  $("bar").value = percentage;
  $("percent").textContent = `${Math.floor(percentage)} %`;
  steps.forEach((step, index) => {
    step.className = index < done ? "done" : "";
    if (index === done && status === "processing") step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
  const left = status === "processing" ? progress.estimatedTimeRemaining : null;
  if (state.cancelling === state.job) $("detail").textContent = status === "processing" ? text("cancelling") : "";
  else $("detail").textContent = left === null ? "" : text("remaining", { time: duration(left) });
}

async function cancelJob() {
  $("cancel").disabled = true;
  state.cancelling = state.job;
  try {
    $("detail").textContent = text("cancelling");
    await request(`/api/jobs/${encodeURIComponent(state.job)}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 409) throw error;
  }
}

async function replayJob() {
  const id = state.job;
  await request(`/api/jobs/${encodeURIComponent(id)}/replay`, { method: "POST" });
  watchJob(id);
}

// Result

async function showResult(frame) {
  const { result, error } = frame.data;
  $("result-card").hidden = false;
  $("result-message").textContent = resultMessage(frame.status, result, error);
  $("figures").replaceChildren(...figures(result));
  $("reading").textContent = result ? reading(result) : "";
  $("replay").hidden = frame.status !== "failed" || error.type === "ValidationError"; // the same file would fail again
  $("get-qr").hidden = !result?.tokens;
  $("get-warnings").hidden = !warnings(result);
  $("get-errors").hidden = $("errors").hidden = true;
  $("result-card").focus({ preventScroll: true });
  await Promise.all([showErrors(frame.job), showPeople()]);
}

function resultMessage(status, result, error) {
  if (status === "failed") return error.message;
  if (status === "cancelled") return text("saidCancelled");
  if (hasNobody(result)) return text("saidNobody", { n: number(result.errorCount) });
  const said = [text(result.dryRun ? "saidDryRun" : "saidCompleted")];
  if (warnings(result)) said.push(text("saidWarnings", { n: number(warnings(result)) }));
  if (result.nameless) said.push(text("saidNameless"));
  return said.join(" ");
}

// How the file was read: its sheet or encoding, and what each column became.
function reading({ sheet, encoding, columns, hiddenSheets, otherSheets }) {
  const meanings = columns.map(({ header, field, score }) => {
    if (field === null) return text("leftOut", { header });
    return header === field ? header : `${header} → ${field}${score && score < 100 ? ` (${score} %)` : ""}`;
  });
  const said = [text("readAs", { how: [sheet ?? encoding.toUpperCase(), ...meanings].join(" · ") })];
  if (hiddenSheets.length) said.push(text("notRead", { sheets: hiddenSheets.join(", ") }));
  if (otherSheets.length) said.push(text("othersNotRead", { sheets: otherSheets.join(", ") }));
  return said.join(" ");
}

// Whether every row has errors; whoever is skipped is in the event already.
function hasNobody(result) {
  return result?.errorCount > 0 && !result.processedCount && !result.skippedCount;
}

function warnings(result) {
  return Object.values(result?.warnings ?? {}).reduce((sum, rows) => sum + rows, 0);
}

function figures(result) {
  if (!result) return [];
  return FIGURES.map((name) => {
    const box = document.createElement("div");
    box.classList.toggle("bad", name === "errorCount" && result[name] > 0);
    box.append(
      Object.assign(document.createElement("dt"), { textContent: text(name) }),
      Object.assign(document.createElement("dd"), { textContent: number(result[name]) }),
    );
    return box;
  });
}

async function showErrors(job) {
  let records;
  try {
    records = readCsv(await getHead(`/api/jobs/${encodeURIComponent(job)}/errors.csv`, ERRORS_READ), ERRORS_SHOWN + 1);
  } catch (error) {
    if (error.status === 404) return;
    throw error;
  }
  $("get-errors").hidden = false;
  const [header, ...rows] = records; // row number, reason, then the cells as uploaded
  if (!rows.length) return;
  $("errors").hidden = false;
  $("errors-title").textContent = text("firstErrors", { n: number(rows.length) });
  const [head, body] = $("errors").querySelectorAll("thead, tbody");
  head.replaceChildren(tableRow([text("row"), text("reason"), ...header.slice(2)], "th"));
  const width = Math.max(...records.map((cells) => cells.length)); // a row of an upload may be shorter than its header
  body.replaceChildren(...rows.map((cells) => tableRow([...cells, ...Array(width - cells.length).fill("")], "td")));
  for (const row of body.rows) row.cells[1].className = "why";
}

function tableRow(cells, kind) {
  const row = document.createElement("tr");
  for (const cell of cells) {
    const element = document.createElement(kind);
    if (kind === "th") element.scope = "col";
    element.append(cell);
    row.append(element);
  }
  return row;
}

// Participants

async function showPeople(after = 0) {
  const page = await getJson(`/api/events/${encodeURIComponent(state.event.id)}/participants?limit=${PEOPLE_SHOWN}&after=${after}`);
  const body = $("people").querySelector("tbody");
  if (!after) body.replaceChildren();
  body.append(...page.items.map(personRow));
  state.people = page.next;
  $("people-card").hidden = false;
  $("people").hidden = !body.rows.length;
  $("people-none").hidden = Boolean(body.rows.length);
  $("people-more").hidden = page.next === null;
}

function personRow(person) {
  const link = person.ticket
    ? Object.assign(document.createElement("a"), { href: person.ticket, target: "_blank", rel: "noopener noreferrer", textContent: text("show") })
    : "";
  return tableRow([person.name, person.email, person.phone ?? "", link], "td");
}

// What the user does

$("language").addEventListener("click", () => {
  toggleLanguage();
  showLanguage();
  if (state.event) attempt(showPeople);
});
$("forget-key").addEventListener("click", () => askKey());
$("key-form").addEventListener("submit", doing(async () => {
  key.set($("key").value.trim());
  $("key").value = "";
  await enter();
}));
$("event-form").addEventListener("submit", doing(() => openEvent($("event-id").value)));
$("event-id").addEventListener("input", () => { $("event-create").hidden = true; });
$("event-create").addEventListener("submit", doing(createEvent));
$("event-change").addEventListener("click", changeEvent);
$("file").addEventListener("change", () => chooseFile($("file").files[0]));
for (const [kind, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", over);
    if (kind === "drop" && event.dataTransfer.files.length) chooseFile(event.dataTransfer.files[0]);
  });
}
$("upload-form").addEventListener("submit", doing(startImport));
$("cancel").addEventListener("click", doing(cancelJob));
$("replay").addEventListener("click", doing(replayJob));
$("another").addEventListener("click", showUpload);
$("get-errors").addEventListener("click", doing(() => download(`/api/jobs/${state.job}/errors.csv`, "errors.csv")));
$("get-warnings").addEventListener("click", doing(() => download(`/api/jobs/${state.job}/warnings.csv`, "warnings.csv")));
$("get-qr").addEventListener("click", doing(() => download(`/api/jobs/${state.job}/qr.zip`, "qr.zip")));
$("people-more").addEventListener("click", doing(() => showPeople(state.people)));

function showLanguage() {
  translate();
  $("language").textContent = language === "ko" ? "English" : "한국어";
  $("language").lang = language === "ko" ? "en" : "ko";
  chooseFile(state.file);
  if (state.frame) attempt(() => showFrame(state.frame));
}

showLanguage();
attempt(enter);
