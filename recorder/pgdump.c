/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pgdump.c - decoder, statistics and consistency check of PGREC1 traces.
 *
 *   gcc -O2 -Wall -o pgdump pgdump.c
 *   zcat t.pgrec.gz | ./pgdump            statistics; every access is checked by a walk of the recorded
 * tables zcat t.pgrec.gz | ./pgdump -t [N]     text, one record a line (the first N)
 *
 * Exit status: 0 when all checks hold, 1 when not or when the input is no whole trace.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <inttypes.h>

static inline int g(void)
{
    int c = getchar_unlocked();
    if (c == EOF) {
        fprintf(stderr, "pgdump: the trace ends inside a record; record it again\n");
        exit(1);
    }
    return c;
}

static uint64_t uv(void)
{
    uint64_t v = 0;
    int s = 0, c;
    do {
        c = g();
        v |= (uint64_t)(c & 127) << s;
        s += 7;
    } while (c & 128);
    return v;
}

static int64_t sv(void)
{
    uint64_t z = uv();
    return (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
}

#define FRAMES (1u << 20)     /* 4 GiB */
static uint64_t *mem[FRAMES]; /* guest-physical frames that are page tables */
static uint8_t lvl[FRAMES];
#define MT (1u << 22)
static struct {
    uint64_t k, v;
} * mt, *pg;
static uint64_t npgs;
static int put(void *t_, uint64_t k, uint64_t v, uint64_t *old)
{
    struct {
        uint64_t k, v;
    } *t = t_;
    uint64_t h = (k * 0x9E3779B97F4A7C15ull) >> 42;
    while (t[h].k && t[h].k != k + 1)
        h = (h + 1) & (MT - 1);
    int isnew = !t[h].k;
    if (old)
        *old = t[h].v;
    t[h].k = k + 1;
    t[h].v = v;
    return isnew;
}

static uint64_t get(uint64_t k)
{
    uint64_t h = (k * 0x9E3779B97F4A7C15ull) >> 42;
    while (mt[h].k && mt[h].k != k + 1)
        h = (h + 1) & (MT - 1);
    return mt[h].k ? mt[h].v : ~0ull;
}

#define PA 0x000ffffffffff000ull
static uint64_t cr3, cr4;
static int psize, pglobal, pu, pw, pnx;
/* an unbounded TLB driven only by the recorded events: a hit that disagrees with the recorded
   guest-physical page means an invalidation is missing from the trace */
static struct {
    uint64_t k, v, gen;
} * tlb;
static uint64_t gen_pcid[4096], gen_all, tlbhit, tlbstale, walks, pcid;
/* gpa page; ~0: not present; ~1: table page unknown */
static uint64_t walk(uint64_t va)
{
    uint64_t t = cr3 & PA;
    int top = cr4 & 0x1000 ? 5 : 4;
    pu = pw = 1;
    pnx = 0;
    for (int l = top; l >= 1; l--) {
        uint64_t f = t >> 12;
        if (f >= FRAMES || !mem[f])
            return ~1ull;
        uint64_t e = mem[f][va >> (12 + 9 * (l - 1)) & 511];
        if (!(e & 1))
            return ~0ull;
        pu &= e >> 2 & 1;
        pw &= e >> 1 & 1;
        pnx |= (int)(e >> 63);
        if (l == 1 || (l <= 3 && (e & 0x80))) {
            uint64_t m = (1ull << (12 + 9 * (l - 1))) - 1;
            psize = l;
            pglobal = e >> 8 & 1;
            return (((e & PA & ~m) | (va & m)) >> 12);
        }
        t = e & PA;
    }
    return ~0ull;
}

static uint64_t slot(uint64_t key)
{
    uint64_t h = (key * 0x9E3779B97F4A7C15ull) >> 42;
    while (tlb[h].k && tlb[h].k != key + 1)
        h = (h + 1) & (MT - 1);
    return h;
}

#define KEY(vp, p) (((vp)&0xfffffffffffffull) | (uint64_t)(p) << 52)
#define GEN(p) (gen_all << 32 | gen_pcid[p])
static void tlb_look(uint64_t vp, uint64_t gp)
{
    static const unsigned G = 4094; /* pseudo PCID of global entries */
    for (int i = 0; i < 2; i++) {
        unsigned p = i ? G : (unsigned)pcid;
        uint64_t h = slot(KEY(vp, p));
        if (tlb[h].k && tlb[h].gen == GEN(p) + 1) {
            tlbhit++;
            if (tlb[h].v != gp)
                tlbstale++;
            return;
        }
    }
    unsigned p = pglobal && (cr4 & 0x80) ? G : (unsigned)pcid;
    uint64_t h = slot(KEY(vp, p));
    walks++;
    tlb[h].k = KEY(vp, p) + 1;
    tlb[h].v = gp;
    tlb[h].gen = GEN(p) + 1;
}

static void tlb_inv(uint64_t va, unsigned p)
{
    uint64_t h = slot(KEY(va >> 12, p));
    if (tlb[h].k)
        tlb[h].gen = 0;
}

static void fail(const char *what, uint64_t rec)
{
    fflush(stdout);
    fprintf(stderr, "pgdump: record %" PRIu64 " %s\n", rec, what);
    exit(1);
}

int main(int c, char **v)
{
    int text = c > 1 && !strcmp(v[1], "-t");
    char *end = "";
    uint64_t maxn = c > 2 ? strtoull(v[2], &end, 0) : ~0ull;
    if (c > 3 || (c > 1 && !text) || *end || (c > 2 && !*v[2])) {
        fprintf(stderr, "pgdump: the only arguments are -t and, after it, a number of records\n");
        return 2;
    }
    char line[65536];
    if (!fgets(line, sizeof line, stdin) || strncmp(line, "PGREC1 ", 7)) {
        fprintf(stderr, "pgdump: the input is not a PGREC1 trace; unpack a compressed one with zcat first\n");
        return 1;
    }
    printf("%s", line);
    mt = calloc(MT, sizeof *mt);
    pg = calloc(MT, sizeof *pg);
    tlb = calloc(MT, sizeof *tlb);
    uint64_t le = 0, ld = 0, lp = 0, n[4] = {0}, evn[64] = {0}, rec = 0, ok = 0, bad = 0, np = 0, unk = 0,
             ps[4] = {0}, ups[4] = {0}, hw = 0, io = 0, exc[256] = {0}, ptwl[6] = {0}, ptwu = 0, roots = 0,
             usr = 0, broken = 1, frun = 0, insn[32] = {0}, cr3same = 0, flushing = 0, noflush = 0, perm = 0;
    int mode = 0;
    static uint8_t rootseen[FRAMES];
    for (; rec < maxn; rec++) {
        int h = getchar_unlocked();
        if (h == EOF) {
            printf("no END record\n");
            break;
        }
        int k = h & 3;
        if (k < 3) {
            uint64_t va;
            unsigned size;
            if (k == 0) {
                size = h >> 2 & 15;
                va = le;
                if (!(h & 64))
                    va += (uint64_t)sv();
                le = va + size;
            } else {
                size = 1u << (h >> 2 & 7);
                ld += (uint64_t)sv();
                va = ld;
                hw += h >> 5 & 1;
                io += h >> 6 & 1;
            }
            n[k]++;
            usr += (mode & 3) == 3;
            uint64_t gp = get(va >> 12), w = walk(va);
            if (w == gp) {
                ok++;
                ps[psize]++;
                if (!(va >> 63))
                    ups[psize]++;
            } else if (w == ~1ull)
                unk++;
            else if (w == ~0ull)
                np++;
            else
                bad++;
            if (!text && evn[2] && w != gp && bad + np + unk <= 5)
                printf("mismatch rec %" PRIu64 " kind %d va %" PRIx64 " recorded %" PRIx64 " walked %" PRIx64
                       " cr3 %" PRIx64 "\n",
                       rec, k, va, gp, w, cr3);
            if (w == gp) {
                tlb_look(va >> 12, gp);
                int user = (mode & 3) == 3 && !(k && (h & 32));
                if ((user && !pu) || (k == 2 && !pw) || (k == 0 && pnx) ||
                    (!user && pu && (k == 0 ? cr4 >> 20 & 1 : (cr4 >> 21 & 1) && !(mode & 4)))) {
                    if (!text && perm++ < 3)
                        printf("permission: rec %" PRIu64 " kind %d va %" PRIx64 " mode %d u %d w %d nx %d\n",
                               rec, k, va, mode, pu, pw, pnx);
                }
            }
            npgs += put(pg, (va >> 12) ^ ((va >> 63) ? 0 : (cr3 & PA) << 20), 1, NULL);
            if (text)
                printf("%c%s%s %016" PRIx64 " %u gpa %" PRIx64 "\n", "FRW"[k], k && (h & 32) ? "h" : "",
                       k && (h & 64) ? "i" : "", va, size, gp << 12 | (va & 4095));
            continue;
        }
        int t = h >> 2;
        evn[t & 63]++;
        switch (t) {
        case 1: {
            uint64_t x = uv();
            if (text)
                printf("CR0 %" PRIx64 "\n", x);
            break;
        }
        case 2: {
            uint64_t o = cr3;
            cr3 = uv();
            if (cr4 & 0x20000) {
                pcid = cr3 & 0xfff;
                if (!(cr3 >> 63)) {
                    gen_pcid[pcid]++;
                    flushing++;
                } else
                    noflush++;
            } else {
                pcid = 0;
                gen_pcid[0]++;
                flushing++;
            }
            if (pcid == 4094) {
                printf("PCID 4094 clashes with the checker\n");
                return 1;
            }
            cr3same += o == cr3;
            if ((cr3 & PA) >> 12 < FRAMES && !rootseen[(cr3 & PA) >> 12]++)
                roots++;
            if (text)
                printf("CR3 %" PRIx64 "\n", cr3);
            break;
        }
        case 3:
            cr4 = uv();
            gen_all++;
            if (text)
                printf("CR4 %" PRIx64 "\n", cr4);
            break;
        case 4: {
            uint64_t x = uv();
            if (text)
                printf("EFER %" PRIx64 "\n", x);
            break;
        }
        case 5:
            mode = g();
            if (text)
                printf("MODE cpl %d ac %d\n", mode & 3, mode >> 2 & 1);
            break;
        case 6: {
            uint64_t x = uv();
            tlb_inv(x, (unsigned)pcid);
            tlb_inv(x, 4094);
            if (text)
                printf("INVLPG %" PRIx64 "\n", x);
            break;
        }
        case 7: {
            int x = g();
            uint64_t e = uv(), r = uv(), a = uv();
            exc[x & 255]++;
            if (text)
                printf("EXC %d err %" PRIx64 " rip %" PRIx64 " cr2 %" PRIx64 "\n", x, e, r, a);
            break;
        }
        case 8: {
            uint64_t f = uv();
            int l = g();
            uint64_t m = uv();
            if (f >= FRAMES || l < 1 || l > 5 || m > 512)
                fail("names a table that cannot be: beyond 4 GiB, or of a wrong level or size", rec);
            lvl[f] = (uint8_t)l;
            if (!mem[f])
                mem[f] = malloc(4096);
            memset(mem[f], 0, 4096);
            if (text)
                printf("PTP frame %" PRIx64 " level %d entries %" PRIu64 "\n", f, l, m);
            for (uint64_t i = 0, x = 0; i < m; i++) {
                x += uv();
                if (x > 511)
                    fail("has a table entry above 511", rec);
                mem[f][x] = uv();
                if (text)
                    printf("    [%" PRIu64 "] %016" PRIx64 "\n", x, mem[f][x]);
            }
            break;
        }
        case 9: {
            uint64_t f = uv();
            if (f >= FRAMES)
                fail("names a frame beyond 4 GiB", rec);
            free(mem[f]);
            mem[f] = NULL;
            lvl[f] = 0;
            if (text)
                printf("PTPDROP %" PRIx64 "\n", f);
            break;
        }
        case 10: {
            lp += (uint64_t)(sv() * 8);
            uint64_t x = uv();
            if (lp >> 12 < FRAMES && mem[lp >> 12]) {
                mem[lp >> 12][lp >> 3 & 511] = x;
                ptwl[lvl[lp >> 12]]++;
            } else
                ptwu++;
            if (text)
                printf("PTW %" PRIx64 " %016" PRIx64 "\n", lp, x);
            break;
        }
        case 11: {
            uint64_t x = (uint64_t)sv() & 0xfffffffffffffull, y = uv();
            put(mt, x, y, NULL);
            if (text)
                printf("MAP %" PRIx64 " %" PRIx64 "\n", x << 12, y << 12);
            break;
        }
        case 12: {
            int x = g();
            if (text)
                printf("MARK %d\n", x);
            break;
        }
        case 13: {
            int x = g();
            insn[x & 31]++;
            if (text)
                printf("INSN %d\n", x);
            break;
        }
        case 14: {
            uint64_t x = uv();
            frun += x;
            if (text)
                printf("FRUN %" PRIu64 "\n", x);
            break;
        }
        case 15: {
            uint64_t a = uv(), b = uv(), d = uv();
            printf("END fetch %" PRIu64 " read %" PRIu64 " write %" PRIu64 "\n", a, b, d);
            /* with fetch=page the recorder does not write its last run */
            broken =
                b != n[1] || d != n[2] || (strstr(line, "\"fetch\":\"page\"") ? a < n[0] + frun : a != n[0]);
            if (broken)
                printf("END disagrees with the records\n");
            goto done;
        }
        case 16: {
            uint64_t a = uv(), b = uv(), d = uv();
            if (a == 0)
                tlb_inv(d, b & 4095);
            else if (a == 1)
                gen_pcid[b & 4095]++;
            else if (a == 2)
                gen_all++;
            else
                for (int i = 0; i < 4094; i++)
                    gen_pcid[i]++;
            if (text)
                printf("INVPCID %" PRIu64 " %" PRIx64 " %" PRIx64 "\n", a, b, d);
            break;
        }
        case 17: {
            uint64_t x = uv();
            if (text)
                printf("CR2 %" PRIx64 "\n", x);
            break;
        }
        default:
            printf("bad record type %d at %" PRIu64 "\n", t, rec);
            return 1;
        }
    }
done:
    if (text)
        return maxn == ~0ull && broken;
    printf("records %" PRIu64 "  fetch %" PRIu64 " (+%" PRIu64 " in runs) read %" PRIu64 " write %" PRIu64
           "  user-mode %.1f%%  hw %" PRIu64 " io %" PRIu64 "\n",
           rec, n[0], frun, n[1], n[2], 100.0 * (double)usr / (double)(n[0] + n[1] + n[2]), hw, io);
    printf("distinct 4K pages (per address space for user half) %" PRIu64 "  roots %" PRIu64
           "  CR3 loads %" PRIu64 " (same value %" PRIu64 ", flushing %" PRIu64 ", no-flush %" PRIu64
           ")  INVPCID %" PRIu64 "  CR4 %" PRIu64 "  INVLPG %" PRIu64 "  MODE %" PRIu64 "\n",
           npgs, roots, evn[2], cr3same, flushing, noflush, evn[16], evn[3], evn[6], evn[5]);
    printf("PT pages announced %" PRIu64 " dropped %" PRIu64 "  PT writes %" PRIu64 " by level 1..5: %" PRIu64
           " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " (unknown page %" PRIu64 ")  MAP %" PRIu64 "\n",
           evn[8], evn[9], evn[10], ptwl[1], ptwl[2], ptwl[3], ptwl[4], ptwl[5], ptwu, evn[11]);
    printf("exceptions/interrupts %" PRIu64 ":", evn[7]);
    for (int i = 0; i < 256; i++)
        if (exc[i])
            printf(" #%d=%" PRIu64, i, exc[i]);
    printf("\n");
    printf("exit-prone insns: mark/cpuid/hlt/wrmsr/rdmsr/io = %" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%" PRIu64
           "/%" PRIu64 "/%" PRIu64 "\n",
           evn[12], insn[4], insn[5], insn[6], insn[7], insn[8]);
    if (!evn[2]) {
        printf("recorded in user space only: there are no tables to check\n");
        return broken;
    }
    printf("check: walk==recorded gpa %" PRIu64 " (4K %" PRIu64 ", 2M %" PRIu64 ", 1G %" PRIu64
           "); different %" PRIu64 ", not present %" PRIu64 ", table unknown %" PRIu64
           "; permission conflicts (U/W/NX/SMEP/SMAP) %" PRIu64 "\n",
           ok, ps[1], ps[2], ps[3], bad, np, unk, perm);
    printf("user-half addresses by page size: 4K %" PRIu64 ", 2M %" PRIu64 ", 1G %" PRIu64 "\n", ups[1],
           ups[2], ups[3]);
    printf("unbounded TLB driven by CR3/CR4/INVLPG events: hits %" PRIu64 ", walks %" PRIu64
           ", stale hits %" PRIu64 "\n",
           tlbhit, walks, tlbstale);
    return broken || bad || np || unk || ptwu || perm || tlbstale;
}
