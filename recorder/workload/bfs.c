/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bfs.c - breadth-first search over a random graph: bfs [log2 of the nodes (20) [edges of a node (4)]]
 * The marker that opens the window (mark.c) stands between building the graph and searching it; the search maps its
 * queue in as it goes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uint32_t bits = argc > 1 ? (uint32_t)atoi(argv[1]) : 20, degree = argc > 2 ? (uint32_t)atoi(argv[2]) : 4;
    if (bits < 1 || bits > 28 || degree < 1 || degree > 64) {
        fprintf(stderr, "bfs: takes 1-28 and 1-64\n");
        return 2;
    }
    uint32_t nodes = 1u << bits, head = 0, tail = 0;
    uint64_t x = 88172645463325252ull;
    uint32_t *edges = malloc((size_t)nodes * degree * 4);
    if (!edges)
        return 1;
    for (size_t i = 0; i < (size_t)nodes * degree; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        edges[i] = (uint32_t)(x >> 32) & (nodes - 1);
    }
    uint32_t *queue = malloc((size_t)nodes * 4), *distance = malloc((size_t)nodes * 4);
    if (!queue || !distance)
        return 1;
    for (uint32_t i = 0; i < nodes; i++)
        distance[i] = 0;
    __asm__ volatile(".byte 0x0f,0x1f,0x80,1,0x55,0x4d,0x4d");
    queue[tail++] = 0;
    distance[0] = 1;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (uint32_t e = 0; e < degree; e++) {
            uint32_t next = edges[(size_t)node * degree + e];
            if (!distance[next]) {
                distance[next] = distance[node] + 1;
                queue[tail++] = next;
            }
        }
    }
    printf("%u of %u nodes\n", tail, nodes);
    return 0;
}
