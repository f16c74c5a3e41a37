/*
 * The guest: a boot sector's code that takes the CPU from real mode to 64-bit mode and then puts the MMU to use.
 * Loaded and entered at 0000:7C00. It ends with HLT; what it found is in RESULTS and LOG.
 */
.intel_syntax noprefix
.include "layout.inc"

.include "boot.inc"
.include "phases.inc"
.include "user.inc"
.include "memory.inc"
.include "exceptions.inc"
