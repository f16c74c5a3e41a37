/**
 * Faults to plant in the core, one at a time: in `file` of assembly/, `from` (which must stand there exactly once)
 * becomes `to`. Most were made by somebody's MMU before.
 */
export const mutations = [
  // The walker.
  {
    name: "a walk past a cached entry begins a level too high",
    file: "walk/walk.ts",
    from: "level = from - 1;\n      d.top = level;",
    to: "level = from;\n      d.top = level;",
  },
  {
    name: "a cached entry's rights are forgotten",
    file: "walk/walk.ts",
    from: "      rights &= pscData;\n",
    to: "",
  },
  {
    name: "every leaf passes for dirty",
    file: "walk/walk.ts",
    from: "d.leafDirty = format.dirty === 0 || (entry & format.dirty) !== 0;",
    to: "d.leafDirty = true;",
  },
  {
    name: "large pages wherever PS is set",
    file: "walk/walk.ts",
    from: " && ((format.largeLevels >> level) & 1) !== 0;",
    to: ";",
  },
  {
    name: "addresses beyond the second stage's span wrap around",
    file: "walk/walk.ts",
    from: "format.kind !== KIND_PAGE_TABLE && address >> spanOf(format) !== 0",
    to: "false",
  },
  {
    name: "an EPT memory type of 7 passes",
    file: "walk/walk.ts",
    from: "type === 2 || type === 3 || type === 7",
    to: "type === 2 || type === 3",
  },
  {
    name: "alignment bit 20 of a 2 MiB page passes",
    file: "x86/format.ts",
    from: "reserved[5] = always | bits(20, 13);",
    to: "reserved[5] = always | bits(19, 13);",
  },
  {
    name: "EPT alignment bit 29 passes",
    file: "x86/format.ts",
    from: "reserved[7] = always | bits(29, 12);",
    to: "reserved[7] = always | bits(28, 12);",
  },
  {
    name: "canonicality with five levels as with four",
    file: "x86/format.ts",
    from: "format.levels === 5 ? 7 : 16",
    to: "16",
  },
  {
    name: "PAE's level-3 entries are checked for fewer bits",
    file: "x86/format.ts",
    from: "bits(2, 1) | bits(8, 5) | beyond",
    to: "bits(2, 1) | beyond",
  },
  {
    name: "the dirty flag is set by reads",
    file: "walk/translate.ts",
    from: "level === d.level && write ? format.accessed | format.dirty",
    to: "level === d.level ? format.accessed | format.dirty",
  },
  {
    name: "the guest's page size is cached, whatever the host's",
    file: "walk/translate.ts",
    from: "    if (sizeShift(secondSize) < sizeShift(size)) size = secondSize;\n",
    to: "",
  },
  {
    name: "a page is cached as dirty though the second stage's is not",
    file: "walk/translate.ts",
    from: "dirty = dirty && secondDirty;",
    to: "",
  },
  {
    name: "a page is cached as executable though the second stage's is not",
    file: "walk/translate.ts",
    from: "execute = execute && executable(secondRights);",
    to: "",
  },
  {
    name: "the second stage's right to write is not cached",
    file: "walk/translate.ts",
    from: "(secondRights & EPT_WRITE ? TLB_W2 : 0)",
    to: "TLB_W2",
  },
  {
    name: "fetches report I/D only with NXE",
    file: "walk/translate.ts",
    from: "(noExecute || (controls.cr4 & CR4_SMEP) !== 0)",
    to: "noExecute",
  },
  // The second stage.
  {
    name: "EPT with A/D flags reads guest tables as reads",
    file: "walk/second.ts",
    from: "host.format.kind !== KIND_EPT || accessedDirty;",
    to: "host.format.kind !== KIND_EPT;",
  },
  {
    name: "guest flags are set in pages that EPT has read-only",
    file: "walk/second.ts",
    from: "d.second !== SECOND_NESTED || host.format.kind !== KIND_EPT || d.tableRights[level] & EPT_WRITE",
    to: "true",
  },
  {
    name: "mode-based execute control looks at no page",
    file: "walk/second.ts",
    from: "modeBased && stage1.rights & RIGHT_USER",
    to: "modeBased && false",
  },
  {
    name: "a clean nested TLB entry serves a write",
    file: "walk/second.ts",
    from: "(data & (TLB_W | TLB_D)) === (TLB_W | TLB_D)",
    to: "(data & TLB_W) !== 0",
  },
  {
    name: "PDPTE loads report a linear address",
    file: "walk/second.ts",
    from: "if (stage1.addressValid) q |= 1 << 7;",
    to: "q |= 1 << 7;",
  },
  {
    name: "a full log does not stop the access",
    file: "walk/second.ts",
    from: "  if (pml && !host.leafDirty && write && pmlIndex > 511) return logFull();\n",
    to: "",
    also: [{ file: "walk/second.ts", from: "    if (pml && pmlIndex > 511) return logFull();\n", to: "" }],
  },
  {
    name: "NPF code without the host's SMEP",
    file: "walk/second.ts",
    from: "(noExecute || supervisorPrevention)",
    to: "noExecute",
  },
  // Rights.
  {
    name: "SMEP lets the supervisor execute user pages",
    file: "x86/rights.ts",
    from: "return userPage && (cr4 & CR4_SMEP) !== 0 ? Refusal.smep : Refusal.none;",
    to: "return Refusal.none;",
  },
  {
    name: "SMAP spares accesses of the CPU itself",
    file: "x86/rights.ts",
    from: "mode !== MODE_SUPERVISOR_AC) return Refusal.smap;",
    to: "mode === MODE_SUPERVISOR) return Refusal.smap;",
  },
  {
    name: "the supervisor writes read-only pages under CR0.WP",
    file: "x86/rights.ts",
    from: "|| (cr0 & CR0_WP) === 0 ?",
    to: "|| true ?",
  },
  {
    name: "a key's write-disable binds the supervisor without CR0.WP",
    file: "x86/rights.ts",
    from: "return (cr0 & CR0_WP) !== 0 || (userPage && (access & USER) !== 0);",
    to: "return true;",
  },
  {
    name: "keys refuse fetches",
    file: "x86/rights.ts",
    from: "if ((access & KIND) === FETCH) return false;",
    to: "",
  },
  {
    name: "shadow stacks of either privilege",
    file: "x86/rights.ts",
    from: "shadowStackPage &&\n    ((rights",
    to: "shadowStackPage ||\n    ((rights",
  },
  // Paging-structure caches.
  {
    name: "cached entries have the format's full rights",
    file: "walk/walk.ts",
    from: "(d.rightsAbove[below] & d.format.rights) |",
    to: "d.format.rights |",
  },
  {
    name: "cached entries are filled under the prefix of the level above",
    file: "mmu/psc.ts",
    from: "const prefix = address >> (12 + indexBits * (level - 1));\n    const structure",
    to: "const prefix = address >> (12 + indexBits * level);\n    const structure",
  },
  {
    name: "cached entries take any table for writable",
    file: "walk/walk.ts",
    from: "(writable ? PSC_TABLE_WRITABLE : 0),",
    to: "PSC_TABLE_WRITABLE,",
  },
  // TLBs.
  {
    name: "global pages belong to one PCID",
    file: "replay/access.ts",
    from: "return data & TLB_G && globalPages() ? globalContext : context;",
    to: "return context;",
  },
  {
    name: "pages are global without CR4.PGE",
    file: "replay/access.ts",
    from: "return data & TLB_G && globalPages() ? globalContext : context;",
    to: "return data & TLB_G ? contextOf(vpid, ANY_PCID, eptrta) : context;",
    also: [
      {
        file: "replay/access.ts",
        from: 'import { TaggedArray } from "../mmu/array";',
        to: 'import { TaggedArray } from "../mmu/array";\nimport { ANY_PCID, contextOf } from "../mmu/context";',
      },
      {
        file: "mmu/tags.ts",
        from: "globalContext = globalPages() ? contextOf(vpid, ANY_PCID, eptrta) : context;",
        to: "globalContext = contextOf(vpid, ANY_PCID, eptrta);",
      },
    ],
  },
  {
    name: "pages of four are coalesced whatever their entries say",
    file: "walk/coalesce.ts",
    from: "if (!contiguous(d)) return data;",
    to: "",
  },
  // Invalidation.
  {
    name: "INVLPG misses global pages",
    file: "mmu/invalidation.ts",
    from: "export function invalidateAddress(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(Scope.globals, vpid, pcid, va);\n  chooseLinear(vpid, pcid, true);",
    to: "export function invalidateAddress(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(Scope.globals, vpid, pcid, va);\n  chooseLinear(vpid, pcid, false);",
  },
  {
    name: "INVLPG misses the paging-structure caches",
    file: "mmu/invalidation.ts",
    from: "export function invalidateAddress(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(Scope.globals, vpid, pcid, va);\n  chooseLinear(vpid, pcid, true);\n  return scanLinear(true, va);",
    to: "export function invalidateAddress(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(Scope.globals, vpid, pcid, va);\n  chooseLinear(vpid, pcid, true);\n  return done(scanTlbs(true, va));",
  },
  {
    name: "INVLPG misses the other pieces of a fractured page",
    file: "mmu/invalidation.ts",
    from: "max(sizeShift(entryStage1Size(array.data(at))), sizeShift(tagSize(tag)))",
    to: "sizeShift(tagSize(tag))",
  },
  {
    name: "INVPCID of an address takes global pages",
    file: "mmu/invalidation.ts",
    from: "export function invalidateAddressOfPcid(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(0, vpid, pcid, va);\n  chooseLinear(vpid, pcid, false);",
    to: "export function invalidateAddressOfPcid(vpid: u32, pcid: u32, va: u64): u32 {\n  feedAddressOf(0, vpid, pcid, va);\n  chooseLinear(vpid, pcid, true);",
  },
  {
    name: "INVVPID of all takes VPID 0",
    file: "mmu/invalidation.ts",
    from: "if (contextVpid(i) === 0) unchecked((doomed[i] = KEEP));",
    to: "if (contextVpid(i) === 0xffff) unchecked((doomed[i] = KEEP));",
  },
  {
    name: "INVEPT leaves guest-physical mappings",
    file: "mmu/invalidation.ts",
    from: "its !== 0 && (all || its === eptrta) ? DOOM : KEEP));\n  }\n  return scanLinear(false, 0) + scanGuestPhysical(false, 0);",
    to: "its !== 0 && (all || its === eptrta) ? DOOM : KEEP));\n  }\n  return scanLinear(false, 0);",
  },
  {
    name: "INVEPT takes linear mappings",
    file: "mmu/invalidation.ts",
    from: "its !== 0 && (all || its === eptrta) ? DOOM : KEEP));",
    to: "all || its === eptrta ? DOOM : KEEP));",
  },
  {
    name: "a page fault removes nothing",
    file: "mmu/invalidation.ts",
    from: "return done(removeUsed(vpid, pcid, va, EVERY_ROOT));",
    to: "return 0;",
  },
  {
    name: "an EPT violation leaves the combined mapping",
    file: "mmu/invalidation.ts",
    from: "done(removed + removeUsed(vpid, pcid, va, eptrta));",
    to: "done(removed);",
  },
  {
    name: "another VPID's entries go too",
    file: "mmu/invalidation.ts",
    from: "(vpid === EVERY || contextVpid(i) === vpid)",
    to: "true",
  },
  // Registers.
  {
    name: "CR3's no-flush bit flushes",
    file: "vcpu/effects.ts",
    from: "else if ((value & CR3_NO_FLUSH) === 0) invalidatePcid",
    to: "else invalidatePcid",
  },
  {
    name: "MOV CR3 flushes the PCID that it leaves",
    file: "vcpu/effects.ts",
    from: "invalidatePcid(vpid, <u32>(value & CR3_PCID));",
    to: "invalidatePcid(vpid, <u32>(before & CR3_PCID));",
  },
  {
    name: "CR4.PGE leaves global pages",
    file: "vcpu/effects.ts",
    from: "(value & CR4_PCIDE) === 0))\n    invalidateVpid(vpid, true);",
    to: "(value & CR4_PCIDE) === 0))\n    invalidateVpid(vpid, false);",
  },
  {
    name: "CR4.SMEP flushes when it is cleared",
    file: "vcpu/effects.ts",
    from: "((changed & CR4_SMEP) !== 0 && (value & CR4_SMEP) !== 0)",
    to: "(changed & CR4_SMEP) !== 0",
  },
  {
    name: "EFER.NXE keeps cached rights",
    file: "vcpu/effects.ts",
    from: "  if ((changed & EFER_NXE) !== 0) invalidateVpid(vpid, true);\n",
    to: "",
  },
  {
    name: "a refused PDPTE load changes CR3",
    file: "vcpu/effects.ts",
    from: "    setCr3Value(before);\n    guest.root = rootOf(before);\n",
    to: "",
  },
  {
    name: "PCIDs may be enabled with a PCID in CR3",
    file: "vcpu/legality.ts",
    from: "return isLongMode() && (cr3 & CR3_PCID) === 0;",
    to: "return isLongMode();",
  },
  {
    name: "INVLPG of a non-canonical address flushes",
    file: "vcpu/legality.ts",
    from: "export function translatable(va: u64): bool {\n  return isCanonical(va, guest.format);",
    to: "export function translatable(va: u64): bool {\n  return true;",
  },
  {
    name: "a crossing access translates its first page only",
    file: "embed/access.ts",
    from: "(<u32>va & 0xfff) + bytes <= 4096",
    to: "true",
  },
  {
    name: "a busy #VE area is overwritten",
    file: "vcpu/virtualization-exception.ts",
    from: "  if (read32(area + 4) !== 0) return outcome;\n",
    to: "",
  },
];
