#!/usr/bin/env bash
# Boots a machine whose disk logs every write and flush, and runs a program in it.
#
#   boot.sh PROGRAM DIR sync|nosync ROUNDS
#
# DIR has pristine.img and keys/; writes.log is made there. The machine has nothing but Debian's
# kernel, busybox, the program with its libraries, and the keys, all in memory.
set -euo pipefail
export LC_ALL=C

program=$1 dir=$2 sync=$3 rounds=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=$here/../../.setup/powercut/kernel
[[ -d $kernel ]] || {
    echo "powercut: run tests/powercut/prepare.sh first" >&2
    exit 1
}
# A machine that says nothing for so long hangs; under emulation on a busy host all is slow.
seconds=1800

initrd=$dir/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,mnt,tmp,modules}
cp /bin/busybox "$initrd/bin/"
strip -o "$initrd/powercut" "$program"
cp -r "$dir/keys" "$initrd/keys"
# The loader and every library, at the places where they are looked for.
ldd "$program" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    install -D "$library" "$initrd$library"
done
# In the order in which they need each other.
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
    # Debian 13 has some of them built in, and the others packed.
    find "$kernel" -name "$module.ko" -exec cp {} "$initrd/modules/" \;
    find "$kernel" -name "$module.ko.xz" -exec sh -c 'xz -dc "$1" >"$2"' sh {} \
        "$initrd/modules/$module.ko" \;
done
[[ -f $initrd/modules/virtio_blk.ko ]] || find "$kernel" -name modules.builtin -exec cat {} + |
    grep -q /virtio_blk.ko || {
    echo "powercut: the kernel in $kernel has no driver for the disk" >&2
    exit 1
}
preload=
if [[ $sync == nosync ]]; then
    cc -shared -fPIC -O1 -o "$initrd/nosync.so" "$here/nosync.c"
    preload=/nosync.so
fi
cat >"$initrd/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
    [ ! -f /modules/\$module.ko ] || /bin/busybox insmod /modules/\$module.ko
done
/bin/busybox mount -t ext4 /dev/vda1 /mnt &&
    LD_LIBRARY_PATH=$(ldd "$program" | grep -o '/[^ ]*' | xargs -n1 dirname | sort -u | paste -sd:) \
    LD_PRELOAD=$preload /powercut guest /keys /mnt/store /dev/vda2 $rounds
echo "powercut: exit code \$?"
/bin/busybox poweroff -f
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | busybox cpio -o -H newc) >"$dir/initrd.img" 2>/dev/null
rm -rf "$initrd"

cp --sparse=always "$dir/pristine.img" "$dir/disk.img"
: >"$dir/writes.log"
# The disk has a write-back cache (write-cache=on), so the guest flushes when it means it. Below the
# log flushes are switched off: each is then logged at the moment it was asked for.
file() { echo "driver=file,node-name=$1,filename=$2,cache.direct=off,cache.no-flush=on"; }
timeout "$seconds" qemu-system-x86_64 \
    -M q35 -accel "${POWERCUT_ACCEL:-tcg}" -cpu max -m 1024 -smp 1 -no-reboot -display none -nodefaults \
    -kernel "$kernel"/boot/vmlinuz-* -initrd "$dir/initrd.img" \
    -append "console=ttyS0 quiet panic=-1 random.trust_cpu=on" \
    -blockdev "$(file disk "$dir/disk.img")" \
    -blockdev "$(file log "$dir/writes.log")" \
    -blockdev driver=blklogwrites,node-name=logged,file=disk,log=log \
    -device virtio-blk-pci,drive=logged,write-cache=on \
    -serial stdio </dev/null
