import {
  defaultPreset,
  type PageSize,
  presets,
  type TechniqueName,
  techniqueNames,
  traceFormats,
} from "nestwalk";
import { byId, el } from "./dom.js";
import { type Guest, guests } from "./gallery.js";
import type { Request } from "./request.js";
import { techniqueText } from "./terms.js";

/** The form on the left: what to replay, and on what machine. */
export const form = byId<HTMLFormElement>("setup");
const file = byId<HTMLInputElement>("file");
const drop = byId("drop");

export interface SetupEvents {
  file(file: File): void;
  guest(guest: Guest): void;
  /** How the file is to be read has changed. */
  reading(): void;
  submit(): void;
}

export function startSetup(events: SetupEvents): void {
  fillChoices();
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    if (chosen) pick(chosen, events);
    file.value = "";
  });
  startDrop((dropped) => pick(dropped, events));
  byId("gallery").addEventListener("change", (event) => {
    const guest = guests.find(({ name }) => name === (event.target as HTMLInputElement).value);
    if (guest) events.guest(guest);
  });
  byId("reading").addEventListener("change", () => events.reading());
  field("cpu").addEventListener("change", followVendor);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    events.submit();
  });
}

function pick(chosen: File, events: SetupEvents): void {
  for (const radio of form.querySelectorAll<HTMLInputElement>('[name="guest"]')) radio.checked = false;
  events.file(chosen);
}

/** Chooses a recorded guest as the user would. */
export function chooseGuest(name: string): void {
  form.querySelector<HTMLInputElement>(`[name="guest"][value="${name}"]`)?.click();
}

function field<T extends HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>(name: string): T {
  return form.elements.namedItem(name) as T;
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

function startDrop(dropped: (file: File) => void): void {
  let depth = 0;
  const over = (by: number) => {
    depth = Math.max(0, depth + by);
    drop.classList.toggle("over", depth > 0);
  };
  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    over(-depth);
    const one = event.dataTransfer?.files[0];
    if (one === undefined) return;
    event.preventDefault();
    dropped(one);
  });
}

/** Whether the guest's page sizes are open: only where its kernel is played. */
export function allowGuestPages(open: boolean): void {
  const select = field<HTMLSelectElement>("guestPages");
  select.disabled = !open;
  if (!open) select.value = "";
}

/** A number of accesses that a field holds, 0 when it is empty. Throws an error with a sentence. */
function count(name: string, what: string): number {
  const text = field(name).value.replace(/[,_\s]/g, "");
  const number = text === "" ? 0 : Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new Error(`${what} is "${text}"; it must be a number of accesses, such as 100000.`);
  return number;
}

/** Suggests an interval: about a hundred in a trace of so many accesses, unless the user has chosen one. */
export function suggestInterval(accesses: number | undefined): void {
  const input = field<HTMLInputElement>("interval");
  if (input.value !== input.defaultValue) return;
  const least = (accesses ?? 10_000_000) / 100;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  input.value = input.defaultValue = String([1, 2, 5, 10].find((n) => n * power >= least)! * power);
}

/** How the form wants a trace of this name read and replayed. Throws an error with a sentence. */
export function readForm(trace: string): Request {
  const value = (name: string) => field(name).value.trim();
  const techniques = [...form.querySelectorAll<HTMLInputElement>('[name="technique"]:checked')].map(
    (box) => box.value as TechniqueName,
  );
  if (techniques.length === 0) throw new Error("Choose at least one technique.");
  const pages = value("guestPages");
  const lines = value("set")
    .split("\n")
    .map((line) => line.trim());
  const addresses = value("addresses") as "" | "virtual" | "physical";
  return {
    trace,
    cpu: value("cpu"),
    techniques,
    hostPage: value("hostPage") as PageSize,
    set: [...(pages === "" ? [] : [`kernel.pages=${pages}`]), ...lines.filter((line) => line !== "")],
    warmup: count("warmup", "The warm-up"),
    interval: value("interval") === "markers" ? "markers" : count("interval", "The interval"),
    ...(value("from") === "" ? {} : { from: value("from") }),
    ...(value("columns") === "" ? {} : { columns: value("columns") }),
    ...(addresses === "" ? {} : { addresses }),
    allowTruncated: field<HTMLInputElement>("truncated").checked,
  };
}
