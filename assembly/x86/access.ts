/**
 * What an access is: its kind in bits 0-1, how it is made in bits 2-4. `accessClass` folds both into the index of
 * the permission masks (rights.ts).
 */
export const READ: u32 = 0;
export const WRITE: u32 = 1;
export const FETCH: u32 = 2;
export const KIND: u32 = 3;
/** Made at CPL 3 by an instruction. */
export const USER: u32 = 4;
/** Made by the CPU itself (descriptor tables, exception delivery): supervisor at any CPL (SDM 3A 4.6). */
export const IMPLICIT: u32 = 8;
/** A shadow-stack access (CET). */
export const SHADOW_STACK: u32 = 16;

/** How an access is made, as the permission masks distinguish it. */
export const MODE_USER: u32 = 0;
export const MODE_SUPERVISOR: u32 = 1;
/** Supervisor with EFLAGS.AC set: SMAP does not apply. */
export const MODE_SUPERVISOR_AC: u32 = 2;
export const MODE_IMPLICIT: u32 = 3;
/** Shadow-stack accesses: decided apart from the masks. */
export const MODE_SHADOW_STACK: u32 = 4;
export const MODE_SHADOW_STACK_USER: u32 = 5;
