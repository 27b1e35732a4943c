#!/usr/bin/env bash
# Gets everything that building, demo and tests need beyond Rust, says what it does, and does
# nothing (no root, no network) when all of it is there.
#
#   .ci/setup.sh            Debian packages, ONNX Runtime
#   .ci/setup.sh --tests    these, and the Python libraries that some tests talk to
#
# Debian packages go to the system, by sudo when not root. All else goes to .setup/ in the project;
# deleting that folder undoes it.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup=$root/.setup
venv=$setup/venv
# What serves its purpose as soon as it is installed, and is not wanted as a service: tests and demo
# start their own, on free ports.
services=(mosquitto.service gpsd.service gpsd.socket)

case $(uname -m) in
x86_64)
    platform=manylinux_2_28_x86_64
    library_sha256=aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083
    ;;
aarch64)
    platform=manylinux_2_28_aarch64
    library_sha256=23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d
    ;;
*) platform= ;;
esac

say() { echo "setup: $*"; }

fail() {
    echo "setup: error: $1" >&2
    shift
    for line in "$@"; do echo "setup:   $line" >&2; done
    exit 1
}

# Runs a command as root.
as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# Also on failure and Ctrl-C: no half-unpacked wheel, and no switch that keeps services from starting.
policy_is_ours=
work=
clean_up() {
    if [[ -n $policy_is_ours ]]; then as_root rm -f /usr/sbin/policy-rc.d; fi
    policy_is_ours=
    if [[ -n $work ]]; then rm -rf "$work"; fi
    work=
}
trap clean_up EXIT

# The packages of .ci/packages that are not installed. PulseAudio would push PipeWire's own out of a
# desktop: beside them it is left out, and the test that wants it says so.
missing_packages() {
    local wanted installed
    wanted=$(sed 's/#.*//' "$root/.ci/packages" | tr -s ' \n' '\n' | sed '/^$/d' | sort)
    # "ii" is installed; the name without its ":amd64".
    installed=$(dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' |
        sed -n 's/^ii  *//p' | sort -u)
    if grep -qx pipewire-alsa <<<"$installed"; then
        wanted=$(grep -vx pulseaudio <<<"$wanted")
    fi
    comm -23 <(echo "$wanted") <(echo "$installed")
}

# Debian starts and enables a service when its package is installed. A developer who wants the
# program mosquitto did not ask for a broker on port 1883, so while we install, starting is refused
# by the switch Debian has for this (policy-rc.d), and what came new is not left enabled.
# Whatever was installed, running or enabled before is not touched.
install_packages() {
    local policy=/usr/sbin/policy-rc.d service known=()
    for service in "${services[@]}"; do
        if [[ -e /lib/systemd/system/$service ]]; then known+=("$service"); fi
    done
    if [[ ! -e $policy ]]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 0755 "$policy"
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet=2 --no-install-recommends "$@"
    clean_up
    for service in "${services[@]}"; do
        if [[ -e /lib/systemd/system/$service && " ${known[*]-} " != *" $service "* ]] &&
            command -v systemctl >/dev/null; then
            say "$service came new: not started, not enabled"
            as_root systemctl --quiet disable "$service"
        fi
    done
    if [[ " $* " == *" pulseaudio "* ]] && command -v systemctl >/dev/null; then
        say "pulseaudio came new: not enabled for anybody's session"
        as_root systemctl --quiet --global disable pulseaudio.socket pulseaudio.service
    fi
}

debian_packages() {
    command -v dpkg-query >/dev/null || fail "this is not Debian" \
        "install what $root/.ci/packages lists in your system's way, then run cargo yourself"
    local missing
    mapfile -t missing < <(missing_packages)
    if [[ ${#missing[@]} -eq 0 ]]; then
        say "Debian packages: all there"
        return
    fi
    if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
        fail "packages are missing, and this is neither root nor is there sudo; as root:" \
            "apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Debian packages: installing ${missing[*]}"
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] || fail "still missing after installation: ${missing[*]}"
}

# Python's environment inside the project: fetches the wheel, and runs the tests' peers.
python_environment() {
    if [[ ! -x $venv/bin/pip ]]; then
        say "Python environment: making $venv"
        rm -rf "$venv"
        /usr/bin/python3 -m venv "$venv"
    fi
}

is_library() {
    [[ -f $1 ]] && echo "$library_sha256  $1" | sha256sum --check --status
}

onnx_runtime() {
    local library=$setup/onnxruntime/libonnxruntime.so
    if [[ -z $platform ]]; then
        say "ONNX Runtime: nobody publishes it for $(uname -m); name your own in [model] runtime"
        return
    fi
    if is_library "$library"; then
        say "ONNX Runtime: there, hash verified"
        return
    fi
    python_environment
    say "ONNX Runtime: fetching the Python package onnxruntime for $platform"
    work=$(mktemp -d "$setup/onnxruntime.XXXXXX")
    "$venv/bin/pip" --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
        --require-hashes --requirement "$root/.ci/requirements-onnxruntime.txt" \
        --platform "$platform" --implementation cp --python-version 3.11 --abi cp311 --dest "$work"
    unzip -q "$work"/onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so.*' \
        onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt -d "$work"
    mkdir "$work/done"
    mv "$work"/onnxruntime/capi/libonnxruntime.so.* "$work/done/libonnxruntime.so"
    mv "$work"/onnxruntime/{LICENSE,ThirdPartyNotices.txt} "$work/done/"
    is_library "$work/done/libonnxruntime.so" ||
        fail "the library in the package is not the one known by its hash; nothing was installed"
    rm -rf "$setup/onnxruntime"
    mv "$work/done" "$setup/onnxruntime"
    clean_up
    say "ONNX Runtime: $library"
}

test_libraries() {
    local wanted=$root/.ci/requirements-test.txt have=$venv/requirements-test.txt
    # After an upgrade of Debian its Python is another, which does not look where they lie.
    if cmp --quiet "$wanted" "$have" && "$venv/bin/python" -c 'import pymavlink' 2>/dev/null; then
        say "Python libraries for tests: all there"
        return
    fi
    rm -rf "$venv"
    python_environment
    say "Python libraries for tests: installing into $venv"
    "$venv/bin/pip" --disable-pip-version-check install --quiet --only-binary=:all: \
        --require-hashes --requirement "$wanted"
    cp "$wanted" "$have"
}

main() {
    local tests=
    case ${1-} in
    '') ;;
    --tests) tests=yes ;;
    *)
        echo "usage: setup.sh [--tests]" >&2
        exit 2
        ;;
    esac
    debian_packages
    mkdir -p "$setup"
    # Two at once (make -j, two terminals) would unpack into each other.
    exec 9>"$setup/lock"
    flock 9
    onnx_runtime
    if [[ -n $tests ]]; then test_libraries; fi
    command -v cargo >/dev/null ||
        fail "Rust is missing: install it by rustup; $root/rust-toolchain.toml names the version"
}

main "$@"
