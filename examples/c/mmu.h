/* A fast path in front of nestwalk: what a host in C has to write. */
#ifndef MMU_H
#define MMU_H
#include "nestwalk.h"

/* Set by the program: where guest-physical 0 lies. */
extern uint8_t *ram;

/* The status of the last access: NESTWALK_STATUS_OK, or the fault that the guest takes. */
extern uint32_t status;
/* Accesses that the fast path answered. */
extern uint32_t hits;

void mmu_start(void);
/* MOV to a control register, or WRMSR of EFER. Returns a status. */
uint32_t mmu_load(uint32_t reg, uint64_t value);
void mmu_invlpg(uint64_t va);
/* One access of 8 bytes inside a page: reads, or writes `value`. Check `status`. */
uint64_t mmu_read(uint64_t va, uint32_t user);
void mmu_write(uint64_t va, uint64_t value);
uint64_t mmu_cell(uint32_t cell);
#endif
