/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mark.c - executes a NOP whose bytes pgrec.c knows: 1 opens the window, 2 closes it. */
int main(int c, char **v)
{
    if (c > 1 && v[1][0] == '2')
        __asm__ volatile(".byte 0x0f,0x1f,0x80,2,0x55,0x4d,0x4d");
    else
        __asm__ volatile(".byte 0x0f,0x1f,0x80,1,0x55,0x4d,0x4d");
    return 0;
}
