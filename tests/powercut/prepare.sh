#!/usr/bin/env bash
# Gets what a test in a virtual machine needs: QEMU and busybox as Debian packages, and a kernel of
# Debian's, which is unpacked into .setup/NAME/ and not installed. Does nothing twice.
#
#   prepare.sh NAME KERNEL-PACKAGE
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=$1 package=$2
place=$root/.setup/$name

fail() {
    echo "$name: cannot run here: $1" >&2
    exit 1
}

[[ $(uname -sm) == "Linux x86_64" ]] || fail "the machine it starts is x86-64, this is $(uname -sm)"
[[ $EUID -eq 0 ]] || fail "packages are installed and disks mounted, which needs root (by sudo: sudo env PATH=\"\$PATH\" make $name, in a clone of its own, since its files will be root's)"
[[ $name != powercut || -e /dev/loop-control ]] || fail "there are no loop devices (a container without them?)"
command -v apt-get >/dev/null || fail "this is not Debian: apt-get is missing"

missing=()
for needed in qemu-system-x86 busybox-static e2fsprogs gcc xz-utils; do
    dpkg-query --show --showformat='${db:Status-Abbrev}' "$needed" 2>/dev/null | grep -q '^ii' ||
        missing+=("$needed")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    echo "$name: installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
        "${missing[@]}"
fi

if ! compgen -G "$place/kernel/boot/vmlinuz-*" >/dev/null; then
    # The package of this name only depends on the one with the version in its name.
    kernel=$(apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-image-[0-9]\)/\1/p')
    [[ -n $kernel ]] || fail "no package $package (run: apt-get update)"
    echo "$name: fetching $kernel"
    rm -rf "$place"
    mkdir -p "$place/deb"
    (cd "$place/deb" && apt-get download -qq "$kernel" 2>&1 | grep -v unsandboxed || true)
    compgen -G "$place/deb/*.deb" >/dev/null || fail "$kernel cannot be fetched"
    dpkg-deb --extract "$place"/deb/*.deb "$place/unpacked"
    rm -rf "$place/deb"
    mv "$place/unpacked" "$place/kernel"
fi
