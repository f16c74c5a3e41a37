/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bx2pgrec.c - turns the text output of the Debian 12 package bochs (2.7; internal debugger with "trace on",
 * "trace-mem on", "trace-reg on") into a PGREC1 trace. Bochs implements PCID, INVPCID and the no-flush bit
 * of CR3, which QEMU's TCG does not.
 *
 *   gcc -O2 -Wall -o bx2pgrec bx2pgrec.c
 *   bochs-bin -q -f bochsrc < commands | ./bx2pgrec RAM_IMAGE MIB ACCESSES [META] | gzip -9n > t.pgrec.gz
 *
 * RAM_IMAGE is the guest's RAM at the start of the trace, written by the debugger command
 *   writemem "ram.bin" 0xffff888000000000 0x10000000     (256 MiB, guest booted with nokaslr)
 * bochs.sh does all of it.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <inttypes.h>

enum {
    EV_CR0 = 1,
    EV_CR3,
    EV_CR4,
    EV_EFER,
    EV_MODE,
    EV_INVLPG,
    EV_EXC,
    EV_PTP,
    EV_PTPDROP,
    EV_PTW,
    EV_MAP,
    EV_MARK,
    EV_INSN,
    EV_FRUN,
    EV_END,
    EV_INVPCID,
    EV_CR2
};
static void b1(int c)
{
    putchar_unlocked(c);
}

static void uv(uint64_t v)
{
    while (v >= 128) {
        b1((int)(v & 127) | 128);
        v >>= 7;
    }
    b1((int)v);
}

static void sv(int64_t v)
{
    uv(((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void ev(int t)
{
    b1(3 | t << 2);
}

#define PA 0x000ffffffffff000ull
static uint8_t *ram;
static uint64_t nframes;
static struct ptp {
    uint8_t level, root;
    int refs;
    uint64_t *copy;
} * ptps;
static uint64_t cr0, cr3, cr4, efer, last_ptw, n[3], nptw, ncr3, nflush, ninvl, ninvp, nexc, npf, nmap, hw;
static void ptp_add(uint64_t gpa, int level)
{
    uint64_t f = gpa >> 12;
    if (f >= nframes)
        return;
    struct ptp *p = &ptps[f];
    if (p->level) {
        p->refs++;
        return;
    }
    p->level = (uint8_t)level;
    p->refs = 1;
    p->root = 0;
    if (!p->copy)
        p->copy = malloc(4096);
    memcpy(p->copy, ram + gpa, 4096);
    int k = 0, last = 0;
    for (int i = 0; i < 512; i++)
        k += p->copy[i] != 0;
    ev(EV_PTP);
    uv(f);
    b1(level);
    uv((uint64_t)k);
    for (int i = 0; i < 512; i++)
        if (p->copy[i]) {
            uv((uint64_t)(i - last));
            last = i;
            uv(p->copy[i]);
        }
    if (level > 1)
        for (int i = 0; i < 512; i++)
            if ((p->copy[i] & 1) && (level > 3 || !(p->copy[i] & 0x80)))
                ptp_add(p->copy[i] & PA, level - 1);
}

static void ptp_del(uint64_t gpa, int level)
{
    uint64_t f = gpa >> 12;
    if (f >= nframes)
        return;
    struct ptp *p = &ptps[f];
    if (p->level != level || --p->refs > 0)
        return;
    p->level = 0;
    p->root = 0;
    ev(EV_PTPDROP);
    uv(f);
    if (level > 1)
        for (int i = 0; i < 512; i++)
            if ((p->copy[i] & 1) && (level > 3 || !(p->copy[i] & 0x80)))
                ptp_del(p->copy[i] & PA, level - 1);
}

static void root_drop(uint64_t f)
{
    if (f >= nframes || !ptps[f].root || f == (cr3 & PA) >> 12)
        return;
    for (int i = 0; i < 256; i++)
        if (ptps[f].copy[i])
            return;
    ptps[f].refs = 1;
    ptp_del(f << 12, ptps[f].level);
}

static void ptp_store(uint64_t gpa, unsigned size)
{
    struct ptp *p = &ptps[gpa >> 12];
    for (uint64_t a = gpa & ~7ull; a < gpa + size && a >> 12 == gpa >> 12; a += 8) {
        int i = (int)(a >> 3 & 511), lv = p->level;
        uint64_t old = p->copy[i], val;
        memcpy(&val, ram + a, 8);
        ev(EV_PTW);
        sv((int64_t)(a - last_ptw) >> 3);
        uv(val);
        last_ptw = a;
        nptw++;
        p->copy[i] = val;
        if (lv > 1) {
            int o = (old & 1) && (lv > 3 || !(old & 0x80)), w = (val & 1) && (lv > 3 || !(val & 0x80));
            if (w && !(o && (old & PA) == (val & PA)))
                ptp_add(val & PA, lv - 1);
            if (o && !(w && (old & PA) == (val & PA)))
                ptp_del(old & PA, lv - 1);
        }
        if (p->root && i < 256 && !val)
            root_drop(gpa >> 12);
    }
}

static void cr3_ev(uint64_t v)
{
    static uint64_t lastf = ~0ull;
    uint64_t f = (v & PA) >> 12;
    ev(EV_CR3);
    uv(v);
    ncr3++;
    nflush += !(v >> 63);
    cr3 = v & ~(1ull << 63);
    if (f < nframes && !ptps[f].root) {
        if (ptps[f].level) {
            ptps[f].refs = 1;
            ptp_del(f << 12, ptps[f].level);
        }
        ptp_add(f << 12, 4);
        ptps[f].root = 1;
    }
    if (lastf != ~0ull && lastf != f)
        root_drop(lastf);
    lastf = f;
}

#define MT (1u << 20)
static struct {
    uint64_t v, p;
} * mt;
static void map(uint64_t vp, uint64_t pp)
{
    uint64_t h = (vp * 0x9E3779B97F4A7C15ull) >> 44;
    while (mt[h].v && mt[h].v != vp + 1)
        h = (h + 1) & (MT - 1);
    if (mt[h].v && mt[h].p == pp)
        return;
    mt[h].v = vp + 1;
    mt[h].p = pp;
    ev(EV_MAP);
    sv((int64_t)(vp << 12) >> 12);
    uv(pp);
    nmap++;
}

static uint64_t walk(uint64_t va)
{
    uint64_t t = cr3 & PA;
    for (int l = 4; l; l--) {
        if (t >> 12 >= nframes)
            return ~0ull;
        uint64_t e;
        memcpy(&e, ram + t + 8 * (va >> (12 + 9 * (l - 1)) & 511), 8);
        if (!(e & 1))
            return ~0ull;
        if (l == 1 || (l <= 3 && (e & 0x80))) {
            uint64_t m = (1ull << (12 + 9 * (l - 1))) - 1;
            return ((e & PA & ~m) | (va & m)) >> 12;
        }
        t = e & PA;
    }
    return ~0ull;
}

static uint64_t le, ld;
static void data(uint64_t va, uint64_t pa, unsigned size, int store, int h)
{
    int lg = 0;
    while ((1u << lg) < size)
        lg++;
    map(va >> 12, pa >> 12);
    b1((store ? 2 : 1) | lg << 2 | h << 5);
    sv((int64_t)(va - ld));
    ld = va;
    n[1 + store]++;
    hw += (uint64_t)h;
    if (store && pa >> 12 < nframes && ptps[pa >> 12].level)
        ptp_store(pa, size);
}

static uint64_t regs[16], eflags;
static int regidx(const char *s)
{
    static const char *k[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15"};
    for (int i = 0; i < 16; i++)
        if (!memcmp(s, k[i], 3))
            return i;
    return -1;
}

/* Memory operand of INVLPG and INVPCID. */
static uint64_t operand(const uint8_t *b)
{
    int rex = 0, i = 0;
    uint64_t a = 0;
    int32_t d;
    while (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3 || b[i] == 0x65)
        i++;
    if ((b[i] & 0xf0) == 0x40)
        rex = b[i++];
    i += b[i + 1] == 0x38 ? 3 : 2;
    int mod = b[i] >> 6, rm = b[i] & 7;
    i++;
    if (rm == 4) {
        int s = b[i++], x = (s >> 3 & 7) | (rex & 2) << 2;
        if (x != 4)
            a = regs[x] << (s >> 6);
        a += regs[(s & 7) | (rex & 1) << 3];
    } else
        a = regs[rm | (rex & 1) << 3];
    if (mod == 1)
        a += (uint64_t)(int64_t)(int8_t)b[i];
    if (mod == 2) {
        memcpy(&d, b + i, 4);
        a += (uint64_t)(int64_t)d;
    }
    return a;
}

static uint64_t number(const char *what, const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end && value)
        return value;
    fprintf(stderr, "bx2pgrec: %s is %s, not a number above 0\n", what, text);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "bx2pgrec: the arguments are RAM_IMAGE MIB ACCESSES [META]\n");
        return 2;
    }
    const char *meta = argc > 4 ? argv[4] : "";
    if (strpbrk(meta, "\"\\\n")) {
        fprintf(stderr, "bx2pgrec: META holds a quote, a backslash or a line feed\n");
        return 2;
    }
    uint64_t mb = number("MIB", argv[2]), limit = number("ACCESSES", argv[3]);
    uint64_t rw_va = 0, last_ip = ~0ull, idt = 0xfffffe0000000000ull, frame[16], gate[2] = {0}, late_cr2 = 0;
    int started = 0, mode = -1, exc = -1, nframe = 0, cr2reg = -1, pend_inv = 0;
    nframes = mb << 8;
    ram = calloc(nframes + 1, 4096);
    ptps = calloc(nframes, sizeof *ptps);
    mt = calloc(MT, sizeof *mt);
    char *l = NULL;
    size_t cap = 0;
    ssize_t len;
    static char obuf[1 << 20];
    setvbuf(stdout, obuf, _IOFBF, sizeof obuf);
    while ((len = getline(&l, &cap, stdin)) > 0) {
        if (!started) {
            char *p;
            if (!strncmp(l, "CR0=0x", 6))
                cr0 = strtoull(l + 4, 0, 16);
            else if (!strncmp(l, "CR3=0x", 6))
                cr3 = strtoull(l + 4, 0, 16);
            else if (!strncmp(l, "CR4=0x", 6))
                cr4 = strtoull(l + 4, 0, 16);
            else if (!strncmp(l, "EFER=0x", 7))
                efer = strtoull(l + 5, 0, 16);
            else if ((p = strstr(l, "Register-Tracing enabled"))) {
                FILE *f = fopen(argv[1], "rb");
                if (!f) {
                    fprintf(stderr,
                            "bx2pgrec: %s cannot be read; check that writemem came before the trace\n",
                            argv[1]);
                    return 1;
                }
                size_t k = fread(ram, 1, nframes << 12, f);
                fclose(f);
                fprintf(stderr, "ram image %zu bytes cr3 %" PRIx64 " cr4 %" PRIx64 "\n", k, cr3, cr4);
                printf("PGREC1 {\"ram_mb\":%" PRIu64 ",\"fetch\":\"insn\",\"cr0\":\"%" PRIx64
                       "\",\"cr3\":\"%" PRIx64 "\",\"cr4\":\"%" PRIx64 "\",\"efer\":\"%" PRIx64
                       "\",\"source\":\"bochs\",\"meta\":\"%s\"}\n",
                       mb, cr0, cr3, cr4, efer, meta);
                ev(EV_CR0);
                uv(cr0);
                ev(EV_CR4);
                uv(cr4);
                ev(EV_EFER);
                uv(efer);
                cr3_ev(cr3);
                started = 1;
            }
            continue;
        }
        if (l[0] == 'r' && l[3] == ':') {
            int i = regidx(l);
            char *q;
            if (i >= 0) {
                uint64_t hi = strtoull(l + 5, &q, 16);
                regs[i] = hi << 32 | strtoull(q + 1, 0, 16);
            }
        } else if (!strncmp(l, "eflags", 6)) {
            eflags = strtoull(l + 7, 0, 16);
            if (cr2reg >= 0) {
                late_cr2 = regs[cr2reg];
                ev(EV_CR2);
                uv(late_cr2);
                cr2reg = -1;
            }
        } else if (!strncmp(l, "(0).[", 5)) {
            char *p = strstr(l, "] [0x");
            if (!p)
                continue;
            uint64_t pa = strtoull(p + 3, &p, 16);
            unsigned cs = (unsigned)strtoul(p + 2, &p, 16);
            uint64_t va = strtoull(p + 1, &p, 16);
            char *q = strrchr(l, ';');
            if (!q)
                continue;
            uint8_t b[16] = {0};
            int sz = 0;
            for (q += 2; sz < 15 && q[0] > ' ' && q[1] > ' '; q += 2) {
                char t[3] = {q[0], q[1], 0};
                b[sz++] = (uint8_t)strtoul(t, 0, 16);
            }
            int ext = 0;
            if (exc >= 0) { /* first instruction of the handler: the frame is complete */
                static const uint8_t he[32] = {
                    [8] = 1, [10] = 1, [11] = 1, [12] = 1, [13] = 1, [14] = 1, [17] = 1};
                int e = exc < 32 && he[exc];
                ev(EV_EXC);
                b1(exc);
                uv(e && nframe ? frame[nframe - 1] : 0);
                uv(nframe > e ? frame[nframe - 1 - e] : 0);
                uv(0);
                /* after an external interrupt this line still names the interrupted instruction: the address
                   is taken from the IDT gate, and the length (not in the log) is given as 1 */
                if (exc >= 32) {
                    ext = 1;
                    va = (gate[0] & 0xffff) | (gate[0] >> 48 << 16) | gate[1] << 32;
                    pa = walk(va) << 12 | (va & 4095);
                    sz = 1;
                    cs = 0x10;
                }
                nexc++;
                npf += exc == 14;
                exc = -1;
                last_ip = ~0ull;
            }
            int m = (int)(cs & 3) | (int)(eflags >> 18 & 1) << 2;
            if (m != mode) {
                ev(EV_MODE);
                b1(m);
                mode = m;
            }
            if (va == last_ip && (b[0] == 0xf3 || b[0] == 0xf2))
                continue; /* next iteration of REP */
            last_ip = va;
            n[0]++;
            map(va >> 12, pa >> 12);
            if ((va + (unsigned)sz - 1) >> 12 != va >> 12)
                map((va + (unsigned)sz - 1) >> 12, walk(va + (unsigned)sz - 1));
            if (va == le)
                b1(sz << 2 | 64);
            else {
                b1(sz << 2);
                sv((int64_t)(va - le));
            }
            le = va + (unsigned)sz;
            int i = 0;
            while (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3 || b[i] == 0x65)
                i++;
            int rex = (b[i] & 0xf0) == 0x40 ? b[i++] : 0;
            pend_inv = 0;
            if (ext)
                continue;
            if (b[i] == 0x0f) {
                uint8_t o = b[i + 1], md = b[i + 2];
                int r = (md & 7) | (rex & 1) << 3, c = (md >> 3 & 7);
                if (o == 0x22) {
                    if (c == 3)
                        cr3_ev(regs[r]);
                    else if (c == 4) {
                        ev(EV_CR4);
                        uv(regs[r]);
                        cr4 = regs[r];
                    } else if (c == 0) {
                        ev(EV_CR0);
                        uv(regs[r]);
                    }
                } else if (o == 0x20 && c == 2)
                    cr2reg = r;
                else if (o == 0x01 && md >> 6 != 3 && c == 7) {
                    ev(EV_INVLPG);
                    uv(operand(b));
                    ninvl++;
                } else if (o == 0x38 && md == 0x82)
                    pend_inv = 1 + ((b[i + 3] >> 3 & 7) | (rex & 4) << 1);
                else if (o == 0xa2) {
                    ev(EV_INSN);
                    b1(4);
                } else if (o == 0x30) {
                    ev(EV_INSN);
                    b1(6);
                } else if (o == 0x32) {
                    ev(EV_INSN);
                    b1(7);
                }
            } else if (b[i] == 0xf4) {
                ev(EV_INSN);
                b1(5);
            } else if ((b[i] >= 0xe4 && b[i] <= 0xe7) || (b[i] >= 0xec && b[i] <= 0xef) ||
                       (b[i] >= 0x6c && b[i] <= 0x6f)) {
                ev(EV_INSN);
                b1(8);
            }
            if (n[0] + n[1] + n[2] >= limit)
                break;
        } else if (!strncmp(l, "[CPU0 ", 6)) {
            char k = l[6] == 'W' ? 'W' : (l[7] == 'W' ? 'M' : 'R'); /* M: read-modify-write */
            char *p = strstr(l, "LIN "), *q = strstr(l, "PHY "), *s = strstr(l, "len=");
            uint64_t va = 0, pa, v[8] = {0};
            int nv = 0;
            if (!q || !s)
                continue;
            if (p)
                va = strtoull(p + 4, 0, 16);
            pa = strtoull(q + 4, 0, 16);
            unsigned size = (unsigned)atoi(s + 4);
            char *c = strstr(s, "): ");
            if (c) {
                c += 3;
                while (nv < 8 && c[0] == '0' && c[1] == 'x') {
                    v[nv++] = strtoull(c, &c, 16);
                    while (*c == ' ')
                        c++;
                }
            }
            int store = k == 'W';
            if (store && pa + size <= nframes << 12) { /* words are printed most significant first */
                if (size <= 4)
                    memcpy(ram + pa, &v[0], size);
                else
                    for (int i = 0; i < nv; i++) {
                        uint32_t w = (uint32_t)v[nv - 1 - i];
                        memcpy(ram + pa + 4 * i, &w, 4);
                    }
            }
            if (!p) {
                if (strchr(l, ';'))
                    continue; /* the MMU's own page-table reads and A/D updates */
                if (store)    /* second half of a read-modify-write */
                    data(rw_va, pa, size, 1, 0);
                continue;
            }
            if (k == 'M') {
                rw_va = va;
                data(va, pa, size, 0, 0);
                continue;
            }
            int h = 0;
            if (!store && va >= idt && va < idt + 4096) {
                if (exc < 0) {
                    exc = (int)(va - idt) >> 4;
                    nframe = 0;
                }
                if (size == 8)
                    gate[va >> 3 & 1] = v[0] << 32 | v[1];
                h = 1;
            }
            if (exc >= 0) {
                h = 1;
                if (store && nframe < 16)
                    frame[nframe++] = size == 8 ? v[0] << 32 | v[1] : v[0];
            }
            data(va, pa, size, store, h);
            if (pend_inv && !store && size == 16) {
                ev(EV_INVPCID);
                uv(regs[pend_inv - 1]);
                uv(v[2] << 32 | v[3]);
                uv(v[0] << 32 | v[1]);
                ninvp++;
                pend_inv = 0;
            }
        }
    }
    if (!started) {
        fprintf(
            stderr,
            "bx2pgrec: the input has no \"trace-reg on\"; the guest did not reach the start of the window\n");
        return 1;
    }
    ev(EV_END);
    uv(n[0]);
    uv(n[1]);
    uv(n[2]);
    fflush(stdout);
    fprintf(stderr,
            "fetch %" PRIu64 " read %" PRIu64 " write %" PRIu64 " hw %" PRIu64 " cr3 %" PRIu64
            " (flushing %" PRIu64 ") invlpg %" PRIu64 " invpcid %" PRIu64 " exc %" PRIu64 " pf %" PRIu64
            " ptw %" PRIu64 " map %" PRIu64 "\n",
            n[0], n[1], n[2], hw, ncr3, nflush, ninvl, ninvp, nexc, npf, nptw, nmap);
    return 0;
}
