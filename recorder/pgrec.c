/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pgrec.c - records a whole guest: a TCG plugin for Debian's package
 * qemu-system-x86 (QEMU 7.2 or later, built with plugins).
 *
 * No QEMU source or header is needed: the few prototypes of the plugin API
 * are declared below, and functions that the Debian binary exports
 * dynamically are used to read registers and guest memory.
 *
 *   gcc -O2 -shared -fPIC -Wall -o pgrec.so pgrec.c
 *   qemu-system-x86_64 -accel tcg -smp 1 -m 512 ... \
 *       -plugin ./pgrec.so,out=t.pgrec,limit=5000000,ram=512
 *
 * Options: out=FILE, or fd=N, an open descriptor (`nestwalk trace record` reads it and writes a .nwt file);
 * limit=ACCESSES; ram=MIB, the same as -m; fetch=insn or page; meta=TEXT, which goes into the header line.
 * Recording starts at the marker instruction that mark.c executes, and ends at the limit, at
 * marker 2 or when the guest powers off. The format is described in traces/FORMAT.md, parts 2 and 3.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdbool.h>
#include <stddef.h>
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/time.h>

/* ------------------------------------------------ plugin API            */
#define EXPORT __attribute__((visibility("default")))
#ifndef PLUGIN_API /* 1: QEMU 7 and 8 (Debian 12 has 7.2); 2: 9.0; 3: 9.1; 4: 9.2 and later (Debian 13 has 10.0) */
#define PLUGIN_API 1
#endif
EXPORT int qemu_plugin_version = PLUGIN_API;
typedef uint64_t qid;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef void (*vcpu_udata_cb)(unsigned, void *);
typedef void (*vcpu_mem_cb)(unsigned, uint32_t, uint64_t, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qid, void (*)(qid, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, vcpu_udata_cb, int, void *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, vcpu_udata_cb, int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, vcpu_mem_cb, int, int, void *);
extern void qemu_plugin_register_atexit_cb(qid, void (*)(qid, void *), void *);
extern void qemu_plugin_reset(qid, void (*)(qid));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
#if PLUGIN_API >= 3
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#define GET_BYTES(q, buf, n) qemu_plugin_insn_data(q, buf, n)
#else
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#define GET_BYTES(q, buf, n) memcpy(buf, qemu_plugin_insn_data(q), n)
#endif
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
extern unsigned qemu_plugin_mem_size_shift(uint32_t);
extern bool qemu_plugin_mem_is_store(uint32_t);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t, uint64_t);
extern bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
/* ------------------------- exported by the Debian binary (not plugin API) */
extern void *qemu_get_cpu(int);
extern void cpu_dump_state(void *cpu, FILE *f, int flags);
extern int cpu_memory_rw_debug(void *cpu, uint64_t va, void *buf, size_t len, bool wr);
extern uint64_t cpu_get_phys_page_debug(void *cpu, uint64_t va);
extern void cpu_physical_memory_rw(uint64_t pa, void *buf, uint64_t len, bool wr);
extern void *qemu_map_ram_ptr(void *block, uint64_t ram_addr);

/* ---------------------------------------------------------------- options */
static qid plugin_id;
static const char *out_name;
static uint64_t out_fd, limit = 5000000, ram_mb = 512;
static int fetch_page_mode;
static const char *meta = "";

/* ---------------------------------------------------------------- globals */
static int recording, finished, want_start;
static FILE *out;
static void *cpu;
static uint64_t *env_regs; /* regs[16], then eip, eflags           */
static uint32_t *env_hflags;
static uint64_t *env_cr; /* cr[5]                                */
static uint64_t idt_base, efer;
static uint8_t *ram; /* host address of guest-physical 0     */
static uint64_t nframes;

static uint64_t n_fetch, n_read, n_write, n_hw, n_map, n_ptw, n_ptp, n_ptpdrop, n_cr3, n_cr3same, n_invlpg,
    n_exc[256], n_exc_total, n_relocated, n_tb, n_io, n_insn_seen, n_ptw_same, n_rep, n_deliver;

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
    EV_INVPCID
};

/* ---------------------------------------------------------------- output  */
static inline void b1(int c)
{
    putc_unlocked(c, out);
}

static inline void uv(uint64_t v)
{
    while (v >= 128) {
        b1((int)(v & 127) | 128);
        v >>= 7;
    }
    b1((int)v);
}

static inline void sv(int64_t v)
{
    uv(((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static inline void ev(int t)
{
    b1(3 | t << 2);
}

/* -------------------------------------------- guest-physical page tables  */
struct ptp {
    uint8_t level;
    uint8_t root;
    int refs;
    uint64_t *copy;
};
static struct ptp *ptps;
#define PA_MASK 0x000ffffffffff000ull

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
    memcpy(p->copy, ram + (f << 12), 4096);
    int n = 0;
    for (int i = 0; i < 512; i++)
        n += p->copy[i] != 0;
    ev(EV_PTP);
    uv(f);
    b1(level);
    uv((uint64_t)n);
    n_ptp++;
    for (int i = 0, last = 0; i < 512; i++)
        if (p->copy[i]) {
            uv((uint64_t)(i - last));
            last = i;
            uv(p->copy[i]);
        }
    if (level > 1)
        for (int i = 0; i < 512; i++)
            if ((p->copy[i] & 1) && (level > 3 || !(p->copy[i] & 0x80)))
                ptp_add(p->copy[i] & PA_MASK, level - 1);
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
    n_ptpdrop++;
    if (level > 1)
        for (int i = 0; i < 512; i++)
            if ((p->copy[i] & 1) && (level > 3 || !(p->copy[i] & 0x80)))
                ptp_del(p->copy[i] & PA_MASK, level - 1);
}

static uint64_t last_ptw;
static int cur_levels(void)
{
    return (env_cr[4] & 0x1000) ? 5 : 4;
}

static void root_maybe_drop(uint64_t f)
{
    if (f >= nframes || !ptps[f].root || f == (env_cr[3] & PA_MASK) >> 12)
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
    for (uint64_t a = gpa & ~7ull; a < gpa + size && (a >> 12) == (gpa >> 12); a += 8) {
        int i = (int)(a >> 3 & 511);
        uint64_t old = p->copy[i], val;
        memcpy(&val, ram + a, 8);
        ev(EV_PTW);
        sv((int64_t)(a - last_ptw) >> 3);
        uv(val);
        last_ptw = a;
        n_ptw++;
        if (val == old)
            n_ptw_same++;
        p->copy[i] = val;
        int lv = p->level;
        if (lv > 1) {
            int o = (old & 1) && (lv > 3 || !(old & 0x80)), n = (val & 1) && (lv > 3 || !(val & 0x80));
            if (n && !(o && (old & PA_MASK) == (val & PA_MASK)))
                ptp_add(val & PA_MASK, lv - 1);
            if (o && !(n && (old & PA_MASK) == (val & PA_MASK)))
                ptp_del(old & PA_MASK, lv - 1);
        }
        if (p->root && i < 256 && !val)
            root_maybe_drop(gpa >> 12);
    }
}

static void cr3_event(uint64_t v)
{
    static uint64_t last_root = ~0ull;
    ev(EV_CR3);
    uv(v);
    n_cr3++;
    uint64_t f = (v & PA_MASK) >> 12;
    if (last_root == f)
        n_cr3same++;
    if (f < nframes && !ptps[f].root) {
        if (ptps[f].level) {
            ptps[f].refs = 1;
            ptp_del(f << 12, ptps[f].level);
        }
        ptp_add(f << 12, cur_levels());
        ptps[f].root = 1;
    }
    if (last_root != ~0ull && last_root != f)
        root_maybe_drop(last_root);
    last_root = f;
}

/* ------------------------------------------------- va page -> gpa page    */
struct mapping {
    uint64_t vp, pp; /* vp stored +1, 0: free               */
};
static struct mapping *mt;
static unsigned mt_bits = 16;
static uint64_t mt_used;

static struct mapping *mapping_of(uint64_t vp)
{
    uint64_t mask = (1ull << mt_bits) - 1, h = (vp * 0x9E3779B97F4A7C15ull) >> (64 - mt_bits);
    while (mt[h].vp && mt[h].vp != vp + 1)
        h = (h + 1) & mask;
    return &mt[h];
}

static void mt_grow(void)
{
    struct mapping *old = mt;
    uint64_t n = old ? 1ull << mt_bits : 0;
    mt_bits += n != 0;
    mt = calloc(1ull << mt_bits, sizeof *mt);
    if (!mt) {
        fprintf(stderr, "pgrec: out of memory\n");
        _exit(1);
    }
    for (uint64_t i = 0; i < n; i++)
        if (old[i].vp)
            *mapping_of(old[i].vp - 1) = old[i];
    free(old);
}

static inline void map(uint64_t vp, uint64_t pp)
{
    struct mapping *m = mapping_of(vp);
    if (m->vp && m->pp == pp)
        return;
    if (!m->vp && ++mt_used > (1ull << mt_bits) / 2) {
        mt_grow();
        m = mapping_of(vp);
    }
    m->vp = vp + 1;
    m->pp = pp;
    ev(EV_MAP);
    sv((int64_t)(vp << 12) >> 12);
    uv(pp);
    n_map++;
}

static uint64_t dbg_page(uint64_t va)
{
    return cpu_get_phys_page_debug(cpu, va & ~4095ull) >> 12;
}

/* ---------------------------------------------------------------- finish  */
static struct timeval t0;
static void finish(void)
{
    if (finished || !out)
        return;
    finished = 1;
    recording = 0;
    ev(EV_END);
    uv(n_fetch);
    uv(n_read);
    uv(n_write);
    if (fclose(out))
        fprintf(stderr, "pgrec: the trace could not be written; check the space left\n");
    out = NULL;
    struct timeval t1;
    gettimeofday(&t1, NULL);
    double s = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_usec - t0.tv_usec) / 1e6;
    fprintf(stderr,
            "\n{\"seconds\":%.2f,\"fetch\":%lu,\"read\":%lu,\"write\":%lu,\"hw\":%lu,"
            "\"io\":%lu,\"map\":%lu,\"ptw\":%lu,\"ptw_same\":%lu,\"ptp\":%lu,\"ptpdrop\":%lu,\"cr3\":%lu,"
            "\"cr3_same_root\":%lu,"
            "\"invlpg\":%lu,\"exc\":%lu,\"pf\":%lu,\"tb\":%lu,\"tb_relocated\":%lu,\"rep_iterations\":%lu,"
            "\"delivery_dropped\":%lu}\n",
            s, n_fetch, n_read, n_write, n_hw, n_io, n_map, n_ptw, n_ptw_same, n_ptp, n_ptpdrop,
            n_cr3, n_cr3same, n_invlpg, n_exc_total, n_exc[14], n_tb, n_relocated, n_rep, n_deliver);
    kill(getpid(), SIGTERM);
}

/* ----------------------------------------------------- register access    */
static uint64_t dump_field(const char *txt, const char *key)
{
    const char *p = strstr(txt, key);
    return p ? strtoull(p + strlen(key), NULL, 16) : 0;
}

static int calibrate(void)
{
    char *txt = NULL;
    size_t len = 0;
    cpu = qemu_get_cpu(0);
    FILE *f = open_memstream(&txt, &len);
    cpu_dump_state(cpu, f, 0);
    fclose(f);
    static const char *k[17] = {"RAX=", "RCX=", "RDX=", "RBX=", "RSP=", "RBP=", "RSI=", "RDI=", "R8 =",
                                "R9 =", "R10=", "R11=", "R12=", "R13=", "R14=", "R15=", "RIP="};
    uint64_t want[17], *w = cpu, c[5];
    for (int i = 0; i < 17; i++)
        want[i] = dump_field(txt, k[i]);
    for (size_t i = 0; i < 16384 && !env_regs; i++)
        if (!memcmp(w + i, want, sizeof want))
            env_regs = w + i;
    c[0] = dump_field(txt, "CR0=");
    c[2] = dump_field(txt, "CR2=");
    c[3] = dump_field(txt, "CR3=");
    c[4] = dump_field(txt, "CR4=");
    for (uint64_t *e = env_regs; e && e < env_regs + 4096 && !env_cr; e++)
        if (e[0] == c[0] && e[2] == c[2] && e[3] == c[3] && e[4] == c[4])
            env_cr = e;
    efer = dump_field(txt, "EFER=");
    const char *p = strstr(txt, "IDT=");
    idt_base = p ? strtoull(p + 4, NULL, 16) : 0;
    p = strstr(txt, "CPL=");
    int cpl = p ? p[4] - '0' : -1;
    if (env_regs)
        env_hflags = (uint32_t *)((char *)env_regs + 176);
    if (!env_regs || !env_cr || !p || (int)(*env_hflags & 3) != cpl) {
        fprintf(stderr, "pgrec: cannot find the register file in this QEMU build\n%s", txt);
        free(txt);
        return -1;
    }
    fprintf(stderr, "pgrec: regs at cpu+%ld cr at +%ld cpl %d cr0 %lx cr3 %lx cr4 %lx efer %lx idt %lx\n",
            (long)((char *)env_regs - (char *)cpu), (long)((char *)env_cr - (char *)cpu), cpl, env_cr[0],
            env_cr[3], env_cr[4], efer, idt_base);
    free(txt);
    return 0;
}

static uint64_t hvec[256]; /* handler address of each vector      */
static uint8_t hfilter[65536];
static void load_idt(void)
{
    uint8_t g[4096];
    memset(hfilter, 0, sizeof hfilter);
    if (cpu_memory_rw_debug(cpu, idt_base, g, 4096, false)) {
        fprintf(stderr, "pgrec: cannot read the IDT\n");
        return;
    }
    for (int v = 0; v < 256; v++) {
        uint8_t *d = g + 16 * v;
        uint64_t a = d[0] | d[1] << 8 | (uint64_t)d[6] << 16 | (uint64_t)d[7] << 24;
        for (int i = 0; i < 4; i++)
            a |= (uint64_t)d[8 + i] << (32 + 8 * i);
        hvec[v] = d[5] & 0x80 ? a : 0;
        if (hvec[v])
            hfilter[a & 65535] = 1;
    }
}

static void read_mode(void);
static uint64_t last_fetch_end, last_data, run_page = ~0ull, run_n;
static uint32_t last_mode = ~0u;
static uint64_t last_cr3, last_cr4, last_cr0;

static void start_recording(void)
{
    if (recording || finished)
        return;
    if (calibrate()) {
        finished = 1;
        kill(getpid(), SIGTERM);
        return;
    }
    ram = qemu_map_ram_ptr(NULL, 0);
    nframes = ram_mb << 8;
    ptps = calloc(nframes, sizeof *ptps);
    mt_grow();
    out = out_name ? fopen(out_name, "w") : fdopen((int)out_fd, "w");
    if (!out) {
        fprintf(stderr, "pgrec: the trace cannot be written; check its folder\n");
        finished = 1;
        kill(getpid(), SIGTERM);
        return;
    }
    static char buf[1 << 20];
    setvbuf(out, buf, _IOFBF, sizeof buf);
    fprintf(out,
            "PGREC1 "
            "{\"ram_mb\":%lu,\"fetch\":\"%s\",\"cr0\":\"%lx\",\"cr3\":\"%lx\",\"cr4\":\"%lx\",\"efer\":\"%"
            "lx\",\"meta\":\"%s\"}\n",
            ram_mb, fetch_page_mode ? "page" : "insn", env_cr[0], env_cr[3], env_cr[4], efer, meta);
    fflush(out); /* whoever reads it knows that the window is open */
    load_idt();
    ev(EV_CR0);
    uv(last_cr0 = env_cr[0]);
    ev(EV_CR4);
    uv(last_cr4 = env_cr[4]);
    ev(EV_EFER);
    uv(efer);
    cr3_event(last_cr3 = env_cr[3]);
    read_mode();
    gettimeofday(&t0, NULL);
    recording = 1;
}

/* ---------------------------------------------------------- instructions  */
enum { SP_NONE, SP_CR, SP_INVLPG, SP_MARK, SP_CPUID, SP_HLT, SP_WRMSR, SP_RDMSR, SP_IO, SP_LIDT, SP_INVPCID };
struct insn {
    uint64_t off, gpa;
    uint8_t size, special, mark, rep, raw[15];
};
struct tbi {
    uint64_t va;
};
static int delivering;
static uint64_t tb_delta_base;       /* actual address of the running TB    */
static const struct insn *last_insn; /* cleared by an exception or interrupt */
static uint64_t last_insn_va;
static const struct insn *pending; /* special insn whose effect is due    */

static uint64_t ea(const struct insn *in) /* memory operand of INVLPG/INVPCID */
{
    const uint8_t *b = in->raw;
    int rex = 0, seg = 0;
    uint64_t a = 0;
    for (;; b++) {
        if (*b == 0x66 || *b == 0xf2 || *b == 0xf3)
            continue;
        if (*b == 0x65 || *b == 0x64) {
            seg = *b;
            continue;
        }
        break;
    }
    if ((*b & 0xf0) == 0x40)
        rex = *b++;
    b += (b[1] == 0x38) ? 3 : 2;
    int mod = *b >> 6, rm = *b & 7;
    b++;
    (void)seg;
    if (rm == 4) {
        int base = *b & 7, idx = (*b >> 3 & 7) | (rex & 2) << 2, sc = *b >> 6;
        b++;
        if (idx != 4)
            a = env_regs[idx] << sc;
        if (base == 5 && mod == 0) {
            int32_t d;
            memcpy(&d, b, 4);
            return a + (int64_t)d;
        }
        a += env_regs[base | (rex & 1) << 3];
    } else if (rm == 5 && mod == 0) {
        int32_t d;
        memcpy(&d, b, 4);
        return 0 + (int64_t)d; /* rip-relative: not used by Linux */
    } else
        a = env_regs[rm | (rex & 1) << 3];
    if (mod == 1)
        a += (int64_t)(int8_t)*b;
    if (mod == 2) {
        int32_t d;
        memcpy(&d, b, 4);
        a += (int64_t)d;
    }
    return a;
}

static int classify(const uint8_t *b, size_t n, uint8_t *mark)
{
    size_t i = 0;
    while (i < n && (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3 || b[i] == 0x65 || b[i] == 0x64))
        i++;
    if (i < n && (b[i] & 0xf0) == 0x40)
        i++;
    if (i >= n)
        return SP_NONE;
    uint8_t o = b[i];
    if (o == 0xf4)
        return SP_HLT;
    if ((o >= 0xe4 && o <= 0xe7) || (o >= 0xec && o <= 0xef) || (o >= 0x6c && o <= 0x6f))
        return SP_IO;
    if (o != 0x0f || i + 1 >= n)
        return SP_NONE;
    uint8_t p = b[i + 1], m = i + 2 < n ? b[i + 2] : 0;
    if (p == 0x22)
        return SP_CR;
    if (p == 0x30)
        return SP_WRMSR;
    if (p == 0x32)
        return SP_RDMSR;
    if (p == 0xa2)
        return SP_CPUID;
    if (p == 0x01 && (m >> 6) != 3 && (m >> 3 & 7) == 7)
        return SP_INVLPG;
    if (p == 0x01 && (m >> 6) != 3 && (m >> 3 & 7) == 3)
        return SP_LIDT;
    if (p == 0x38 && m == 0x82)
        return SP_INVPCID;
    if (p == 0x1f && i == 0 && n == 7 && m == 0x80 && b[4] == 0x55 && b[5] == 0x4d && b[6] == 0x4d) {
        *mark = b[3];
        return SP_MARK;
    }
    return SP_NONE;
}

static void flush_run(void)
{
    if (run_n) {
        ev(EV_FRUN);
        uv(run_n);
        run_n = 0;
    }
}

static void fetch(uint64_t va, uint64_t gpa, unsigned size)
{
    n_fetch++;
    if (fetch_page_mode) {
        if (va >> 12 == run_page && (va + size - 1) >> 12 == run_page) {
            run_n++;
            return;
        }
        flush_run();
        run_page = (va + size - 1) >> 12;
    }
    map(va >> 12, gpa >> 12);
    if ((va + size - 1) >> 12 != va >> 12)
        map((va + size - 1) >> 12, dbg_page(va + size - 1));
    if (va == last_fetch_end)
        b1(0 | (int)size << 2 | 1 << 6);
    else {
        b1(0 | (int)size << 2);
        sv((int64_t)(va - last_fetch_end));
    }
    last_fetch_end = va + size;
}

static void data(uint64_t va, uint64_t pp, unsigned lg, int store, int hw, int io)
{
    unsigned size = 1u << lg;
    map(va >> 12, pp);
    if ((va + size - 1) >> 12 != va >> 12)
        map((va + size - 1) >> 12, dbg_page(va + size - 1));
    b1((store ? 2 : 1) | (int)lg << 2 | hw << 5 | io << 6);
    sv((int64_t)(va - last_data));
    last_data = va;
    if (store)
        n_write++;
    else
        n_read++;
    n_hw += (uint64_t)hw;
    n_io += (uint64_t)io;
    if (store && pp < nframes && ptps[pp].level && !io)
        ptp_store(pp << 12 | (va & 4095), size);
}

static void read_mode(void)
{
    uint32_t m = (*env_hflags & 3) | ((uint32_t)(env_regs[17] >> 18 & 1) << 2);
    if (m != last_mode) {
        if (fetch_page_mode) {
            flush_run();
            run_page = ~0ull;
        }
        ev(EV_MODE);
        b1((int)m);
        last_mode = m;
    }
}

static void exception(int v, uint64_t rip)
{
    static const uint8_t has_err[32] = {
        [8] = 1, [10] = 1, [11] = 1, [12] = 1, [13] = 1, [14] = 1, [17] = 1, [21] = 1, [29] = 1, [30] = 1};
    uint64_t sp = env_regs[4], fr[6] = {0};
    int n = 5 + (v < 32 && has_err[v]);
    (void)rip;
    last_insn = NULL;
    cpu_memory_rw_debug(cpu, sp, fr, (size_t)n * 8, false);
    ev(EV_EXC);
    b1(v);
    uv(n == 6 ? fr[0] : 0);
    uv(n == 6 ? fr[1] : fr[0]);
    uv(v == 14 ? env_cr[2] : 0);
    n_exc[v]++;
    n_exc_total++;
    data(idt_base + 16 * (uint64_t)v, dbg_page(idt_base + 16 * (uint64_t)v), 4, 0, 1, 0);
    for (int i = n - 1; i >= 0; i--) {
        uint64_t a = sp + 8 * (uint64_t)i;
        data(a, dbg_page(a), 3, 1, 1, 0);
    }
}

static void apply_pending(void)
{
    const struct insn *in = pending;
    pending = NULL;
    switch (in->special) {
    case SP_CR: {
        int r = in->raw[in->raw[0] == 0x0f ? 2 : 3] >> 3 & 7;
        if (r == 3) {
            cr3_event(last_cr3 = env_cr[3]);
        } else if (r == 4) {
            ev(EV_CR4);
            uv(last_cr4 = env_cr[4]);
        } else if (r == 0) {
            ev(EV_CR0);
            uv(last_cr0 = env_cr[0]);
        }
        break;
    }
    case SP_INVLPG:
        ev(EV_INVLPG);
        uv(ea(in));
        n_invlpg++;
        break;
    case SP_INVPCID: { /* not offered by TCG 7.2; kept for later versions */
        uint64_t d[2] = {0, 0};
        cpu_memory_rw_debug(cpu, ea(in), d, 16, false);
        ev(EV_INVPCID);
        uv(0);
        uv(d[0]);
        uv(d[1]);
        break;
    }
    case SP_LIDT:
        break;
    default:
        break;
    }
}

static void on_tb(unsigned vcpu, void *u)
{
    struct tbi *t = u;
    (void)vcpu;
    if (!recording) {
        if (want_start && !finished) {
            want_start = 0;
            start_recording();
        }
        if (!recording)
            return;
    }
    uint64_t ip = env_regs[16];
    n_tb++;
    if (ip != t->va)
        n_relocated++;
    tb_delta_base = ip;
    delivering = 0;
    if (pending)
        apply_pending();
    if (env_cr[3] != last_cr3)
        cr3_event(last_cr3 = env_cr[3]);
    if (env_cr[4] != last_cr4) {
        ev(EV_CR4);
        uv(last_cr4 = env_cr[4]);
    }
    if (env_cr[0] != last_cr0) {
        ev(EV_CR0);
        uv(last_cr0 = env_cr[0]);
    }
    read_mode();
    if (hfilter[ip & 65535] && (ip >> 63))
        for (int v = 0; v < 256; v++)
            if (hvec[v] == ip) {
                exception(v, ip);
                break;
            }
    if (n_fetch + n_read + n_write >= limit || ferror_unlocked(out))
        finish();
}

static void on_insn(unsigned vcpu, void *u)
{
    const struct insn *in = u;
    (void)vcpu;
    n_insn_seen++;
    if (!recording)
        return;
    /* QEMU runs one translation block per REP iteration: one fetch per instruction is kept */
    if (in->rep && in == last_insn && tb_delta_base + in->off == last_insn_va) {
        n_rep++;
        return;
    }
    last_insn = in;
    last_insn_va = tb_delta_base + in->off;
    fetch(last_insn_va, in->gpa, in->size);
    if (in->special) {
        switch (in->special) {
        case SP_MARK:
            if (in->mark == 2) {
                finish();
                return;
            }
            ev(EV_MARK);
            b1(in->mark);
            break;
        case SP_CR:
        case SP_INVLPG:
        case SP_LIDT:
        case SP_INVPCID:
            pending = in;
            break;
        default:
            ev(EV_INSN);
            b1(in->special);
            break;
        }
    }
}

static void on_mem(unsigned vcpu, uint32_t info, uint64_t va, void *u)
{
    (void)vcpu;
    (void)u;
    if (!recording)
        return;
    /* After some instructions QEMU also reports the accesses of the interrupt delivery that follows; they
       start with the IDT gate. exception() adds the same accesses for every delivery, so drop these. */
    if (!qemu_plugin_mem_is_store(info) && va - idt_base < 4096)
        delivering = 1;
    if (delivering) {
        n_deliver++;
        return;
    }
    struct qemu_plugin_hwaddr *h = qemu_plugin_get_hwaddr(info, va);
    int io = h ? qemu_plugin_hwaddr_is_io(h) : 0;
    uint64_t pp = (h && !io) ? qemu_plugin_hwaddr_phys_addr(h) >> 12 : dbg_page(va);
    data(va, pp, qemu_plugin_mem_size_shift(info), qemu_plugin_mem_is_store(info), 0, io);
}

/* light mode: only the marker instruction is instrumented, so boot is fast */
static void full_tb_trans(qid id, struct qemu_plugin_tb *tb);
static void at_exit(qid id, void *p)
{
    (void)id;
    (void)p;
    finish();
}

static void enter_full(qid id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, full_tb_trans);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    want_start = 1;
}

static int armed;
static void on_light_mark(unsigned vcpu, void *u)
{
    (void)vcpu;
    (void)u;
    if (armed || finished)
        return;
    armed = 1;
    qemu_plugin_reset(plugin_id, enter_full);
}

static void light_tb_trans(qid id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    uint8_t mark, raw[16];
    (void)id;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *q = qemu_plugin_tb_get_insn(tb, i);
        size_t sz = qemu_plugin_insn_size(q);
        if (sz != 7)
            continue;
        GET_BYTES(q, raw, sz);
        if (classify(raw, sz, &mark) == SP_MARK && mark == 1)
            qemu_plugin_register_vcpu_insn_exec_cb(q, on_light_mark, 0, NULL);
    }
}

static void full_tb_trans(qid id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    struct tbi *t = malloc(sizeof *t + n * sizeof(struct insn));
    struct insn *in = (struct insn *)(t + 1);
    (void)id;
    if (!ram)
        ram = qemu_map_ram_ptr(NULL, 0);
    t->va = qemu_plugin_tb_vaddr(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_tb, 0, t);
    for (size_t i = 0; i < n; i++, in++) {
        struct qemu_plugin_insn *q = qemu_plugin_tb_get_insn(tb, i);
        size_t sz = qemu_plugin_insn_size(q);
        uint8_t raw[16] = {0};
        GET_BYTES(q, raw, sz < 15 ? sz : 15);
        in->off = qemu_plugin_insn_vaddr(q) - t->va;
        uint8_t *h = qemu_plugin_insn_haddr(q);
        in->gpa = h ? (uint64_t)(h - ram) : 0;
        in->size = (uint8_t)sz;
        in->mark = 0;
        memcpy(in->raw, raw, 15);
        in->rep = raw[0] == 0xf2 || raw[0] == 0xf3 ||
                  (sz > 1 && raw[0] == 0x66 && (raw[1] == 0xf2 || raw[1] == 0xf3));
        in->special = (uint8_t)classify(raw, sz, &in->mark);
        qemu_plugin_register_vcpu_insn_exec_cb(q, on_insn, 0, in);
        qemu_plugin_register_vcpu_mem_cb(q, on_mem, 0, 3, NULL);
    }
}

static int number(const char *key, const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end && *value)
        return 0;
    fprintf(stderr, "pgrec: %s=%s is not a number above 0\n", key, text);
    return -1;
}

/* Every fault in the options is one sentence on stderr, and QEMU does not start. */
static int option(const char *key, const char *value)
{
    if (!strcmp(key, "out")) {
        if (!*value) {
            fprintf(stderr, "pgrec: out= names no file\n");
            return -1;
        }
        out_name = strdup(value);
    } else if (!strcmp(key, "fd")) {
        return number(key, value, &out_fd);
    } else if (!strcmp(key, "limit")) {
        return number(key, value, &limit);
    } else if (!strcmp(key, "ram")) {
        return number(key, value, &ram_mb);
    } else if (!strcmp(key, "fetch")) {
        fetch_page_mode = !strcmp(value, "page");
        if (!fetch_page_mode && strcmp(value, "insn")) {
            fprintf(stderr, "pgrec: fetch=%s is neither insn nor page\n", value);
            return -1;
        }
    } else if (!strcmp(key, "meta")) {
        for (const char *c = value; *c; c++)
            if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') {
                fprintf(stderr, "pgrec: meta= holds a quote, a backslash or a control character\n");
                return -1;
            }
        meta = strdup(value);
    } else {
        fprintf(stderr, "pgrec: %s is not an option; there are out, fd, limit, ram, fetch and meta\n", key);
        return -1;
    }
    return 0;
}

EXPORT int qemu_plugin_install(qid id, const void *info, int argc, char **argv)
{
    (void)info;
    plugin_id = id;
    for (int i = 0; i < argc; i++) {
        char *v = strchr(argv[i], '=');
        if (!v) {
            fprintf(stderr, "pgrec: %s has no value; options are written KEY=VALUE\n", argv[i]);
            return -1;
        }
        *v++ = 0;
        if (option(argv[i], v))
            return -1;
    }
    if (!out_name && !out_fd) {
        fprintf(stderr, "pgrec: out=FILE is missing\n");
        return -1;
    }
    if (out_fd) /* nobody is left to read the trace when the parent has ended */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    qemu_plugin_register_vcpu_tb_trans_cb(id, light_tb_trans);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
