#!/bin/sh
# Lays out the root folder of the image: the binary given first, the shared libraries it needs, and the
# folder of the write-ahead log, in the new folder given second. Needs ldd, and strip from binutils.
set -eu
binary=$1 root=$2
mkdir -p "$root/usr/local/bin" "$root/wal"
strip -o "$root/usr/local/bin/spanmill" "$binary"
ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done
