import { byId } from "../dom.js";
import type { NamedFile } from "../engine/messages.js";

/** The form on the left: what to replay, and on what machine. */
export const form = byId<HTMLFormElement>("setup");

export function field<T extends HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>(name: string): T {
  return form.elements.namedItem(name) as T;
}

/** What a field holds, without spaces around it. */
export function textOf(name: string): string {
  return field(name).value.trim();
}

/** The lines of a field that hold something. */
export function linesOf(name: string): string[] {
  return field(name)
    .value.split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** The file that a field holds. */
export function fileOf(name: string): NamedFile | undefined {
  const file = field<HTMLInputElement>(name).files?.[0];
  return file && { name: file.name, bytes: file };
}

/** A number of accesses that a field holds, undefined when it is empty. Throws an error with a sentence. */
export function countOf(name: string, what: string, least: number): number | undefined {
  const text = field(name).value.replace(/[,_\s]/g, "");
  if (text === "") return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < least)
    throw new Error(`${what} is "${text}"; it must be a number of accesses from ${least}, such as 100000.`);
  return number;
}
