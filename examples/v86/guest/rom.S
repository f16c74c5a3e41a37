/*
 * The guest of v86: a ROM of 64 KiB that touches pages under each of v86's paging modes, in an order that pages.ts
 * repeats. It needs no BIOS. It ends by writing a byte to the first serial port: 'E', or 'X' when something was wrong.
 */
.intel_syntax noprefix
.include "layout.inc"

.text
rom:
.include "boot.inc"
.include "loops.inc"
.include "phases.inc"
.include "exceptions.inc"
.include "user.inc"

.org 0xfff0
.code16
  .byte 0xea                    /* reset: jmp F000:boot */
  .word boot - ROM, 0xf000
.org 0x10000
