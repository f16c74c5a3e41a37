import { describe, expect, it } from "vitest";
import { ConfigError, parseConfigFile, parseTechniques, resolveConfig } from "../src/config/index.js";
import { editDistance, nearest } from "../src/config/nearest.js";

function said(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return "no error";
}

describe("--set that cannot be used", () => {
  const OF_CLOCK = "the keys of clock are issueCycles, window, walkers";
  const POWER = "the number of sets must be a power of two, so ways may be";
  it.each([
    ["walkers=4", '--set walkers=4: "walkers" is not a key; did you mean "clock.walkers"?'],
    ["clock.walkrs=3", '--set clock.walkrs=3: "clock.walkrs" is not a key; did you mean "clock.walkers"?'],
    ["tlb.l1x.0.ways=5", '--set tlb.l1x.0.ways=5: "tlb.l1x.0.ways" is not a key; did you mean "tlb.l1d"?'],
    ["seed.x=3", '--set seed.x=3: "seed.x" is not a key: seed is a single value'],
    [
      "tlb.l1d.x=3",
      '--set tlb.l1d.x=3: "tlb.l1d.x" is not a key: tlb.l1d is a list, whose elements are tlb.l1d.0, tlb.l1d.1 and so on',
    ],
    [
      "exits.handlerCycles.cpuidd=3",
      '--set exits.handlerCycles.cpuidd=3: "exits.handlerCycles.cpuidd" is not a key; did you mean "exits.handlerCycles.cpuid"?',
    ],
    ["foo", "--set foo is not key.path=value, as in --set clock.window=128"],
    ["=3", "--set =3 is not key.path=value, as in --set clock.window=128"],
    ["clock.walkers=0", "clock.walkers is 0; it must be an integer from 1 to 16"],
    ["clock.walkers=17", "clock.walkers is 17; it must be an integer from 1 to 16"],
    ["clock.walkers=2.5", "clock.walkers is 2.5; it must be an integer from 1 to 16"],
    ["clock.window=1025", "clock.window is 1025; it must be an integer from 1 to 1024"],
    ["clock.window=", 'clock.window is ""; it must be an integer from 1 to 1024'],
    ["host.page=3m", 'host.page is "3m"; it must be 4k, 2m or 1g'],
    ["vpid=on", 'vpid is "on"; it must be true or false'],
    ["tlb.l2.0.pages=3k", '--set tlb.l2.0.pages=3k: tlb.l2.0.pages.0 is "3k"; it must be 4k, 2m or 1g'],
    ["tlb.l2.0.pages=4k,4k", "tlb.l2.0.pages is 4k, 4k; name each page size once"],
    ["tlb.l2.0.entries=70000", "tlb.l2.0.entries is 70000; it must be an integer from 1 to 65536"],
    [
      "tlb.l2.0.ways=5",
      `tlb.l2.0.ways is 5, which does not divide its 1536 entries; ${POWER} 3, 6, 12, 24, 48, 96 or 0 (fully associative)`,
    ],
    [
      "tlb.l2.0.ways=4",
      `tlb.l2.0.ways is 4, which makes 384 sets of its 1536 entries; ${POWER} 3, 6, 12, 24, 48, 96 or 0 (fully associative)`,
    ],
    [
      "tlb.l2.0.entries=8",
      "--set tlb.l2.0.entries=8: tlb.l2.0.ways is 12, more than its 8 entries; it must divide them",
    ],
    [
      "tlb.l2.3.ways=4",
      "--set tlb.l2.3.ways=4: tlb.l2.3 does not exist, as the list has 2 elements; the next to add is number 2",
    ],
    [
      "tlb.l2.2.entries=4",
      "--set tlb.l2.2.entries=4: tlb.l2.2.pages is missing; it must be a list of 1 to 3 elements of 4k, 2m or 1g",
    ],
    [
      "tlb.l1d.0.pages=2m",
      "--set tlb.l1d.0.pages=2m: tlb.l1d holds no 4k pages; give it an array for them, or make the list empty for a machine without this TLB",
    ],
    ["tlb.l2={}", "tlb.l2 is {}; it must be a list of 0 to 4 elements of objects"],
    ["tlb.l1d=[1,", "--set tlb.l1d=[1,: the value is not complete JSON"],
    ["tlb.l2=[]", "psc.nested.place is l2, but tlb.l2 is empty; use own or none, or give tlb.l2 an array"],
    ["psc.pde.place=pde", "psc.pde.place is pde; for this key it must be none, own or l2"],
    ["psc.nested.place=pde", "psc.nested.place is pde; for this key it must be none, own or l2"],
    [
      "psc.nested.place=own",
      "--set psc.nested.place=own: psc.nested.entries is 0; an array of its own has 1 to 65536 entries",
    ],
    ["caches.l1.ways=0", "caches.l1.ways is 0; it must be an integer from 1 to 64"],
    [
      "caches.l3.bytes=15000000",
      "caches.l3.bytes is 15000000, which makes 14648.438 sets of 16 ways of 64 bytes; the number of sets must be a power of two, as with 16777216 bytes",
    ],
    ["ept.accessedDirty=maybe", 'ept.accessedDirty is "maybe"; it must be true or false'],
    ["host.levels=3", "host.levels is 3; EPT has 4 or 5 levels, only NPT of a PAE host has 3"],
    ["shadow.prefetch=6", "shadow.prefetch is 6; it must be a power of two from 1 to 512"],
    ["shadow.kernel=6.2", 'shadow.kernel is "6.2"; it must be 6.1 or 6.12'],
    ["cpu=skylake", 'cpu "skylake" is not a preset; did you mean "skylake-sp"?'],
    ["guest.addressBits=53", "guest.addressBits is 53; it must be an integer from 32 to 52"],
    ["clock.window=1e999", "clock.window is 1e999; it must be an integer from 1 to 1024"],
    [
      "clock.window=99999999999999999999",
      "clock.window is 99999999999999999999; it must be an integer from 1 to 1024",
    ],
    [
      "tlb.l2.00.ways=3",
      '--set tlb.l2.00.ways=3: "tlb.l2.00.ways" is not a key: tlb.l2 is a list, whose elements are tlb.l2.0, tlb.l2.1 and so on',
    ],
    ["clock.__proto__=1", `--set clock.__proto__=1: "clock.__proto__" is not a key; ${OF_CLOCK}`],
    ["clock.toString=1", `--set clock.toString=1: "clock.toString" is not a key; ${OF_CLOCK}`],
    [
      'clock={"__proto__":{"window":5}}',
      `--set clock={"__proto__":{"window":5}}: "clock.__proto__" is not a key; ${OF_CLOCK}`,
    ],
  ])("%s", (assignment, sentence) => {
    expect(said(() => resolveConfig({ set: [assignment] }))).toBe(sentence);
  });

  it.each([
    [
      ["caches.enabled=false", "caches.data=true"],
      "caches.data is true while caches.enabled is false; enable the caches too",
    ],
    [
      ["format=npt", "host.levels=3", "host.page=1g"],
      "host.page is 1g; tables of 3 levels (host.levels) have no 1 GiB pages, use 4k or 2m",
    ],
    [
      ["ept.pml=true", "ept.accessedDirty=false"],
      "ept.pml is true while ept.accessedDirty is false; page-modification logging needs dirty flags (SDM 3C 29.3.6)",
    ],
    [
      ["tlb.l1d.0.entries=128", "tlb.l1d.0.ways=0", "tlb.l1d.0.policy=plru"],
      "tlb.l1d.0.policy is plru with 128 ways; a tree has at most 64, use lru or nru or fewer ways",
    ],
    [
      ["psc.pde.place=none", "psc.pdpte.place=pde"],
      "psc.pdpte.place is pde, but psc.pde.place is none; use own or none, or give psc.pde an array",
    ],
    [
      ["psc.nested.place=none", "tlb.l2=[]", 'tlb.l2i=[{"pages":["4k"],"entries":8}]'],
      "tlb.l2i has arrays while tlb.l2 has none; give tlb.l2 one, or move these to it as a shared second level",
    ],
  ])("%j", (set, sentence) => {
    expect(said(() => resolveConfig({ set })).replace(/^--set \S+: /, "")).toBe(sentence);
  });
});

describe("a configuration file that cannot be used", () => {
  it.each([
    ['{"tlb":{"l2Cycels":3}}', 'm.json: "tlb.l2Cycels" is not a key; did you mean "tlb.l2Cycles"?'],
    ['{"walkers":3}', 'm.json: "walkers" is not a key; did you mean "clock.walkers"?'],
    ['{"clock":{"walkers":"a"}}', 'm.json: clock.walkers is "a"; it must be an integer from 1 to 16'],
    [
      '{"tlb":3}',
      "m.json: tlb is 3; it must be an object with the keys l1d, l1i, l1s, l2, l2i, l2Inclusion, l2Cycles, l2iCycles",
    ],
    ['{"cpu":"zen9"}', 'm.json: cpu "zen9" is not a preset; did you mean "zen2"?'],
    [
      '{"tlb":{"l2":[{"entries":8}]}}',
      "m.json: tlb.l2.0.pages is missing; it must be a list of 1 to 3 elements of 4k, 2m or 1g",
    ],
    [
      '{"tlb":{"l2":[{"pages":["4k"],"entries":10,"ways":4}]}}',
      "m.json: tlb.l2.0.ways is 4, which does not divide its 10 entries; the number of sets must be a power of two, so ways may be 5, 10 or 0 (fully associative)",
    ],
    ["", "m.json is not JSON: it is empty"],
    ["[]", "m.json holds []; it must be an object of configuration keys"],
    ["null", "m.json holds null; it must be an object of configuration keys"],
  ])("%s", (text, sentence) => {
    expect(said(() => resolveConfig({ file: parseConfigFile("m.json", text) }))).toBe(sentence);
  });

  it("is refused for keys that would reach an object's prototype, and pollutes nothing", () => {
    for (const set of [
      "__proto__=1",
      "constructor=1",
      '__proto__={"technique":"native"}',
      "exits.handlerCycles.__proto__=1",
      "exits.handlerCycles.constructor=1",
    ])
      expect(said(() => resolveConfig({ set: [set] }))).toMatch(/" is not a key; the keys (of \S+ )?are /);
    expect(said(() => parseConfigFile("m.json", '{"host":{"__proto__":{"page":"2m"}}}'))).toBe(
      'm.json: "host.__proto__" is not a key; the keys of host are page, levels, addressBits, placement, noExecute, smep, tdpMmu',
    );
    expect(resolveConfig().technique).toBe("nested");
    expect(({} as { technique?: string }).technique).toBeUndefined();
  });

  it("is refused when it is nested deep, or its keys are long, at once and in a short sentence", () => {
    const open = "[".repeat(200_000);
    expect(said(() => parseConfigFile("m.json", open + "]".repeat(200_000)))).toMatch(
      /^m\.json: \S+ is nested more than 16 deep; no key of a configuration is$/,
    );
    expect(said(() => parseConfigFile("m.json", open))).toMatch(/^m\.json is not JSON: it ends too early/);
    const long = "a".repeat(200_000);
    const start = performance.now();
    const sentences = [
      said(() => resolveConfig({ set: [`${long}=1`] })),
      said(() => resolveConfig({ set: [`clock.${long}=1`] })),
      said(() => resolveConfig({ file: parseConfigFile("m.json", `{"${long}":1}`) })),
      said(() => resolveConfig({ cpu: long })),
      said(() => parseTechniques(long)),
    ];
    expect(performance.now() - start).toBeLessThan(2000);
    for (const sentence of sentences) expect(sentence.length).toBeLessThan(500);
  });

  it("says where JSON ends", () => {
    expect(said(() => parseConfigFile("m.json", '{"seed":\n1'))).toMatch(
      /^m\.json is not JSON: it ends too early, look at line 2, column \d+$/,
    );
  });
});

describe("names", () => {
  it("of presets and techniques are suggested", () => {
    expect(said(() => resolveConfig({ cpu: "Zen4" }))).toBe(
      'cpu "Zen4" is not a preset; did you mean "zen4"?',
    );
    expect(said(() => resolveConfig({ cpu: "pentium" }))).toBe(
      'cpu "pentium" is not a preset; there are sandy-bridge, haswell, skylake-sp, golden-cove, zen2, zen3, zen4, zen5',
    );
    expect(said(() => parseTechniques("native,shdow"))).toBe(
      'technique "shdow" is not known; did you mean "shadow"?',
    );
    expect(said(() => parseTechniques("nested"))).toBe('technique "nested" has two formats; say ept or npt');
    expect(said(() => parseTechniques("ept,ept"))).toBe('technique "ept" is named twice; name each once');
    expect(said(() => parseTechniques("native,"))).toBe(
      'technique "" is not known; there are native, shadow, ept, npt',
    );
  });

  it("are compared by insertions, deletions, substitutions and swaps", () => {
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("walkers", "walkres")).toBe(1);
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(nearest("xyz", ["abc", "def"])).toBeUndefined();
    expect(nearest("PDE", ["pdpte", "pde"])).toBe("pde");
  });
});
