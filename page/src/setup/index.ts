import { traceFormats } from "virtual:choices";
import { defaultPreset, type PageSize, presets, type TechniqueName, techniqueNames } from "nestwalk";
import { byId, el } from "../dom.js";
import { type Guest, guests } from "../gallery.js";
import { openingOf, type Request } from "../request.js";
import { techniqueText } from "../terms.js";
import { startCompute } from "./compute.js";
import { startDrop } from "./drop.js";
import { countOf, field, fileOf, form, linesOf, textOf } from "./fields.js";
import { startVary, type Varies, variedKeys, varyTrace } from "./vary.js";

export { form } from "./fields.js";

export interface SetupEvents {
  file(file: File): void;
  guest(guest: Guest): void;
  computed(name: string): void;
  /** How the file is to be read has changed. */
  reading(): void;
  submit(): void;
  /** What was dropped is not taken. */
  refused(sentence: string): void;
}

export function startSetup(events: SetupEvents): void {
  fillChoices();
  const file = byId<HTMLInputElement>("file");
  const pick = (chosen: File) => {
    forgetGuest();
    events.file(chosen);
  };
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    if (chosen) pick(chosen);
    file.value = "";
  });
  startDrop(pick, events.refused);
  startCompute((name) => {
    forgetGuest();
    events.computed(name);
  });
  startVary();
  byId("gallery").addEventListener("change", (event) => {
    const guest = guests.find(({ name }) => name === (event.target as HTMLInputElement).value);
    if (guest) events.guest(guest);
  });
  startMaps();
  byId("reading").addEventListener("change", () => events.reading());
  field("cpu").addEventListener("change", followVendor);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    events.submit();
  });
}

function forgetGuest(): void {
  for (const radio of form.querySelectorAll<HTMLInputElement>('[name="guest"]')) radio.checked = false;
}

/** Chooses a recorded guest as the user would. */
export function chooseGuest(name: string): void {
  form.querySelector<HTMLInputElement>(`[name="guest"][value="${name}"]`)?.click();
}

/** Files beside the trace, each with a button that takes it away again. */
function startMaps(): void {
  for (const button of form.querySelectorAll<HTMLButtonElement>("[data-clears]")) {
    const input = field<HTMLInputElement>(button.dataset.clears!);
    input.addEventListener("change", () => {
      button.hidden = input.files?.length === 0;
    });
    button.addEventListener("click", () => {
      input.value = "";
      input.dispatchEvent(new Event("change", { bubbles: true }));
      input.focus();
    });
  }
}

function fillChoices(): void {
  byId("gallery").append(
    ...guests.map(({ name, what }) =>
      el(
        "label",
        { class: "guest" },
        el("input", { type: "radio", name: "guest", value: name }),
        el("span", {}, el("strong", {}, name), el("small", {}, what)),
      ),
    ),
  );
  const cpu = field<HTMLSelectElement>("cpu");
  for (const [vendor, label] of [["intel", "Intel"] as const, ["amd", "AMD"] as const]) {
    const of = presets.filter((preset) => preset.values.vendor.value === vendor);
    const options = of.map(({ name, title }) =>
      el("option", { value: name, selected: name === defaultPreset.name }, title),
    );
    cpu.append(el("optgroup", { label }, ...options));
  }
  byId("techniques").append(
    ...techniqueNames.map((name) =>
      el(
        "label",
        { class: `technique ${name}` },
        el("input", { type: "checkbox", name: "technique", value: name, checked: name !== "npt" }),
        el(
          "span",
          {},
          el("strong", {}, techniqueText[name].label),
          el("small", {}, techniqueText[name].brief),
        ),
      ),
    ),
  );
  const from = field<HTMLSelectElement>("from");
  from.append(...traceFormats.map(({ format, title }) => el("option", { value: format }, title)));
}

/** Nested paging goes by the CPU's vendor, as long as one of the two is chosen. */
function followVendor(): void {
  const preset = presets.find(({ name }) => name === field("cpu").value)!;
  const [its, other] = preset.values.vendor.value === "amd" ? ["npt", "ept"] : ["ept", "npt"];
  const box = (name: string) => form.querySelector<HTMLInputElement>(`[name="technique"][value="${name}"]`)!;
  if (box(its!).checked === box(other!).checked) return;
  box(its!).checked = true;
  box(other!).checked = false;
}

/** Keeps to the trace that is chosen: the guest's page sizes are open only where its kernel is played. */
export function followTrace(trace: Varies): void {
  varyTrace(trace);
  if (!trace.played) field<HTMLSelectElement>("guestPages").value = "";
}

/** Suggests an interval: about a hundred in a trace of so many accesses, unless the user has chosen one. */
export function suggestInterval(accesses: number | undefined): void {
  const input = field<HTMLInputElement>("interval");
  if (input.value !== input.defaultValue) return;
  const least = (accesses ?? 10_000_000) / 100;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  input.value = input.defaultValue = String([1, 2, 5, 10].find((n) => n * power >= least)! * power);
}

/** How the form wants a trace of this name read. */
export function readOpening() {
  return openingOf({
    from: textOf("from"),
    columns: textOf("columns"),
    addresses: textOf("addresses") as "" | "virtual" | "physical",
    allowTruncated: field<HTMLInputElement>("truncated").checked,
    pageSizes: fileOf("pageSizes"),
    v2p: fileOf("v2p"),
  });
}

/** What the form asks for, for a trace of this name. Throws an error with a sentence. */
export function readForm(trace: string): Request {
  const techniques = [...form.querySelectorAll<HTMLInputElement>('[name="technique"]:checked')].map(
    (box) => box.value as TechniqueName,
  );
  if (techniques.length === 0) throw new Error("Choose at least one technique.");
  const varied = variedKeys();
  const pages = textOf("guestPages");
  const hostPage = form.querySelector<HTMLInputElement>('[name="hostPage"]:checked')!.value as PageSize;
  const own = pages === "" || varied.includes("kernel.pages") ? [] : [`kernel.pages=${pages}`];
  const lines = linesOf("set");
  refuseTwice(lines, "kernel.pages", own.length > 0, "Guest pages");
  refuseTwice(lines, "host.page", hostPage !== "4k", "Host pages");
  const vary = linesOf("vary");
  const set = [...own, ...lines];
  const { open, reading } = readOpening();
  const intervals =
    textOf("interval") === "markers" ? ("markers" as const) : countOf("interval", "The interval", 1);
  const warmup = countOf("warmup", "The warm-up", 0);
  return {
    trace,
    open,
    replay: {
      command: "compare",
      techniques,
      ...(varied.includes("cpu") ? {} : { cpu: textOf("cpu") }),
      ...(set.length === 0 ? {} : { set }),
      ...(hostPage === "4k" || varied.includes("host.page") ? {} : { hostPage }),
      ...(warmup === undefined ? {} : { warmup }),
      ...(intervals === undefined ? {} : { intervals }),
      ...(vary.length === 0 ? {} : { vary }),
      reading,
    },
  };
}

/** A key with a field of its own is given once. */
function refuseTwice(lines: readonly string[], key: string, chosen: boolean, label: string): void {
  const line = lines.find((text) => text.split("=")[0]!.trim() === key);
  if (chosen && line !== undefined)
    throw new Error(`“${label}” and “${line}” both choose ${key}; leave one out.`);
}
