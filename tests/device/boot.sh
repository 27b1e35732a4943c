#!/usr/bin/env bash
# Runs a program in a machine that has a capture device: the kernel's own test device, vivid.
#
#   boot.sh PROGRAM WORDS...
#
# The machine sees this one's files and changes none; what is written is in memory. It ends as the
# program does.
set -euo pipefail
export LC_ALL=C

program=$(realpath "$1") words=${*:2}
kernel=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.setup/device/kernel
[[ -d $kernel ]] || {
    echo "device: run: make device" >&2
    exit 1
}
version=$(ls "$kernel/lib/modules")
modules=$kernel/lib/modules/$version
# A machine that says nothing for so long hangs; under emulation on a busy host all is slow.
seconds=1800

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
initrd=$dir/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,host,modules}
cp /bin/busybox "$initrd/bin/"
# Debian 13 packs its modules.
find "$modules" -name '*.ko.xz' -exec xz -d {} +
[[ -f $modules/modules.dep ]] || busybox depmod -b "$kernel" "$version"

# The module and those it needs, they first; nothing for one that is built in.
needs() {
    sed -n "s|^\([^:]*/$1\.ko\):|\1|p" "$modules/modules.dep" | tr ' ' '\n' | tac
}
for module in virtio_pci 9pnet_virtio 9p vivid; do
    needs "$module"
done | grep . | awk '!seen[$0]++' | while read -r file; do
    cp "$modules/$file" "$initrd/modules/"
    basename "$file"
done >"$initrd/order"
grep -qx vivid.ko "$initrd/order" || {
    echo "device: the kernel in $kernel has no vivid" >&2
    exit 1
}

cat >"$initrd/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    case \$module in vivid.ko) words="n_devs=1 node_types=0x1" ;; *) words= ;; esac
    /bin/busybox insmod /modules/\$module \$words
done </order
# What a system's first program makes beside the kernel's own: bash reads <(...) by it.
/bin/busybox ln -s /proc/self/fd /dev/fd
/bin/busybox ifconfig lo 127.0.0.1 up
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 host /host
for dir in proc sys dev; do
    /bin/busybox mount -o bind /\$dir /host/\$dir
done
for dir in /run /dev/shm $(dirname "$program")/../../tmp; do
    /bin/busybox mkdir -p /host\$dir
    /bin/busybox mount -t tmpfs tmpfs /host\$dir
done
[ -c /dev/video0 ] && /bin/busybox chroot /host /bin/sh -c \
    'cd $PWD && exec env HOME=/run TMPDIR=/run PATH=$PATH $program $words'
echo "device: exit code \$?"
/bin/busybox poweroff -f
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | busybox cpio -o -H newc) >"$dir/initrd.img" 2>/dev/null

timeout "$seconds" qemu-system-x86_64 \
    -M q35 -accel "${DEVICE_ACCEL:-tcg}" -cpu max -m 4096 -smp 2 -no-reboot -display none -nodefaults \
    -kernel "$kernel"/boot/vmlinuz-* -initrd "$dir/initrd.img" \
    -append "console=ttyS0 quiet panic=-1 random.trust_cpu=on" \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -serial stdio </dev/null | tr -d '\r' | tee "$dir/said"
grep -qx 'device: exit code 0' "$dir/said"
