import { describe, expect, it } from "vitest";
import { Access, ConfigError, createMmu, type Mmu, type MmuOptions } from "../src/embed/index.js";

const memory = () => new WebAssembly.Memory({ initial: 1 });
const ram = { base: 0, size: 65536 };

/** What a refusal says; it is a ConfigError. */
function refusal(options: unknown, use: (mmu: Mmu) => unknown = () => {}): string {
  try {
    use(createMmu(options as MmuOptions));
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return "accepted";
}

describe("createMmu refuses in a sentence that names the key", () => {
  const cases: [unknown, string][] = [
    [undefined, "options is undefined; it must be an object"],
    [null, "options is null; it must be an object"],
    [{}, "ram is missing; say where guest RAM is, as { base, size } or as ranges"],
    [{ ram: null }, "ram is null; it must be an object"],
    [{ ram: 65536 }, "ram is 65536; it must be an object"],
    [{ ram: "64k" }, 'ram is "64k"; it must be an object'],
    [{ ram: {} }, "ram.size is missing; say its bytes"],
    [{ ram: { size: 0 } }, "ram.size is 0; it must have some bytes"],
    [{ ram: { size: 5000 } }, "ram.size is 5000; it must be a multiple of 4096 bytes"],
    [{ ram: { size: Number.NaN } }, "ram.size is NaN; it must be a multiple of 4096 bytes"],
    [{ ram: { size: "65536" } }, "ram.size is 65536; it must be a multiple of 4096 bytes"],
    [{ ram: { size: 65536n } }, "ram.size is 65536; it must be a multiple of 4096 bytes"],
    [{ ram: { base: 3, size: 4096 } }, "ram.base is 3; it must be a multiple of 8 bytes"],
    [{ ram: { base: -8, size: 4096 } }, "ram.base is -8; it must be a multiple of 8 bytes"],
    [{ ram: { size: 4096, bsae: 0 } }, '"bsae" is no key of ram; did you mean "base"?'],
    [{ ram: [null] }, "ram[0] is null; it must be an object"],
    [{ ram: [{ base: 0, size: 4096 }] }, "ram[0].address is missing; say it in bytes"],
    [
      { ram: [{ address: 0, base: 0, size: 4096, kind: "flash" }] },
      'ram[0].kind is "flash"; it must be ram or rom',
    ],
    [{ ram: [{ address: 2 ** 52, base: 0, size: 4096 }] }, "ram[0] ends at 0x10000000001000, beyond 2^52"],
    [{ ram, tecnique: "ept" }, '"tecnique" is no key of options; did you mean "technique"?'],
    [{ ram, memory: 5 }, "memory is 5; it must be a WebAssembly.Memory, a buffer or a view of one"],
    [{ ram, memory: [1] }, "memory is a list; it must be a WebAssembly.Memory, a buffer or a view of one"],
    [{ ram, memory: null }, "memory is null; it must be a WebAssembly.Memory, a buffer or a view of one"],
    [{ ram, physical: { reed: () => 0n } }, '"reed" is no key of physical; did you mean "read"?'],
    [{ ram, physical: { read: 5 } }, "physical.read is 5; it must be a function"],
    [{ ram, onInvalidate: 5 }, "onInvalidate is 5; it must be a function"],
    [{ ram, features: null }, "features is null; it must be an object"],
    [{ ram, config: { technique: "shadow" } }, "config names technique; say it by the option technique"],
    [{ ram, set: ["format=npt"] }, "set names format; say it by the option technique"],
    [{ ram, set: "host.page=2m" }, 'set is "host.page=2m"; it must be a list of assignments, as "key=value"'],
    [{ ram, record: "x.nwt" }, 'record is "x.nwt"; it must be an object'],
    [{ ram, record: { gest: "x" } }, '"gest" is no key of record; did you mean "guest"?'],
    [{ ram, record: { guest: 5 } }, "record.guest is 5; it must be a text"],
  ];
  it.each(cases.map(([options, sentence]) => ({ options, sentence })))(
    "$sentence",
    ({ options, sentence }) => {
      expect(refusal(options)).toBe(sentence);
    },
  );

  it("and what the memory cannot be", () => {
    expect(refusal({ ram: { size: 2 ** 32 } })).toMatch(
      /^the memory leaves no room for the \d+ pages of 64 KiB/,
    );
    const shared = new WebAssembly.Memory({ initial: 1, maximum: 100, shared: true });
    expect(refusal({ memory: shared, ram })).toBe(
      "the memory is shared; give its buffer, so that entries are exchanged atomically",
    );
    expect(refusal({ memory: shared.buffer, ram })).toBe("accepted");
  });
});

describe("a call that the machine has no place for is refused", () => {
  const cases: [Partial<MmuOptions>, (mmu: Mmu) => unknown, RegExp][] = [
    [
      {},
      (m) => m.setEptp(0x101e),
      /^setEptp is for a host that is the hypervisor of ept; this MMU is native$/,
    ],
    [{ technique: "ept" }, (m) => m.setNcr3(0x1000), /^setNcr3 .* of npt; this MMU is ept$/],
    [{ technique: "npt" }, (m) => m.setEptp(0x101e), /^setEptp .* of ept; this MMU is npt$/],
    [{ technique: "npt" }, (m) => m.invept(2, 0), /^invept .* of ept/],
    [{ technique: "npt" }, (m) => m.invvpid(2, 0), /^invvpid .* of ept/],
    [{ technique: "ept" }, (m) => m.invlpga(0, 0, 1), /^invlpga .* of npt/],
    [{ technique: "npt" }, (m) => m.setVirtualization({}), /^setVirtualization .* of ept/],
    [
      { technique: "ept" },
      (m) => m.setVirtualization({ pmlbase: 5 } as object),
      /^"pmlbase" is no key of settings/,
    ],
    [{}, (m) => m.setVpid(1), /^setVpid .* of ept or npt; this MMU is native$/],
    [{}, (m) => m.vmExit(), /^vmExit .* of ept or npt/],
    [{ technique: "ept" }, (m) => m.setVpid(70000), /^vpid is 70000; it must be an integer from 1 to 65535$/],
    [{ technique: "npt" }, (m) => m.setNcr3(0, 1, 2 as 1), /^tlbControl is 2; it must be 0, 1, 3 or 7$/],
    [
      {},
      (m) => m.translateBatch(0, 1e9),
      /^the end of the batch is 1000000000; it must be an integer from 0 to 32768$/,
    ],
    [{}, (m) => m.translateBatch(5, 2), /^the first of the batch is 5; it must be an integer from 0 to 2$/],
    [
      {},
      (m) => m.host("steal" as "share", 0, 1),
      /^"steal" is nothing a host does; there are reclaim, share/,
    ],
    [{}, (m) => m.host("share", -4096, 1), /^the address is -4096; it must be an integer from 0 to/],
    [{}, (m) => m.host("share", 0, 2 ** 40), /^the number of bytes is 1099511627776/],
    [{}, (m) => m.setState({ cr8: 5n } as object), /^"cr8" is no key of the state; did you mean "cr0"\?$/],
  ];
  it.each(cases.map(([more, use, sentence]) => ({ more, use, sentence })))(
    "$sentence",
    ({ more, use, sentence }) => {
      expect(refusal({ memory: memory(), ram, ...more }, use)).toMatch(sentence);
    },
  );

  it("a VM entry with the VPID 0 fails, as with a bad EPTP", () => {
    const mmu = createMmu({ memory: memory(), ram, technique: "ept" });
    expect([mmu.setEptp(0x101e, 0), mmu.setEptp(0x101e, 1), mmu.setEptp(0x101f, 1)]).toEqual([8, 0, 8]);
  });

  it("an access that is none says so, and the machine goes on", () => {
    const mmu = createMmu({ memory: memory(), ram });
    const no = "an access is a read, a write or a fetch: bits 0 and 1 are both set";
    expect(() => mmu.translate(0, 0, 3)).toThrow(no);
    expect(() => mmu.probe(0, 0, 3)).toThrow(no);
    expect(() => mmu.explain(0, 3)).toThrow(no);
    expect(mmu.translate(0x1000, 0, Access.write)).toBe(0);
    expect(mmu.result().laws.filter(({ holds }) => !holds)).toEqual([]);
  });
});
