import { Access, Feed, type Invalidation, Right } from "../../src/embed/index.js";

interface Kept {
  va: bigint;
  pcid: number;
  /** Whose it is beside the PCID: VPID and second stage. */
  space: Space;
  physical: number;
  rights: number;
  global: boolean;
  stage1Shift: number;
}

/** A VPID and the second stage that it runs under: what is kept for one is not for another. */
export interface Space {
  /** -1: the host has only one, and does not care for its number. */
  vpid: number;
}
const ONLY: Space = { vpid: -1 };

/** A host's own fast path: it keeps whatever it is told, for ever, and drops what the feed says, tagged by PCID. */
export class HostCache {
  #kept: Kept[] = [];
  #pcid = 0;
  #space = ONLY;

  context(pcid: number, space = ONLY): void {
    this.#pcid = pcid;
    this.#space = space;
  }

  keep(va: bigint, physical: number, rights: number, global: boolean, stage1Shift: number): void {
    const page = va & ~0xfffn;
    this.#kept = this.#kept.filter(
      (k) => k.va !== page || k.space !== this.#space || (k.pcid !== this.#pcid && !k.global),
    );
    this.#kept.push({
      va: page,
      pcid: this.#pcid,
      space: this.#space,
      physical: physical - (physical % 4096),
      rights,
      global,
      stage1Shift,
    });
  }

  find(va: bigint, access: number): number | undefined {
    const page = va & ~0xfffn;
    const user = (access & Access.user) !== 0;
    const fetch = (access & Access.fetch) !== 0;
    const write = (access & Access.write) !== 0;
    const right = fetch
      ? user
        ? Right.userFetch
        : Right.fetch
      : write
        ? user
          ? Right.userWrite
          : Right.write
        : user
          ? Right.userRead
          : Right.read;
    const kept = this.#kept.find(
      (k) =>
        k.va === page &&
        k.space === this.#space &&
        (k.global || k.pcid === this.#pcid) &&
        (k.rights & right) !== 0,
    );
    return kept === undefined ? undefined : kept.physical + Number(va & 0xfffn);
  }

  drop(i: Invalidation): void {
    if (i.kind === Feed.switched) return;
    /* Rights: what was said of them is void. */
    if (i.kind === Feed.rights || i.kind === Feed.everything) {
      this.#kept = [];
      return;
    }
    const at = (BigInt(i.high) << 32n) | BigInt(i.low);
    this.#kept = this.#kept.filter((k) => {
      if (k.space !== ONLY && !i.everyVpid && k.space.vpid !== i.vpid) return true;
      if (k.global ? !i.globals : !i.everyPcid && k.pcid !== i.pcid) return true;
      return i.kind === Feed.address && (k.va ^ at) >> BigInt(k.stage1Shift) !== 0n;
    });
  }
}
