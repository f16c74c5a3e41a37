/* A host in C: page tables in its guest's memory, accesses through them, a fault, a flush. */
#include "mmu.h"

/* Told about each value that was found, and what it has to be. */
__attribute__((import_module("host"), import_name("check"))) void check_(const char *, uint32_t, uint64_t, uint64_t);
#define CHECK(what, found, expected) check_(what, sizeof(what) - 1, found, expected)

enum { PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 32, DIRTY = 64 };
enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, FIRST = 0x5000, SECOND = 0x6000 };
static const uint64_t VA = 0x7fff00000000;
static const uint64_t CR0_PG_PE = 0x80000001, CR4_PAE = 1 << 5, EFER_LME = 1 << 8;

static uint64_t *entry(uint32_t table, uint32_t index) {
  return (uint64_t *)(ram + table) + index;
}

static void build_tables(void) {
  *entry(PML4, 0xff) = PDPT | PRESENT | WRITABLE | USER;
  *entry(PDPT, 0x1fc) = PD | PRESENT | WRITABLE | USER;
  *entry(PD, 0) = PT | PRESENT | WRITABLE | USER;
  *entry(PT, 0) = FIRST | PRESENT | WRITABLE;
  *(uint64_t *)(ram + FIRST) = 111;
  *(uint64_t *)(ram + SECOND) = 222;
}

/* From code of 32 bits to code of 64. */
static uint32_t enter_long_mode(void) {
  nestwalk_embed_code_long(0);
  uint32_t failed = mmu_load(NESTWALK_REGISTER_CR4, CR4_PAE);
  failed |= mmu_load(NESTWALK_REGISTER_CR3, PML4);
  failed |= mmu_load(NESTWALK_REGISTER_EFER, EFER_LME);
  failed |= mmu_load(NESTWALK_REGISTER_CR0, CR0_PG_PE);
  nestwalk_embed_code_long(1);
  return failed;
}

/* The header's own lookup in place of a fast path: the core sees each access, and counts it. */
static void check_lookaside(void) {
  nestwalk_lookaside lookaside = {nestwalk_lookaside_address(), nestwalk_lookaside_head_address()};
  const uint64_t *reads = (const uint64_t *)nestwalk_counters_address() + NESTWALK_COUNTER_READS;
  uint64_t physical;
  nestwalk_embed_settle();
  uint64_t before = *reads;
  CHECK("the lookaside answers", nestwalk_translate(lookaside, VA + 0x1008, NESTWALK_ACCESS_READ, &physical), NESTWALK_STATUS_OK);
  CHECK("with the same address", physical, SECOND + 8);
  CHECK("without a call", nestwalk_find(lookaside, VA + 0x1010, NESTWALK_ACCESS_READ) != 0, 1);
  CHECK("but not what it does not allow", nestwalk_find(lookaside, VA + 0x1010, NESTWALK_ACCESS_READ | NESTWALK_ACCESS_USER), 0);
  CHECK("a fault comes from the core", nestwalk_translate(lookaside, VA + 0x2000, NESTWALK_ACCESS_READ, &physical),
        NESTWALK_STATUS_PAGE_FAULT);
  nestwalk_embed_settle();
  CHECK("every access is counted", *reads - before, 3);
}

/* Guest-physical 0 is at `base` of this program's memory. */
void run(uint8_t *base) {
  ram = base;
  mmu_start();
  build_tables();
  CHECK("long mode is entered", enter_long_mode(), NESTWALK_STATUS_OK);

  CHECK("a page is read", mmu_read(VA, 0), 111);
  CHECK("its entry is accessed", *entry(PT, 0) & (ACCESSED | DIRTY), ACCESSED);
  CHECK("at its physical address", mmu_cell(NESTWALK_CELL_HOST_PHYSICAL), FIRST);
  CHECK("and in the fast path", (mmu_read(VA, 0), hits), 1);
  CHECK("a clean page is not written there", (mmu_write(VA, 112), hits), 1);
  CHECK("its entry is dirty", *entry(PT, 0) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
  CHECK("now it is", (mmu_write(VA, 113), hits), 2);
  CHECK("memory holds what was written", *(uint64_t *)(ram + FIRST), 113);

  mmu_read(VA, 1);
  CHECK("ring 3 may not", status, NESTWALK_STATUS_PAGE_FAULT);
  CHECK("error code: present, user", mmu_cell(NESTWALK_CELL_ERROR_CODE), 5);

  mmu_read(VA + 0x1238, 0);
  CHECK("a page that is not there faults", status, NESTWALK_STATUS_PAGE_FAULT);
  CHECK("error code: not present", mmu_cell(NESTWALK_CELL_ERROR_CODE), 0);
  CHECK("CR2", mmu_cell(NESTWALK_CELL_FAULT_ADDRESS), VA + 0x1238);
  *entry(PT, 1) = SECOND | PRESENT;
  CHECK("once it is mapped it is read without a flush", mmu_read(VA + 0x1000, 0), 222);

  mmu_read(VA, 0);
  *entry(PT, 0) = SECOND | PRESENT;
  CHECK("a changed entry does not show", mmu_read(VA, 0), 113);
  mmu_invlpg(VA);
  CHECK("before INVLPG", mmu_read(VA, 0), 222);

  CHECK("a load of CR3 drops all", (mmu_load(NESTWALK_REGISTER_CR3, PML4), nestwalk_embed_flushed() != 0), 1);
  hits = 0;
  mmu_read(VA + 0x1000, 0);
  CHECK("so the fast path is empty", hits, 0);
  check_lookaside();
  CHECK("CR4 has no bit 40", mmu_load(NESTWALK_REGISTER_CR4, 1ull << 40), NESTWALK_STATUS_GENERAL_PROTECTION);
}
