import { ConfigError } from "./error.js";
import type { CacheLevel, Geometry, MachineConfig, TlbArray } from "./types.js";

/** What no range of a single key can say: how numbers must fit together. Throws ConfigError for the first misfit. */
export function checkGeometry(config: MachineConfig): void {
  const { tlb, psc, caches, host } = config;
  for (const level of ["l1d", "l1i", "l1s", "l2", "l2i"] as const) checkTlb(`tlb.${level}`, tlb[level]);
  for (const level of ["l1d", "l1i", "l1s"] as const) {
    /* An empty list is a machine without that TLB. */
    if (tlb[level].length > 0 && !tlb[level].some(({ pages }) => pages.includes("4k")))
      fail(
        `tlb.${level}`,
        "holds no 4k pages; give it an array for them, or make the list empty for a machine without this TLB",
      );
  }
  if (tlb.l2i.length > 0 && tlb.l2.length === 0)
    fail(
      "tlb.l2i",
      "has arrays while tlb.l2 has none; give tlb.l2 one, or move these to it as a shared second level",
    );
  for (const key of Object.keys(psc) as (keyof typeof psc)[]) {
    const cache = psc[key];
    if (typeof cache === "boolean" || Array.isArray(cache)) continue;
    const path = `psc.${key}`;
    if ("holds" in cache) {
      if (cache.holds !== "none") checkArray(path, cache);
      continue;
    }
    if (cache.place === "own") checkArray(path, cache);
    if (cache.place === "l2" && tlb.l2.length === 0)
      fail(`${path}.place`, "is l2, but tlb.l2 is empty; use own or none, or give tlb.l2 an array");
    if (cache.place === "pde" || cache.place === "pdpte") checkShared(psc, key as SharedKey, cache.place);
  }
  for (const level of ["l1", "l2", "l3", "l1i"] as const) checkCache(`caches.${level}`, caches[level]);
  if (caches.data && !caches.enabled)
    fail("caches.data", "is true while caches.enabled is false; enable the caches too");
  if (config.technique === "nested" && config.format === "ept" && host.levels === 3)
    fail("host.levels", "is 3; EPT has 4 or 5 levels, only NPT of a PAE host has 3");
  if (host.levels === 3 && host.page === "1g")
    fail("host.page", "is 1g; tables of 3 levels (host.levels) have no 1 GiB pages, use 4k or 2m");
  if (config.ept.pml && !config.ept.accessedDirty)
    fail(
      "ept.pml",
      "is true while ept.accessedDirty is false; page-modification logging needs dirty flags (SDM 3C 29.3.6)",
    );
  if (!powerOfTwo(config.shadow.prefetch))
    fail("shadow.prefetch", `is ${config.shadow.prefetch}; it must be a power of two from 1 to 512`);
}

type SharedKey = Exclude<keyof MachineConfig["psc"], "nestedData" | "leaves" | "physical">;

/** A level's cache that lies in the array of a lower level of its stage. */
function checkShared(psc: MachineConfig["psc"], key: SharedKey, place: "pde" | "pdpte"): void {
  const stage = key.startsWith("host") ? (["hostPde", "hostPdpte"] as const) : (["pde", "pdpte"] as const);
  const [first, second] = stage;
  const path = `psc.${key}.place`;
  const within = place === "pde" ? first : second;
  if (key === "nested" || key === first || key === within)
    fail(path, `is ${place}; for this key it must be none, own${key === second ? ", pde" : ""} or l2`);
  if (psc[within].place === "none")
    fail(
      path,
      `is ${place}, but psc.${within}.place is none; use own or none, or give psc.${within} an array`,
    );
}

function fail(path: string, what: string): never {
  throw new ConfigError(`${path} ${what}`, path);
}

function powerOfTwo(n: number): boolean {
  return Number.isInteger(n) && n > 0 && 2 ** Math.round(Math.log2(n)) === n;
}

function checkTlb(path: string, arrays: TlbArray[]): void {
  for (const [i, array] of arrays.entries()) {
    if (new Set(array.pages).size !== array.pages.length)
      fail(`${path}.${i}.pages`, `is ${array.pages.join(", ")}; name each page size once`);
    checkArray(`${path}.${i}`, array);
    if (array.coalesce && !array.pages.includes("4k"))
      fail(`${path}.${i}.coalesce`, "is true, but the array holds no 4k pages; only these make groups");
  }
}

function checkArray(path: string, { entries, ways: given, policy }: Geometry): void {
  if (entries === 0) fail(`${path}.entries`, "is 0; an array of its own has 1 to 65536 entries");
  const ways = given === 0 ? entries : given;
  if (ways > entries)
    fail(`${path}.ways`, `is ${ways}, more than its ${entries} entries; it must divide them`);
  if (entries % ways !== 0)
    fail(`${path}.ways`, `is ${ways}, which does not divide its ${entries} entries; ${fitting(entries)}`);
  const sets = entries / ways;
  if (!powerOfTwo(sets))
    fail(
      `${path}.ways`,
      `is ${ways}, which makes ${sets} sets of its ${entries} entries; ${fitting(entries)}`,
    );
  if (policy === "plru" && ways > 64)
    fail(`${path}.policy`, `is plru with ${ways} ways; a tree has at most 64, use lru or nru or fewer ways`);
}

/** The ways that give a power-of-two number of sets. */
function fitting(entries: number): string {
  const ways: number[] = [];
  for (let sets = 1; entries % sets === 0; sets *= 2) ways.push(entries / sets);
  const few = ways.slice(-6).reverse();
  return `the number of sets must be a power of two, so ways may be ${few.join(", ")} or 0 (fully associative)`;
}

function checkCache(path: string, { bytes, ways }: CacheLevel): void {
  if (bytes === 0) return;
  const sets = bytes / (64 * ways);
  if (!powerOfTwo(sets))
    fail(
      `${path}.bytes`,
      `is ${bytes}, which makes ${Number(sets.toFixed(3))} sets of ${ways} ways of 64 bytes; the number of sets must be a power of two, as with ${64 * ways * 2 ** Math.max(0, Math.round(Math.log2(sets)))} bytes`,
    );
}
