/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmix.c - a workload that makes a kernel work its page tables, to be recorded.
 *
 *   gcc -O2 -static -o vmix vmix.c
 *   vmix OP[:N] ...        does one OP after the other; "loop" repeats what follows it for ever
 *
 * mark1 and mark2 are the recorder's start and end markers, magic is that of bochs.sh: what is done
 * before the marker is not recorded, so that tables and pages are there when the window opens.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <signal.h>
#include <unistd.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define P 4096ul
#define M2 (2ul << 20)
#define G1 (1ul << 30)
typedef volatile uint64_t vu;
static uint64_t rs = 88172645463325252ull;
static uint64_t rnd(void)
{
    rs ^= rs << 13;
    rs ^= rs >> 7;
    rs ^= rs << 17;
    return rs;
}

static void die(const char *s)
{
    printf("vmix: %s: %s\n", s, strerror(errno));
    fflush(stdout);
}

static char *map(void *at, size_t n, int prot, int fl)
{
    char *p = mmap(at, n, prot, MAP_PRIVATE | MAP_ANONYMOUS | fl, -1, 0);
    if (p == MAP_FAILED) {
        die("mmap");
        return NULL;
    }
    return p;
}

#define RW (PROT_READ | PROT_WRITE)
static void touch(char *p, size_t n, size_t step)
{
    for (size_t i = 0; i < n; i += step)
        *(vu *)(p + i) += i | 1;
}

static uint64_t look(char *p, size_t n, size_t step)
{
    uint64_t s = 0;
    for (size_t i = 0; i < n; i += step)
        s += *(vu *)(p + i);
    return s;
}

static uint64_t rndacc(char *p, size_t n, int k)
{
    uint64_t s = 0;
    while (k--) {
        vu *q = (vu *)(p + (rnd() % n & ~7ul));
        if (k & 3)
            s += *q;
        else
            *q = s;
    }
    return s;
}

/* mmap, mprotect, mremap, madvise, holes */
static void op_map(int n)
{
    char *p = map(NULL, (size_t)n * P, RW, 0);
    touch(p, (size_t)n * P, P);
    mprotect(p + n / 4 * P, (size_t)n / 2 * P, PROT_READ);
    look(p, (size_t)n * P, 512);
    mprotect(p + n / 4 * P, (size_t)n / 2 * P, RW);
    touch(p, (size_t)n * P, 1024);
    madvise(p + n / 2 * P, (size_t)n / 4 * P, MADV_DONTNEED);
    look(p, (size_t)n * P, P);
    touch(p + n / 2 * P, (size_t)n / 8 * P, P);
    p = mremap(p, (size_t)n * P, (size_t)n * 3 * P, MREMAP_MAYMOVE);
    touch(p, (size_t)n * 3 * P, 2 * P);
    char *q = map(NULL, (size_t)n * P, PROT_NONE, 0);
    mremap(p + n * P, (size_t)n / 2 * P, (size_t)n / 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, q);
    look(q, (size_t)n / 2 * P, 256);
    munmap(p + 2 * n * P, (size_t)n / 3 * P);
    madvise(p, (size_t)n / 2 * P, MADV_FREE);
    touch(p, (size_t)n / 4 * P, P);
    char *z = map(NULL, (size_t)n * P, RW, MAP_POPULATE);
    touch(z, (size_t)n * P, 3 * P);
    munmap(z, (size_t)n * P);
    munmap(q, (size_t)n * P);
    munmap(p, (size_t)n * 3 * P);
}

static char *heap;
static size_t heapn;
/* copy on write from both sides */
static void op_fork(int n)
{
    if (!heap) {
        heapn = (size_t)n * P;
        heap = map(NULL, heapn, RW, 0);
        touch(heap, heapn, P);
    }
    pid_t c = fork();
    if (!c) {
        touch(heap, heapn, 2 * P);
        look(heap, heapn, 512);
        _exit(0);
    }
    touch(heap, heapn / 2, 3 * P);
    waitpid(c, NULL, 0);
    touch(heap, heapn, 5 * P);
}

static void op_exec(int n)
{
    while (n--) {
        pid_t c = fork();
        if (!c) {
            execl("/usr/bin/vmix", "vmix", "nop", NULL);
            _exit(1);
        }
        waitpid(c, NULL, 0);
    }
}

static void op_vexec(int n)
{
    while (n--) {
        pid_t c = vfork();
        if (!c) {
            execl("/usr/bin/vmix", "vmix", "nop", NULL);
            _exit(1);
        }
        waitpid(c, NULL, 0);
    }
}

/* user addresses above 47 bits: needs LA57 */
static void op_high(int n)
{
    static const uint64_t at[] = {1ull << 48,
                                  3ull << 48,
                                  0x7full << 48,
                                  0x80ull << 48,
                                  0xffull << 48,
                                  0x00fffffffff00000ull,
                                  0x0000800000000000ull,
                                  0x00aa555555555000ull};
    char *p[8];
    for (int i = 0; i < 8; i++) {
        p[i] = map((void *)at[i], (size_t)n * P, RW, 0);
        if (p[i])
            touch(p[i], (size_t)n * P, P);
    }
    static int said;
    if (!said++)
        for (int i = 0; i < 8; i++)
            printf("high %lx\n", (long)p[i]);
    for (int k = 0; k < 40 * n; k++)
        rndacc(p[rnd() & 7], (size_t)n * P, 1);
    pid_t c = fork();
    if (!c) {
        for (int i = 0; i < 8; i++)
            touch(p[i], (size_t)n * P, 2 * P);
        _exit(0);
    }
    waitpid(c, NULL, 0);
    mremap(p[0], (size_t)n * P, (size_t)n * P, MREMAP_MAYMOVE | MREMAP_FIXED, p[1]);
    touch(p[1], (size_t)n * P, P);
    for (int i = 1; i < 8; i++)
        munmap(p[i], (size_t)n * P);
}

/* pages that SIGSEGV makes writable again */
static char *gb;
static size_t gbn;
static void onsegv(int s, siginfo_t *si, void *u)
{
    (void)s;
    (void)u;
    char *a = si->si_addr;
    if (a < gb || a >= gb + gbn)
        _exit(9);
    mprotect((char *)((uintptr_t)a & ~(P - 1)), P, RW);
}

/* write barrier: protect all, SIGSEGV handler unprotects a page */
static void op_segv(int n)
{
    struct sigaction sa = {0};
    sa.sa_sigaction = onsegv;
    sa.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &sa, NULL);
    if (!gb) {
        gbn = (size_t)n * P;
        gb = map(NULL, gbn, RW, 0);
        touch(gb, gbn, P);
    }
    mprotect(gb, gbn, PROT_READ);
    rndacc(gb, gbn, n * 4);
    mprotect(gb, gbn, PROT_NONE);
    rndacc(gb, gbn, n);
    mprotect(gb, gbn, RW);
    touch(gb, gbn, P);
}

/* shared file mapping: dirty tracking, two aliases, fork */
static void op_shm(int n)
{
    int fd = memfd_create("x", 0);
    if (fd < 0 || ftruncate(fd, (off_t)n * 4096)) {
        die("memfd");
        return;
    }
    char *a = mmap(NULL, (size_t)n * P, RW, MAP_SHARED, fd, 0),
         *b = mmap(NULL, (size_t)n * P, PROT_READ, MAP_SHARED, fd, 0),
         *c = mmap(NULL, (size_t)n * P, RW, MAP_PRIVATE, fd, 0);
    look(a, (size_t)n * P, P);
    touch(a, (size_t)n * P, P);
    look(b, (size_t)n * P, 1024);
    touch(c, (size_t)n * P, 2 * P);
    pid_t k = fork();
    if (!k) {
        touch(a, (size_t)n * P, P);
        touch(c, (size_t)n * P, P);
        _exit(0);
    }
    waitpid(k, NULL, 0);
    look(b, (size_t)n * P, P);
    msync(a, (size_t)n * P, MS_SYNC);
    if (ftruncate(fd, (off_t)n * 2048))
        die("ftruncate");
    touch(a, (size_t)n * P / 2, P);
    munmap(a, (size_t)n * P);
    munmap(b, (size_t)n * P);
    munmap(c, (size_t)n * P);
    close(fd);
}

/* W^X code pages, aliases with exec */
static void op_jit(int n)
{
    char *p = map(NULL, (size_t)n * P, RW, 0);
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < n; i++) {
            unsigned char c[6] = {0xb8, (unsigned char)i, (unsigned char)r, 0, 0, 0xc3};
            memcpy(p + i * P + (i * 64 & 4095 & ~15ul), c, 6);
        }
        mprotect(p, (size_t)n * P, PROT_READ | PROT_EXEC);
        for (int i = 0; i < n; i++)
            if (((int (*)(void))(p + i * P + (i * 64 & 4095 & ~15ul)))() != (i & 255) + (r << 8))
                die("jit");
        mprotect(p, (size_t)n * P, RW);
    }
    munmap(p, (size_t)n * P);
}

/* protection keys in the PTEs */
static void op_pkey(int n)
{
    int k = (int)syscall(SYS_pkey_alloc, 0, 0);
    static int said;
    if (!said++)
        printf("pkey %d\n", k);
    if (k < 0)
        return;
    char *p = map(NULL, (size_t)n * P, RW, 0);
    touch(p, (size_t)n * P, P);
    syscall(SYS_pkey_mprotect, p, (size_t)n * P, RW, k);
    touch(p, (size_t)n * P, 512);
    syscall(SYS_pkey_mprotect, p, (size_t)n / 2 * P, PROT_READ, k);
    look(p, (size_t)n * P, 512);
    munmap(p, (size_t)n * P);
    syscall(SYS_pkey_free, k);
}

/* Huge pages: faulted in by thp0, htlb0 and giga0 (before the mark), taken apart afterwards */
static char *th;
static size_t thn;
static char *ht;
static size_t htn;
static char *gg;
static size_t ggn;
static char *al2(size_t n)
{
    char *p = map(NULL, n + M2, RW, 0);
    uintptr_t a = ((uintptr_t)p + M2 - 1) & ~(M2 - 1);
    return (char *)a;
}

/* writes only: a read would map the huge zero page */
static void op_thp0(int n)
{
    thn = (size_t)n * M2;
    th = al2(thn);
    madvise(th, thn, MADV_HUGEPAGE);
    for (size_t i = 0; i < thn; i += M2)
        *(vu *)(th + i) = i;
}

static int thi;
static void op_thpacc(int k)
{
    rndacc(th, thn, k);
}

/* huge zero page, read only, then dropped */
static void op_thpz(int n)
{
    char *p = al2((size_t)n * M2);
    madvise(p, (size_t)n * M2, MADV_HUGEPAGE);
    look(p, (size_t)n * M2, 64 * P);
    madvise(p, (size_t)n * M2, MADV_DONTNEED);
    look(p, (size_t)n * M2, M2);
    munmap(p, (size_t)n * M2);
}

/* takes one 2 MiB page apart after the other: mprotect of all and of 4 KiB, munmap of 12 KiB, DONTNEED,
   mremap of all and of a part, fork and COW, FREE */
static void op_thpsplit(int n)
{
    for (int k = 0; k < n && (size_t)thi < thn / M2; k++, thi++) {
        char *p = th + (size_t)thi * M2;
        switch (thi % 7) {
        case 0:
            mprotect(p, M2, PROT_READ);
            look(p, M2, 16 * P);
            mprotect(p, M2, RW);
            touch(p, M2, 16 * P);
            mprotect(p + 100 * P, P, PROT_READ);
            look(p, M2, 2 * P);
            mprotect(p + 100 * P, P, RW);
            break;
        case 1:
            munmap(p + 7 * P, 3 * P);
            touch(p, 7 * P, P);
            touch(p + 10 * P, M2 - 10 * P, 4 * P);
            map(p + 7 * P, 3 * P, RW, MAP_FIXED);
            touch(p + 7 * P, 3 * P, P);
            break;
        case 2:
            madvise(p + 256 * P, 8 * P, MADV_DONTNEED);
            touch(p, M2, 8 * P);
            touch(p + 256 * P, 8 * P, P);
            break;
        case 3: {
            char *q = al2(M2);
            mremap(p, M2, M2, MREMAP_MAYMOVE | MREMAP_FIXED, q);
            touch(q, M2, 8 * P);
            mremap(q, M2, M2, MREMAP_MAYMOVE | MREMAP_FIXED, p);
            touch(p, M2, 8 * P);
            munmap(q, M2);
            break;
        }
        case 4: {
            char *q = map(NULL, 64 * P, PROT_NONE, 0);
            mremap(p + 64 * P, 64 * P, 64 * P, MREMAP_MAYMOVE | MREMAP_FIXED, q);
            touch(q, 64 * P, P);
            touch(p, 64 * P, P);
            mremap(q, 64 * P, 64 * P, MREMAP_MAYMOVE | MREMAP_FIXED, p + 64 * P);
            touch(p, M2, 8 * P);
            break;
        }
        case 5: {
            pid_t c = fork();
            if (!c) {
                look(p, M2, 8 * P);
                touch(p, 32 * P, 4 * P);
                _exit(0);
            }
            waitpid(c, NULL, 0);
            touch(p, 64 * P, 2 * P);
            look(th, thn, 16 * P);
            break;
        }
        case 6:
            madvise(p, M2, MADV_FREE);
            touch(p, M2, 128 * P);
            break;
        }
    }
    if ((size_t)thi >= thn / M2)
        thi = 0;
}

static void op_htlb0(int n)
{
    htn = (size_t)n * M2;
    ht = map(NULL, htn, RW, MAP_HUGETLB);
    if (ht)
        touch(ht, htn, M2);
    else
        htn = 0;
}

static void op_htlbacc(int k)
{
    if (ht)
        rndacc(ht, htn, k);
}

/* mprotect, fork (shared read only), mremap, munmap of the last page and back */
static void op_htlb(int n)
{
    (void)n;
    if (!ht)
        return;
    mprotect(ht + M2, M2, PROT_READ);
    look(ht, htn, 32 * P);
    mprotect(ht + M2, M2, RW);
    touch(ht, htn, 32 * P);
    pid_t c = fork();
    if (!c) {
        look(ht, htn, 16 * P);
        _exit(0);
    }
    waitpid(c, NULL, 0);
    touch(ht, htn, 64 * P);
    char *q = map(NULL, 2 * M2, RW, MAP_HUGETLB | MAP_NORESERVE);
    if (!q)
        return;
    munmap(q, 2 * M2);
    if (mremap(ht, M2, M2, MREMAP_MAYMOVE | MREMAP_FIXED, q) == MAP_FAILED)
        die("mremap hugetlb");
    else {
        touch(q, M2, 32 * P);
        if (mremap(q, M2, M2, MREMAP_MAYMOVE | MREMAP_FIXED, ht) == MAP_FAILED)
            die("mremap back");
    }
    touch(ht, htn, 32 * P);
}

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB (30 << 26)
#endif
static void op_giga0(int n)
{
    ggn = (size_t)n * G1;
    gg = map(NULL, ggn, RW, MAP_HUGETLB | MAP_HUGE_1GB);
    if (gg)
        touch(gg, ggn, G1);
    else
        ggn = 0;
}

static void op_gigaacc(int k)
{
    if (gg)
        rndacc(gg, ggn, k);
}

static void op_giga(int n)
{
    if (!gg)
        return;
    rndacc(gg, ggn, n);
    mprotect(gg, ggn, PROT_READ);
    look(gg, ggn, 4 * M2 + 3 * P);
    mprotect(gg, ggn, RW);
    rndacc(gg, ggn, n);
    pid_t c = fork();
    if (!c) {
        look(gg, ggn, 2 * M2);
        _exit(0);
    }
    waitpid(c, NULL, 0);
    rndacc(gg, ggn, n);
}

/* 2 MiB faults inside the window: each clears the page with 262,144 writes */
static void op_huge2(int n)
{
    while (n--) {
        char *p = map(NULL, M2, RW, MAP_HUGETLB);
        if (!p)
            return;
        touch(p, M2, 16 * P);
        munmap(p, M2);
    }
}

static void op_thpnew(int n)
{
    while (n--) {
        char *p = al2(M2);
        madvise(p, M2, MADV_HUGEPAGE);
        *(vu *)p = 1;
        touch(p, M2, 16 * P);
        munmap(p, M2);
    }
}

static void op_mark1(int n)
{
    (void)n;
    __asm__ volatile(".byte 0x0f,0x1f,0x80,1,0x55,0x4d,0x4d");
}

static void op_mark2(int n)
{
    (void)n;
    __asm__ volatile(".byte 0x0f,0x1f,0x80,2,0x55,0x4d,0x4d");
}

static void op_magic(int n)
{
    (void)n;
    __asm__ volatile("xchg %bx,%bx");
}

static char *wk;
static size_t wkn;
/* user work on 96 pages: pointer chase, strided sums, random writes, insertion sort */
static void op_work(int k)
{
    if (!wk) {
        wkn = 96 * P;
        wk = map(NULL, wkn, RW, MAP_POPULATE);
        for (size_t i = 0; i < wkn / 8; i++)
            ((vu *)wk)[i] = rnd() % (wkn / 8);
    }
    uint64_t i = 0;
    for (int j = 0; j < k; j++)
        i = ((vu *)wk)[i] % (wkn / 8);
    rndacc(wk, wkn, k);
    look(wk + i % 48 * P, 48 * P, 512);
    for (i = 0; i < wkn / 8; i += (uint64_t)wkn / 8 / (uint64_t)(k / 8 + 1) + 1)
        ((vu *)wk)[i] = rnd() % (wkn / 8);
    int a[40];
    for (int j = 0; j < 40; j++) {
        int x = (int)(rnd() & 0xffff), q = j;
        while (q && a[q - 1] > x) {
            a[q] = a[q - 1];
            q--;
        }
        a[q] = x;
    }
    heap = heap + 0 * a[3];
}

/* child installs n BPF filters: JIT, text_poke (its own mm), set_memory */
static void op_seccomp(int n)
{
    pid_t c = fork();
    if (c) {
        waitpid(c, NULL, 0);
        return;
    }
    static struct {
        uint16_t code;
        uint8_t jt, jf;
        uint32_t k;
    } f[400];
    struct {
        uint16_t len;
        void *p;
    } pr = {400, f};
    for (int i = 0; i < 399; i++) {
        f[i].code = 0x20;
        f[i].k = (uint32_t)(i & 15) * 4;
    }
    f[399].code = 6;
    f[399].k = 0x7fff0000u;
    prctl(38, 1, 0, 0, 0);
    while (n--)
        if (prctl(22, 2, &pr, 0, 0))
            die("seccomp");
    getppid();
    _exit(0);
}

/* one command to a Redis server in the guest */
static int rsock(const char *c)
{
    static int fd = -1;
    static char b[65536];
    struct {
        uint16_t f;
        char p[108];
    } a = {1, "/tmp/r.sock"};
    if (fd < 0) {
        fd = socket(1, 1, 0);
        if (connect(fd, (void *)&a, sizeof a)) {
            die("connect");
            fd = -1;
            return -1;
        }
    }
    return write(fd, c, strlen(c)) > 0 && read(fd, b, sizeof b) > 0 ? 0 : -1;
}

static void op_rbgsave(int n)
{
    (void)n;
    rsock("bgsave\r\n");
}

static void op_rset(int n)
{
    char b[99];
    while (n--) {
        snprintf(b, sizeof b, "set key:%d value%d\r\n", (int)(rnd() % 100), n);
        rsock(b);
    }
}

/* vmalloc and vfree of kb KiB in the kernel: global PTEs; the lazy purge (32 MiB) flushes all */
static void op_bpfmap(int kb)
{
    struct {
        uint32_t type, key, val, max, pad[40];
    } a = {2, 4, 1024, (uint32_t)kb};
    int fd = (int)syscall(SYS_bpf, 0, &a, sizeof a);
    if (fd < 0) {
        die("bpf");
        return;
    }
    close(fd);
    usleep(1000);
}

static void op_nop(int n)
{
    (void)n;
}

static void op_smaps(int n)
{
    (void)n;
    char b[4096];
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(b, sizeof b, f))
        if (strstr(b, "Huge") || strstr(b, "huge"))
            printf("%s", b);
    if (f)
        fclose(f);
    f = fopen("/proc/meminfo", "r");
    while (f && fgets(b, sizeof b, f))
        if (strstr(b, "Huge") || strstr(b, "DirectMap"))
            printf("%s", b);
    if (f)
        fclose(f);
    fflush(stdout);
}

/* clang-format off */
static const struct {
    const char *n;
    void (*f)(int);
    int d;
} ops[] = {
#define O(x, d) { #x, op_##x, d }
    O(map, 32),     O(fork, 64),   O(exec, 1),       O(vexec, 1), O(high, 8),      O(segv, 16),
    O(shm, 16),     O(jit, 8),     O(pkey, 8),       O(thp0, 14), O(thpacc, 1000), O(thpz, 2),
    O(thpsplit, 1), O(htlb0, 8),   O(htlbacc, 1000), O(htlb, 1),  O(giga0, 1),     O(gigaacc, 1000),
    O(giga, 1000),  O(huge2, 1),   O(thpnew, 1),     O(mark1, 0), O(mark2, 0),     O(magic, 0),
    O(nop, 0),      O(bpfmap, 64), O(rbgsave, 1),    O(rset, 10), O(seccomp, 1),   O(work, 2000),
    O(smaps, 0)};
/* clang-format on */
int main(int c, char **v)
{
    int i0 = 1, loop = 0;
    for (;;) {
        for (int i = i0; i < c; i++) {
            if (!strcmp(v[i], "loop")) {
                loop = 1;
                i0 = i + 1;
                continue;
            }
            char *a = strchr(v[i], ':');
            size_t l = a ? (size_t)(a - v[i]) : strlen(v[i]);
            int done = 0;
            for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
                if (strlen(ops[k].n) == l && !memcmp(ops[k].n, v[i], l)) {
                    ops[k].f(a ? atoi(a + 1) : ops[k].d);
                    done = 1;
                }
            if (!done) {
                printf("vmix: no op %s\n", v[i]);
                return 2;
            }
        }
        if (!loop)
            return 0;
        fflush(stdout);
    }
}
