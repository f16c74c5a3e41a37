import { type Mmu, Status } from "nestwalk/embed";

const FRAME_BITS = 12n;
const TABLE_ENTRIES = 512;
/** Read, write, execute of EPT; present, writable, user of NPT. */
const ALL_RIGHTS = 7n;
const WRITE_BACK = 6n;

/**
 * A hypervisor whose second-stage tables lie in memory beside the guest. It gives the guest a page when the guest first
 * touches it, from the top of the memory for guests downwards, so that no page lies where the guest believes it.
 */
export class Hypervisor {
  /** Pages given: as many as exits there were. */
  violations = 0;
  readonly #mmu: Mmu;
  readonly #memory: DataView;
  readonly #kind: "ept" | "npt";
  readonly #guestBytes: number;
  #nextFrame: number;
  #nextTable: number;
  readonly #root: number;
  readonly #frames = new Map<number, number>();

  /** `memory` holds the guest's frames below `tables`, and the tables from there on. */
  constructor(mmu: Mmu, memory: DataView, kind: "ept" | "npt", guestBytes: number, tables: number) {
    this.#mmu = mmu;
    this.#memory = memory;
    this.#kind = kind;
    this.#guestBytes = guestBytes;
    this.#nextFrame = tables;
    this.#nextTable = tables;
    this.#root = this.#newTable();
  }

  /** Enters the guest. */
  enter(): void {
    const root = BigInt(this.#root);
    const status =
      this.#kind === "ept"
        ? this.#mmu.setEptp(root | (3n << 3n) | WRITE_BACK, 1)
        : this.#mmu.setNcr3(root, 1);
    if (status !== Status.ok) throw new Error(`the MMU refuses the second-stage root: status ${status}`);
  }

  /** Where a guest frame lies; it is given a page now if it has none. */
  addressOf(guestPhysical: number): number {
    const frame = Math.floor(guestPhysical / 4096);
    let page = this.#frames.get(frame);
    if (page === undefined) {
      page = this.#nextFrame -= 4096;
      this.#frames.set(frame, page);
    }
    return page + (guestPhysical % 4096);
  }

  /** Repairs what made the guest exit; false if `status` is no exit. */
  resolve(status: number): boolean {
    if (status !== Status.eptViolation && status !== Status.nestedPageFault) return false;
    const guestPhysical = this.#mmu.guestPhysical;
    if (guestPhysical >= this.#guestBytes)
      throw new Error(`the guest has no memory at ${guestPhysical.toString(16)}`);
    ++this.violations;
    this.#map(BigInt(guestPhysical), BigInt(this.addressOf(guestPhysical)) & ~0xfffn);
    return true;
  }

  #map(guestPhysical: bigint, page: bigint): void {
    let table = this.#root;
    for (let level = 3n; ; --level) {
      const index = Number(guestPhysical >> (FRAME_BITS + 9n * level)) % TABLE_ENTRIES;
      const at = table + 8 * index;
      if (level === 0n) {
        const type = this.#kind === "ept" ? WRITE_BACK << 3n : 0n;
        this.#memory.setBigUint64(at, page | type | ALL_RIGHTS, true);
        return;
      }
      const entry = this.#memory.getBigUint64(at, true);
      table = entry === 0n ? this.#newTable() : Number(entry & ~0xfffn);
      if (entry === 0n) this.#memory.setBigUint64(at, BigInt(table) | ALL_RIGHTS, true);
    }
  }

  #newTable(): number {
    const table = this.#nextTable;
    this.#nextTable += 4096;
    return table;
  }
}
