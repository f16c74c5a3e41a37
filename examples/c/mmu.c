#include "mmu.h"

uint8_t *ram;
uint32_t status;
uint32_t hits;

enum { PAGES = 64, BYTES_OF_PAGE = 4096 };

/* Page number + 1, where the page lies, and what may be done to it. */
static struct { uint64_t page; uint8_t *at; uint32_t rights; } pages[PAGES];

static uint64_t *block;         /* the core's cells, in this program's own memory */
static volatile uint32_t *fed;  /* how many invalidations there ever were */
static uint32_t seen;

void mmu_start(void) {
  block = (uint64_t *)nestwalk_embed_address();
  fed = (volatile uint32_t *)nestwalk_fed_address();
  seen = *fed;
}

uint64_t mmu_cell(uint32_t cell) {
  return block[cell];
}

/* Drops what the feed says. This host is coarse: an address drops its page, everything else all pages. */
static void follow_feed(void) {
  uint32_t now = *fed;
  if (now - seen > NESTWALK_FEED_RECORDS) seen = now - 1;
  for (; seen != now; ++seen) {
    const uint32_t *record = (const uint32_t *)(nestwalk_feed_address() +
                                                seen % NESTWALK_FEED_RECORDS * NESTWALK_FEED_RECORD_BYTES);
    uint64_t page = *(const uint64_t *)(record + 4) / BYTES_OF_PAGE;
    uint32_t span = record[6];
    for (uint32_t i = 0; i < PAGES; ++i) {
      int elsewhere = record[0] == NESTWALK_FEED_ADDRESS && (pages[i].page - 1) >> (span - 12) != page >> (span - 12);
      if (!elsewhere) pages[i].page = 0;
    }
  }
}

uint32_t mmu_load(uint32_t reg, uint64_t value) {
  block[NESTWALK_CELL_VALUE] = value;
  uint32_t ended = nestwalk_embed_load(reg);
  follow_feed();
  return ended;
}

void mmu_invlpg(uint64_t va) {
  block[NESTWALK_CELL_ADDRESS] = va;
  nestwalk_embed_invlpg();
  follow_feed();
}

/* Where the accessed bytes lie, or 0 with a status that is not ok. */
static uint8_t *locate(uint64_t va, uint32_t access, uint32_t right) {
  uint64_t page = va / BYTES_OF_PAGE;
  uint32_t i = page % PAGES;
  status = NESTWALK_STATUS_OK;
  if (pages[i].page == page + 1 && (pages[i].rights & right)) {
    ++hits;
    return pages[i].at + va % BYTES_OF_PAGE;
  }
  status = nestwalk_embed_translate((uint32_t)va, (uint32_t)(va >> 32), access);
  follow_feed();
  if (status != NESTWALK_STATUS_OK) return 0;
  uint8_t *at = (uint8_t *)nestwalk_embed_offset();
  pages[i].page = page + 1;
  pages[i].at = at - va % BYTES_OF_PAGE;
  pages[i].rights = nestwalk_embed_rights();
  return at;
}

uint64_t mmu_read(uint64_t va, uint32_t user) {
  const uint8_t *at = user ? locate(va, NESTWALK_ACCESS_READ | NESTWALK_ACCESS_USER, NESTWALK_RIGHT_USER_READ)
                           : locate(va, NESTWALK_ACCESS_READ, NESTWALK_RIGHT_READ);
  return at ? *(const uint64_t *)at : 0;
}

void mmu_write(uint64_t va, uint64_t value) {
  uint8_t *at = locate(va, NESTWALK_ACCESS_WRITE, NESTWALK_RIGHT_WRITE);
  if (at) *(uint64_t *)at = value;
}
