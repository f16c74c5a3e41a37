# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guest.sh - what record.sh and bochs.sh share. It is sourced, not run.
umask 022 # the file modes are part of the guest's initramfs

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

# output FILE: FILE can be written and goes through the options of QEMU and the shell as it is.
output() {
  [[ $1 != *[,\'\"]* ]] || fail "-o takes a file name without commas and quotes, not $1"
  [ -d "$(dirname "$1")" ] || fail "the folder of $1 does not exist; create it first"
  rm -f "$1"
}

# text VALUE: becomes part of a JSON string and of a QEMU option.
text() {
  [[ $1 != *[,\"\\]* && $1 != *$'\n'* ]] || fail "-t takes a text without commas, quotes, backslashes and line feeds"
}

# find_kernel PATH: sets kernel to PATH or, when that is empty, to Debian's cloud kernel, fetched once.
find_kernel() {
  kernel=$1
  if [ -n "$kernel" ]; then
    [ -f "$kernel" ] || fail "the kernel $kernel does not exist; check -k"
    return
  fi
  local cache=${PGREC_CACHE:-$HOME/.cache/pgrec} package
  mkdir -p "$cache"
  kernel=$(find "$cache" -path '*/k/boot/vmlinuz-*' | sort | tail -1)
  [ -z "$kernel" ] || return 0
  need dpkg dpkg apt-get apt
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }')
  [ -n "$package" ] || fail "the package linux-image-cloud-amd64 is not known here; apt-get update, or name a kernel with -k"
  (cd "$cache" && apt-get download "$package" >/dev/null 2>&1 && dpkg -x linux-image-*.deb k && rm -f linux-image-*.deb) ||
    fail "the kernel package $package cannot be downloaded; check the network, or name a kernel with -k"
  kernel=$(find "$cache" -path '*/k/boot/vmlinuz-*' | sort | tail -1)
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

# pack ROOT LEVEL: the folder as an initramfs on stdout. Equal content gives equal bytes.
pack() {
  (cd "$1" && find . -exec touch -hd @0 {} + &&
    find . | LC_ALL=C sort | cpio -o -H newc --reproducible -R +0:+0 2>/dev/null | gzip "-n$2")
}
