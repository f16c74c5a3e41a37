/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uvrec.c - records one program in user space: a TCG plugin for qemu-x86_64 (Debian package qemu-user).
 * The accesses are recorded as pgrec.c does; there are no page tables and no kernel.
 *
 *   gcc -O2 -shared -fPIC -Wall -o uvrec.so uvrec.c
 *   qemu-x86_64 -plugin ./uvrec.so,out=u.pgrec,skip=3000000,take=4000000 PROGRAM ARGUMENTS
 *
 * Options: out=FILE, or fd=N, an open descriptor; skip and take count accesses. A thread's accesses are held back
 * until there are PART of them, so threads take turns in the trace, with a SWITCH record between them. Processes
 * that the program starts are not recorded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ------------------------------------------------ plugin API            */
#define EXPORT __attribute__((visibility("default")))
#ifndef PLUGIN_API /* as in pgrec.c */
#define PLUGIN_API 1
#endif
EXPORT int qemu_plugin_version = PLUGIN_API;
typedef uint64_t qid;
struct tb;
struct insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qid, void (*)(qid, struct tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct insn *, void (*)(unsigned, uint32_t, uint64_t, void *),
                                             int, int, void *);
extern void qemu_plugin_register_vcpu_exit_cb(qid, void (*)(qid, unsigned));
extern void qemu_plugin_register_atexit_cb(qid, void (*)(qid, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct tb *);
extern struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
#if PLUGIN_API >= 3
extern size_t qemu_plugin_insn_data(const struct insn *, void *, size_t);
#define GET_BYTES(q, buf, n) qemu_plugin_insn_data(q, buf, n)
#else
extern const void *qemu_plugin_insn_data(const struct insn *);
#define GET_BYTES(q, buf, n) memcpy(buf, qemu_plugin_insn_data(q), n)
#endif
extern size_t qemu_plugin_insn_size(const struct insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct insn *);
extern unsigned qemu_plugin_mem_size_shift(uint32_t);
extern bool qemu_plugin_mem_is_store(uint32_t);

/* ---------------------------------------------------------------- output  */
enum { PART = 4096, MOST_THREADS = 4096, LONGEST_RECORD = 16 };
enum { EV_END = 15, EV_SWITCH = 19 };
static int out = -1;
static pid_t owner;
static uint64_t skip, take = UINT64_MAX;
static uint64_t seen, next_fetch, last_data, count[3];
static int finished;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t bytes[(PART + 8) * LONGEST_RECORD];
static size_t used;

static inline void b1(int c)
{
    bytes[used++] = (uint8_t)c;
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

/* Nothing is left in a buffer afterwards, so that a child process has nothing of it. */
static void drain(void)
{
    for (size_t at = 0; at < used && out >= 0;) {
        ssize_t n = write(out, bytes + at, used - at);
        if (n > 0)
            at += (size_t)n;
        else if (errno != EINTR) {
            out = -1;
            finished = 1;
        }
    }
    used = 0;
}

/* ---------------------------------------------------------------- threads */
enum { FETCH, READ, WRITE };
struct access {
    uint64_t va;
    uint8_t kind, size; /* size: of a fetch in bytes, of data as its logarithm */
};
struct thread {
    uint64_t last_fetch;
    unsigned n;
    struct access part[PART];
};
static struct thread *threads[MOST_THREADS];
static unsigned running = ~0u;

static void encode(const struct access *a)
{
    count[a->kind]++;
    if (a->kind != FETCH) {
        b1(a->kind | a->size << 2);
        sv((int64_t)(a->va - last_data));
        last_data = a->va;
        return;
    }
    b1(a->size << 2 | (a->va == next_fetch ? 64 : 0));
    if (a->va != next_fetch)
        sv((int64_t)(a->va - next_fetch));
    next_fetch = a->va + a->size;
}

static void finish(void)
{
    finished = 1;
    b1(3 | EV_END << 2);
    uv(count[0]);
    uv(count[1]);
    uv(count[2]);
    drain();
}

/* With the lock held: what a thread has held back goes out. */
static void flush(unsigned id)
{
    struct thread *t = threads[id];
    if (!t || finished)
        return;
    unsigned n = __atomic_load_n(&t->n, __ATOMIC_ACQUIRE), i = 0;
    if (seen + n > skip && id != running) {
        b1(3 | EV_SWITCH << 2);
        uv(1);
        uv(id + 1);
        running = id;
    }
    for (; i < n && !finished; i++, seen++)
        if (seen >= skip) {
            encode(&t->part[i]);
            if (seen + 1 - skip >= take)
                finish();
        }
    t->n = 0;
    if (finished)
        _exit(0); /* the window is full, or nobody reads any more */
    drain();
}

static struct thread *thread(unsigned id)
{
    if (finished || id >= MOST_THREADS)
        return NULL;
    if (!threads[id])
        threads[id] = calloc(1, sizeof(struct thread));
    return threads[id];
}

static void add(struct thread *t, unsigned id, uint64_t va, int kind, unsigned size)
{
    unsigned n = t->n;
    t->part[n] = (struct access){va, (uint8_t)kind, (uint8_t)size};
    __atomic_store_n(&t->n, n + 1, __ATOMIC_RELEASE);
    if (n + 1 < PART)
        return;
    if (getpid() != owner) {
        finished = 1;
        return;
    }
    pthread_mutex_lock(&lock);
    flush(id);
    pthread_mutex_unlock(&lock);
}

#define VA_MASK 0x00ffffffffffffffull
#define REP 0x80 /* beside the instruction's length */

static void on_insn(unsigned id, void *u)
{
    struct thread *t = thread(id);
    uint64_t insn = (uint64_t)u;
    /* QEMU reports a REP instruction at each iteration: one fetch is kept */
    if (!t || (insn >> 56 & REP && insn == t->last_fetch))
        return;
    t->last_fetch = insn;
    add(t, id, insn & VA_MASK, FETCH, (unsigned)(insn >> 56) & ~(unsigned)REP);
}

static void on_mem(unsigned id, uint32_t info, uint64_t va, void *u)
{
    struct thread *t = thread(id);
    (void)u;
    if (t)
        add(t, id, va, qemu_plugin_mem_is_store(info) ? WRITE : READ, qemu_plugin_mem_size_shift(info));
}

static void on_translation(qid id, struct tb *tb)
{
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < n; i++) {
        struct insn *q = qemu_plugin_tb_get_insn(tb, i);
        size_t size = qemu_plugin_insn_size(q);
        uint8_t raw[2] = {0};
        GET_BYTES(q, raw, size < 2 ? size : 2);
        uint8_t prefix = raw[0] == 0x66 ? raw[1] : raw[0];
        uint64_t length = size | (prefix == 0xf2 || prefix == 0xf3 ? REP : 0);
        qemu_plugin_register_vcpu_insn_exec_cb(
            q, on_insn, 0, (void *)((qemu_plugin_insn_vaddr(q) & VA_MASK) | length << 56));
        qemu_plugin_register_vcpu_mem_cb(q, on_mem, 0, 3, NULL);
    }
}

static void on_thread_exit(qid plugin, unsigned id)
{
    (void)plugin;
    if (id >= MOST_THREADS || getpid() != owner)
        return;
    pthread_mutex_lock(&lock);
    flush(id);
    pthread_mutex_unlock(&lock);
}

static void on_exit_of_all(qid id, void *u)
{
    (void)id;
    (void)u;
    if (getpid() != owner)
        return;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < MOST_THREADS; i++)
        flush(i);
    if (!finished)
        finish();
    pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- options */
static int number(const char *key, const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end)
        return 0;
    fprintf(stderr, "uvrec: %s=%s is not a number\n", key, text);
    return -1;
}

EXPORT int qemu_plugin_install(qid id, const void *info, int argc, char **argv)
{
    (void)info;
    uint64_t fd = 0;
    const char *name = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4) && argv[i][4])
            name = argv[i] + 4;
        else if (!strncmp(argv[i], "fd=", 3)) {
            if (number("fd", argv[i] + 3, &fd))
                return -1;
        } else if (!strncmp(argv[i], "skip=", 5)) {
            if (number("skip", argv[i] + 5, &skip))
                return -1;
        } else if (!strncmp(argv[i], "take=", 5)) {
            if (number("take", argv[i] + 5, &take))
                return -1;
        } else {
            fprintf(stderr,
                    "uvrec: %s is not an option; there are out=FILE, fd=N, skip=ACCESSES and take=ACCESSES\n",
                    argv[i]);
            return -1;
        }
    }
    /* Out of the way of the program's own descriptors, and closed when it executes another program. */
    if (name)
        out = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    else if (fd) {
        out = fcntl((int)fd, F_DUPFD_CLOEXEC, 512);
        if (out < 0)
            out = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
        close((int)fd);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    if (out < 0) {
        fprintf(stderr, "uvrec: the trace cannot be written; name a file with out=FILE\n");
        return -1;
    }
    owner = getpid();
    used = (size_t)sprintf((char *)bytes, "PGREC1 {\"user\":1}\n");
    drain();
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_exit_cb(id, on_thread_exit);
    qemu_plugin_register_atexit_cb(id, on_exit_of_all, NULL);
    return 0;
}
