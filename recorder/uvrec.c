/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uvrec.c - records one program in user space: a TCG plugin for qemu-x86_64 (Debian 12 package qemu-user).
 * The accesses are recorded as pgrec.c does; there are no events, no page tables and no kernel.
 *
 *   gcc -O2 -shared -fPIC -Wall -o uvrec.so uvrec.c
 *   qemu-x86_64 -plugin ./uvrec.so,out=u.pgrec.gz,skip=3000000,take=4000000 PROGRAM ARGUMENTS
 *
 * skip and take count accesses. One process, one thread.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdbool.h>
#include <unistd.h>
#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
typedef uint64_t qid;
struct tb;
struct insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qid, void (*)(qid, struct tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct insn *, void (*)(unsigned, uint32_t, uint64_t, void *),
                                             int, int, void *);
extern void qemu_plugin_register_atexit_cb(qid, void (*)(qid, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct tb *);
extern struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct insn *);
extern unsigned qemu_plugin_mem_size_shift(uint32_t);
extern bool qemu_plugin_mem_is_store(uint32_t);
static FILE *out;
static uint64_t skip, take = 10000000, n, le, ld, nk[3];
static const char *name = "u.pgrec.gz";
static inline void uv(uint64_t v)
{
    while (v >= 128) {
        putc_unlocked((int)(v & 127) | 128, out);
        v >>= 7;
    }
    putc_unlocked((int)v, out);
}

static inline void sv(int64_t v)
{
    uv(((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void fin(void)
{
    if (!out)
        return;
    putc_unlocked(3 | 15 << 2, out);
    uv(nk[0]);
    uv(nk[1]);
    uv(nk[2]);
    pclose(out);
    out = NULL;
    fprintf(stderr, "uvrec: fetch %lu read %lu write %lu\n", nk[0], nk[1], nk[2]);
}

static inline int go(void)
{
    if (!out)
        return 0;
    n++;
    if (n <= skip)
        return 0;
    if (n > skip + take) {
        fin();
        _exit(0);
    }
    return 1;
}

static void on_insn(unsigned c, void *u)
{
    (void)c;
    if (!go())
        return;
    uint64_t va = (uint64_t)u & 0xffffffffffffffull;
    unsigned s = (unsigned)((uint64_t)u >> 56);
    nk[0]++;
    if (va == le)
        putc_unlocked((int)s << 2 | 64, out);
    else {
        putc_unlocked((int)s << 2, out);
        sv((int64_t)(va - le));
    }
    le = va + s;
}

static void on_mem(unsigned c, uint32_t i, uint64_t va, void *u)
{
    (void)c;
    (void)u;
    if (!go())
        return;
    int st = qemu_plugin_mem_is_store(i);
    nk[1 + st]++;
    putc_unlocked((st ? 2 : 1) | (int)qemu_plugin_mem_size_shift(i) << 2, out);
    sv((int64_t)(va - ld));
    ld = va;
}

static void trans(qid id, struct tb *t)
{
    (void)id;
    size_t k = qemu_plugin_tb_n_insns(t);
    for (size_t i = 0; i < k; i++) {
        struct insn *q = qemu_plugin_tb_get_insn(t, i);
        qemu_plugin_register_vcpu_insn_exec_cb(
            q, on_insn, 0, (void *)(qemu_plugin_insn_vaddr(q) | (uint64_t)qemu_plugin_insn_size(q) << 56));
        qemu_plugin_register_vcpu_mem_cb(q, on_mem, 0, 3, NULL);
    }
}

static void ex(qid id, void *p)
{
    (void)id;
    (void)p;
    fin();
}

static int number(const char *key, const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end)
        return 0;
    fprintf(stderr, "uvrec: %s=%s is not a number\n", key, text);
    return -1;
}

EXPORT int qemu_plugin_install(qid id, const void *info, int c, char **v)
{
    (void)info;
    for (int i = 0; i < c; i++) {
        if (!strncmp(v[i], "out=", 4) && v[i][4] && !strchr(v[i], '\''))
            name = strdup(v[i] + 4);
        else if (!strncmp(v[i], "skip=", 5)) {
            if (number("skip", v[i] + 5, &skip))
                return -1;
        } else if (!strncmp(v[i], "take=", 5)) {
            if (number("take", v[i] + 5, &take))
                return -1;
        } else {
            fprintf(stderr,
                    "uvrec: %s is not an option; there are out=FILE, skip=ACCESSES and take=ACCESSES\n",
                    v[i]);
            return -1;
        }
    }
    char cmd[4096];
    snprintf(cmd, sizeof cmd, "gzip -9 > '%s'", name);
    out = popen(cmd, "w");
    if (!out) {
        fprintf(stderr, "uvrec: gzip cannot be started\n");
        return -1;
    }
    fprintf(out, "PGREC1 {\"user\":1}\n");
    qemu_plugin_register_vcpu_tb_trans_cb(id, trans);
    qemu_plugin_register_atexit_cb(id, ex, NULL);
    return 0;
}
