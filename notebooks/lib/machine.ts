import { allKeys, type TechniqueName } from "nestwalk";
import type { Request } from "./replay.js";

/** Asks for a technique, with the paging-structure caches of the CPU or without any. */
export function machineOf(technique: TechniqueName, caches: boolean): Request {
  const places = allKeys()
    .map(({ path }) => path)
    .filter((path) => /^psc\.\w+\.place$/.test(path));
  return { techniques: [technique], set: caches ? [] : places.map((path) => `${path}=none`) };
}
