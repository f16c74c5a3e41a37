#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
usage() {
  cat <<'USAGE'
bochs.sh [OPTIONS] COMMANDS - records a Linux guest with PCID and INVPCID in Bochs 2.7.

COMMANDS are for the guest's shell (busybox sh) and run from its start; the window opens when one of them executes
`xchg %bx,%bx`, as `vmix magic` does. Booting takes about 20 s, then 0.1 to 0.2 million accesses a second.
Needs: apt-get install gcc libc6-dev bochs isolinux syslinux-common xorriso busybox-static cpio faketime

  -o FILE        the trace (trace.pgrec.gz); nestwalk trace convert makes a .nwt file of it
  -n ACCESSES    end after so many fetches, reads and writes (1000000)
  -s STEPS       end after so many steps of the debugger at the latest (two for each access)
  -m MIB         RAM of the guest (128)
  -c CPU         CPU model of Bochs (corei7_haswell_4770)
  -a "ARGS"      kernel arguments, such as pti=on
  -b ADDRESS     open the window only when the kernel executes this address after the marker. pti=on needs it: the
                 guest's RAM is read through the kernel's tables. sync_regs will do (0xffffffff81a05110 in
                 6.1.0-56-cloud-amd64; otherwise see /proc/kallsyms of a guest booted with nokaslr)
  -i "PROGRAMS"  programs to copy into the guest, by name or path
  -k VMLINUZ     kernel; otherwise Debian's linux-image-cloud-amd64, kept in ~/.cache/nestwalk
  -t TEXT        title in the trace's header

There is no randomness: the same file on every run.
USAGE
}
set -e
umask 022 # the file modes are part of the guest's initramfs
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# need PROGRAM PACKAGE ...: fails with one sentence that names the missing programs and their packages.
need() {
  local absent=() packages=()
  while [ $# -gt 0 ]; do
    if [ ! -e "$1" ] && ! type -P "$1" >/dev/null; then
      absent+=("$1")
      packages+=("$2")
    fi
    shift 2
  done
  [ ${#absent[@]} -eq 0 ] || fail "${absent[*]} missing; apt-get install ${packages[*]}"
}

# number OPTION VALUE
number() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "$1 takes a number above 0, not '$2'"
}

# output FILE: FILE can be written and goes through the shell as it is.
output() {
  [ -d "$(dirname "$1")" ] || fail "the folder of $1 does not exist; create it first"
  rm -f "$1"
}

# text VALUE: becomes part of a JSON string.
text() {
  [[ $1 != *[\"\\]* && $1 != *$'\n'* ]] || fail "-t takes a text without quotes, backslashes and line feeds"
}

# find_kernel PATH: sets kernel to PATH or, when that is empty, to Debian's cloud kernel, fetched once.
find_kernel() {
  kernel=$1
  if [ -n "$kernel" ]; then
    [ -f "$kernel" ] || fail "the kernel $kernel does not exist; check -k"
    return
  fi
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/nestwalk package folder
  mkdir -p "$cache"
  kernel=$(find "$cache" -maxdepth 1 -name 'vmlinuz-*cloud*' | sort -V | tail -1)
  [ -z "$kernel" ] || return 0
  need dpkg dpkg apt-get apt
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }')
  [ -n "$package" ] || fail "the package linux-image-cloud-amd64 is not known here; apt-get update, or name a kernel with -k"
  folder=$(mktemp -d)
  (cd "$folder" && apt-get download "$package" >/dev/null 2>&1 && dpkg -x linux-image-*.deb . && cp boot/vmlinuz-* "$cache") ||
    fail "the kernel package $package cannot be downloaded; check the network, or name a kernel with -k"
  rm -rf "$folder"
  kernel=$(find "$cache" -maxdepth 1 -name 'vmlinuz-*cloud*' | sort -V | tail -1)
}

# copy_program FILE ROOT: a program and the libraries it is linked with.
copy_program() {
  local library
  cp -L "$1" "$2/usr/bin/$(basename "$1")"
  { ldd "$1" 2>/dev/null || true; } | grep -oE '/[^ ]+' | while read -r library; do
    mkdir -p "$2$(dirname "$library")"
    cp -n -L "$library" "$2$library" 2>/dev/null || true
  done
}

# program NAME: the path of a program that may be copied into the guest.
program() {
  local file
  file=$(PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/games type -P "$1" 2>/dev/null) && [ -f "$file" ] && echo "$file"
}

# copy_named "NAMES" ROOT: the programs of -i, all of which must exist.
copy_named() {
  local name file
  for name in $1; do
    file=$(program "$name") || fail "the program $name of -i does not exist; install or build it"
    copy_program "$file" "$2"
  done
}

# pack ROOT: the folder as an initramfs on stdout. Equal content gives equal bytes.
pack() {
  (cd "$1" && find . -exec touch -hd @0 {} + &&
    find . | LC_ALL=C sort | cpio -o -H newc --reproducible -R +0:+0 2>/dev/null | gzip -n9)
}

out=trace.pgrec.gz accesses=1000000 steps='' ram=128 cpu=corei7_haswell_4770
arguments='' breakpoint='' programs='' vmlinuz='' title=''
while getopts :o:n:s:m:c:a:b:i:k:t:h option; do
  case $option in
    o) out=$OPTARG ;;
    n) accesses=$OPTARG ;;
    s) steps=$OPTARG ;;
    m) ram=$OPTARG ;;
    c) cpu=$OPTARG ;;
    a) arguments=$OPTARG ;;
    b) breakpoint=$OPTARG ;;
    i) programs=$OPTARG ;;
    k) vmlinuz=$OPTARG ;;
    t) title=$OPTARG ;;
    h) usage && exit 0 ;;
    :) fail "-$OPTARG takes a value; -h lists the options" ;;
    *) fail "-$OPTARG is not an option; -h lists them" ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 && -n $1 ]] || fail "the commands to record are missing; -h lists the options"
[ $# -eq 1 ] || fail "'$2' follows the commands; quote them as one argument, after the options"
commands=$1
number -n "$accesses"
number -m "$ram"
steps=${steps:-$((accesses * 2))}
number -s "$steps"
[[ -z $breakpoint || $breakpoint =~ ^0x[0-9a-f]+$ ]] || fail "-b takes an address such as 0xffffffff81a05110, not '$breakpoint'"
[[ -n $breakpoint || " $arguments " != *" pti=on "* ]] || fail "pti=on needs the address of a breakpoint in the kernel; give -b"
text "$title"
need gcc gcc /usr/include/stdlib.h libc6-dev bochs-bin bochs xorriso xorriso faketime faketime cpio cpio \
  /bin/busybox busybox-static /usr/lib/ISOLINUX/isolinux.bin isolinux \
  /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common /usr/share/bochs/BIOS-bochs-latest bochsbios
output "$out"
find_kernel "$vmlinuz"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -o "$work/bx2pgrec" "$here/bx2pgrec.c"

root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,usr/bin} "$work/iso"
cp /bin/busybox "$root/bin/"
copy_named "$programs" "$root"
for name in sh mount cat tr sort uniq wc gzip seq head tail grep sed true sleep poweroff awk; do
  ln -s busybox "$root/bin/$name"
done
cat > "$root/init" <<INIT
#!/bin/sh
export PATH=/usr/bin:/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
$commands
poweroff -f
INIT
chmod +x "$root/init"
pack "$root" > "$work/iso/initrd.gz"
cp "$kernel" "$work/iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/"
cat > "$work/iso/isolinux.cfg" <<CFG
default l
prompt 0
timeout 1
label l
 kernel /vmlinuz
 append initrd=/initrd.gz console=ttyS0 quiet nokaslr norandmaps lpj=4000000 $arguments
CFG
find "$work/iso" -exec touch -hd @1700000000 {} +
SOURCE_DATE_EPOCH=1700000000 xorriso -as mkisofs -quiet -o "$work/guest.iso" -b isolinux.bin -c boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null
cat > "$work/bochsrc" <<RC
cpu: model=$cpu, count=1, ips=50000000, reset_on_triple_fault=1
megs: $ram
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/guest.iso, status=inserted
boot: cdrom
clock: sync=none, time0=1704067200
com1: enabled=1, mode=file, dev=$work/serial.txt
display_library: rfb, options="timeout=0"
magic_break: enabled=1
log: $work/bochs.log
panic: action=report
RC
{
  echo c
  [ -z "$breakpoint" ] || printf 'lb %s\nc\n' "$breakpoint"
  printf 'writemem "%s/ram.bin" 0xffff888000000000 0x%x\n' "$work" $((ram << 20))
  printf 'd 1\ncreg\ntrace on\ntrace-mem on\ntrace-reg on\ns %s\nq\n' "$steps"
} > "$work/commands"

# Bochs seeds its random numbers from the clock. It is ended by the closed pipe, so its status says nothing.
status=0
(cd "$work" && faketime -f '2024-01-01 00:00:00' bochs-bin -q -f bochsrc < commands 2> bochs.err) |
  { "$work/bx2pgrec" "$work/ram.bin" "$ram" "$accesses" "$title" || touch "$work/failed"; } | gzip -9n > "$out" || status=$?
tr -d '\r' < "$work/serial.txt" | tail -5 >&2 || true
if [ $status -ne 0 ] || [ -e "$work/failed" ]; then
  rm -f "$out"
  tail -3 "$work/bochs.err" >&2 || true
  fail "nothing was recorded: see the lines above"
fi
