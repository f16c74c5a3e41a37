#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
usage() {
  cat <<'USAGE'
record.sh [OPTIONS] COMMAND - records a Linux guest in QEMU, from the start of COMMAND on.

COMMAND is for the guest's shell (dash). Every program that it names and that is installed here is copied into the
guest with its libraries. Needs: apt-get install gcc libc6-dev qemu-system-x86 busybox-static cpio

  -o FILE        the trace (trace.pgrec.gz); .gz and .xz compress
  -n ACCESSES    end after so many fetches, reads and writes (5000000)
  -m MIB         RAM of the guest (1024)
  -c CPU         CPU model of QEMU (max,la57=off,erms=off)
  -a "ARGS"      kernel arguments, such as pti=on or transparent_hugepage=always
  -f page        merge the fetches within a page (insn: one record an instruction)
  -p "COMMANDS"  run before the window opens
  -i "PROGRAMS"  further programs to copy into the guest, by name or path
  -k VMLINUZ     kernel; otherwise Debian's linux-image-cloud-amd64, kept in $PGREC_CACHE or ~/.cache/pgrec
  -t TEXT        title in the trace's header
  -d             no randomness (nokaslr norandmaps, no RDRAND): the same file on every run

For example: record.sh -d -o t.pgrec.gz -n 5000000 'seq 1 50000 | sort -rn | uniq -c | tail -1'
USAGE
}
set -e
kernel=
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=guest.sh
. "$here/guest.sh"

out=trace.pgrec.gz accesses=5000000 ram=1024 cpu=max,la57=off,erms=off
arguments='' fetch=insn prepare='' programs='' vmlinuz='' title='' fixed=''
while getopts :o:n:m:c:a:f:p:i:k:t:dh option; do
  case $option in
    o) out=$OPTARG ;;
    n) accesses=$OPTARG ;;
    m) ram=$OPTARG ;;
    c) cpu=$OPTARG ;;
    a) arguments=$OPTARG ;;
    f) fetch=$OPTARG ;;
    p) prepare=$OPTARG ;;
    i) programs=$OPTARG ;;
    k) vmlinuz=$OPTARG ;;
    t) title=$OPTARG ;;
    d) fixed=1 ;;
    h) usage && exit 0 ;;
    :) fail "-$OPTARG takes a value; -h lists the options" ;;
    *) fail "-$OPTARG is not an option; -h lists them" ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 && -n $1 ]] || fail "the command to record is missing; -h lists the options"
[ $# -eq 1 ] || fail "'$2' follows the command; quote the command as one argument, after the options"
command=$1
number -n "$accesses"
number -m "$ram"
[[ $fetch = insn || $fetch = page ]] || fail "-f takes insn or page, not '$fetch'"
text "$title"
need gcc gcc /usr/include/stdlib.h libc6-dev qemu-system-x86_64 qemu-system-x86 /bin/busybox busybox-static cpio cpio
output "$out"
if [ -n "$fixed" ]; then
  cpu=$cpu,rdrand=off
  arguments="$arguments nokaslr norandmaps"
fi
find_kernel "$vmlinuz"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -shared -fPIC -o "$work/pgrec.so" "$here/pgrec.c"

root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,usr/bin,root,lib,lib64}
cp /bin/busybox "$root/bin/"
for name in dash $(printf '%s %s' "$command" "$prepare" | tr -c 'A-Za-z0-9_./+-' '\n' | sort -u); do
  file=$(program "$name") || continue
  copy_program "$file" "$root"
done
copy_named "$programs" "$root"
cat > "$work/mark.c" <<'C'
/* A NOP whose bytes pgrec.c knows: 1 opens the window, 2 closes it. */
int main(int c, char **v)
{
    if (c > 1 && v[1][0] == '2')
        __asm__ volatile(".byte 0x0f,0x1f,0x80,2,0x55,0x4d,0x4d");
    else
        __asm__ volatile(".byte 0x0f,0x1f,0x80,1,0x55,0x4d,0x4d");
    return 0;
}
C
gcc -O1 -static -o "$root/bin/pgmark" "$work/mark.c"
ln -s /usr/bin/dash "$root/bin/sh"
for name in mount poweroff; do ln -s busybox "$root/bin/$name"; done
cat > "$root/init" <<INIT
#!/usr/bin/dash
export PATH=/usr/bin:/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
/bin/busybox ifconfig lo 127.0.0.1 up 2>/dev/null
cd /root
$prepare
pgmark 1
$command
pgmark 2
poweroff -f
INIT
chmod +x "$root/init"
pack "$root" 1 > "$work/initrd.gz"

status=0
qemu-system-x86_64 -accel tcg -cpu "$cpu" -smp 1 -m "$ram" -nographic -no-reboot -nodefaults -serial stdio \
  -icount shift=0,sleep=off -seed 1 -rtc base=2024-01-01,clock=vm \
  -kernel "$kernel" -initrd "$work/initrd.gz" -append "console=ttyS0 quiet panic=-1 $arguments" \
  -plugin "$work/pgrec.so,out=$out,limit=$accesses,ram=$ram,fetch=$fetch,meta=$title" < /dev/null || status=$?
[ -s "$out" ] || fail "nothing was recorded: the guest ended before the window opened (QEMU's exit status is $status)"
