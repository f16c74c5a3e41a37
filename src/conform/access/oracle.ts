import {
  A,
  AC,
  BIT13,
  BIT36,
  BIT51,
  CR0_WP,
  CR4_PKE,
  CR4_SMAP,
  CR4_SMEP,
  D,
  EFER_NX,
  FETCH,
  IMPLICIT,
  KEY,
  NX,
  P,
  PKU_AD,
  PKU_WD,
  PSE,
  U,
  USER,
  W,
  WRITE,
} from "./cases.js";

const FAULT_P = 1;
const FAULT_W = 2;
const FAULT_U = 4;
const FAULT_RSVD = 8;
const FAULT_ID = 16;
const FAULT_PK = 32;

/** What an access comes to, as a function of the flags alone. SDM 3A 4.5 to 4.8; apart from the core's walker. */
export class Oracle {
  faults = false;
  errorCode = 0;
  /** The entries afterwards. */
  pte = 0;
  pde = 0;

  ask(cpu: number, access: number, pte: number, pde: number, writable: boolean): void {
    this.pte = pte;
    this.pde = pde;
    const cause = this.#cause(cpu, access, pte, pde, writable);
    this.faults = cause !== NO_FAULT;
    if (this.faults) {
      const kind = access & 3;
      this.errorCode =
        cause |
        (kind === WRITE ? FAULT_W : 0) |
        (access & USER ? FAULT_U : 0) |
        (kind === FETCH && cpu & (EFER_NX | CR4_SMEP) ? FAULT_ID : 0);
      return;
    }
    this.errorCode = 0;
    const leaf = (access & 3) === WRITE ? A | D : A;
    if (pde & PSE) this.pde |= leaf;
    else {
      this.pde |= A;
      this.pte |= leaf;
    }
  }

  #cause(cpu: number, access: number, pte: number, pde: number, writable: boolean): number {
    const always = BIT51 | BIT36 | (cpu & EFER_NX ? 0 : NX);
    if (!(pde & P)) return 0;
    if (pde & always || (pde & PSE && pde & BIT13)) return FAULT_P | FAULT_RSVD;
    let leaf = pde;
    let both = pde;
    if (!(pde & PSE)) {
      if (!(pte & P)) return 0;
      if (pte & always) return FAULT_P | FAULT_RSVD;
      leaf = pte;
      both = (pde & pte & (U | W)) | ((pde | pte) & NX);
    }
    const userPage = (both & U) !== 0;
    const mayWrite = writable && (both & W) !== 0;
    const kind = access & 3;
    const user = (access & USER) !== 0;
    let denied = false;
    if (user && !userPage) denied = true;
    if (kind === FETCH) {
      if (both & NX) denied = true;
      if (!user && userPage && cpu & CR4_SMEP) denied = true;
    } else {
      if (!user && userPage && cpu & CR4_SMAP && (access & IMPLICIT || !(cpu & AC))) denied = true;
      if (kind === WRITE && !mayWrite && (user || cpu & CR0_WP)) denied = true;
    }
    let keyed = false;
    if (kind !== FETCH && userPage && leaf & KEY && cpu & CR4_PKE) {
      if (cpu & PKU_AD) keyed = true;
      if (cpu & PKU_WD && kind === WRITE && (user || cpu & CR0_WP)) keyed = true;
    }
    if (keyed) return FAULT_P | FAULT_PK;
    return denied ? FAULT_P : NO_FAULT;
  }
}

const NO_FAULT = -1;
