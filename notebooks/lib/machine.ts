import { allKeys, type ConfigRequest, type TechniqueName, techniqueKeys } from "nestwalk";

/** A machine of a technique, with the paging-structure caches of the CPU or without any. */
export function machineOf(technique: TechniqueName, caches: boolean): ConfigRequest {
  const set = Object.entries(techniqueKeys(technique)).map(([key, value]) => `${key}=${value}`);
  const places = allKeys()
    .map(({ path }) => path)
    .filter((path) => /^psc\.\w+\.place$/.test(path));
  return { set: caches ? set : [...set, ...places.map((path) => `${path}=none`)] };
}
