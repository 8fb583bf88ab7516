#!/usr/bin/env bash
# Builds the image as an OCI layout, target/image/oci, without a container daemon: one static
# binary, the certificate authorities and the list of what it is made of, on an empty base. The same
# sources and compiler give the same digest in any directory. `make image` runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly limit=10000000 # bytes, compressed
readonly name=modelarts-pool-controller
readonly out=$PWD/target/image
readonly root=$out/root
readonly umoci=target/tools/umoci
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
x86_64-*-linux-gnu) arch=amd64 ;;
aarch64-*-linux-gnu) arch=arm64 ;;
*) echo "image: $host is not a target for the image; build on Linux with glibc, amd64 or arm64" >&2 && exit 1 ;;
esac
# The time of the commit, not of the build; of a tree without history, none.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
created=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# No path of this machine ends up in the binary, be it by Rust or by the C compiler.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/src -ffile-prefix-map=$cargo_home=/cargo"
# Another directory than the tests', because other flags would make each build the other's anew.
# With --target the flags are not for build scripts, which cannot be static.
CARGO_TARGET_DIR=$out/cargo cargo build --locked --release --target "$host" --bin "$name"
readonly binary=$out/cargo/$host/release/$name
headers=$(readelf --program-headers "$binary")
if [[ $headers == *INTERP* ]]; then
	echo "image: $binary is not static" >&2
	exit 1
fi

# It writes next to Cargo.toml, and the directory of the build into the file.
target/tools/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --no-build-deps \
	--target "$host" --override-filename "$name.sbom" --quiet
sed "s|file://$PWD#|file:///src#|" "$name.sbom.json" >"$out/$name.cdx.json"
rm "$name.sbom.json"

"$binary" --version
rm -rf "$root" "$out/oci" "$out/layer.tar"
install -D --mode 755 "$binary" "$root/$name"
install -D --mode 644 "$out/$name.cdx.json" "$root/usr/share/sbom/$name.cdx.json"
install -D --mode 644 LICENSE "$root/usr/share/licenses/$name/LICENSE"
install -D --mode 644 /dev/stdin "$root/etc/passwd" <<<"nonroot:x:65532:65532:nonroot:/:/sbin/nologin"
install -D --mode 644 /dev/stdin "$root/etc/group" <<<"nonroot:x:65532:"
install -D --mode 644 <(target/tools/roots) "$root/etc/ssl/certs/ca-certificates.crt"
tar --create --file "$out/layer.tar" --directory "$root" --sort name --format ustar \
	--mtime "@$SOURCE_DATE_EPOCH" --owner 0 --group 0 --numeric-owner --mode a-s .

"$umoci" init --layout "$out/oci"
"$umoci" new --image "$out/oci:$version"
"$umoci" raw add-layer --image "$out/oci:$version" --history.created "$created" \
	--history.created_by deploy/image/build.sh "$out/layer.tar"
labels=(
	title="$name"
	description="Mirrors Huawei Cloud ModelArts resource pools into Kubernetes objects"
	version="$version"
	revision="$revision"
	licenses=Apache-2.0
	created="$created"
)
"$umoci" config --image "$out/oci:$version" --no-history --created "$created" --os linux \
	--architecture "$arch" --config.user 65532:65532 --config.entrypoint "/$name" \
	"${labels[@]/#/--config.label=org.opencontainers.image.}" \
	"${labels[@]/#/--manifest.annotation=org.opencontainers.image.}"
"$umoci" gc --layout "$out/oci"

digest=$(sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p' "$out/oci/index.json")
size=$(find "$out/oci/blobs" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
if ((size > limit)); then
	echo "image: $size bytes compressed are more than $limit" >&2
	exit 1
fi
echo "image  $out/oci:$version ($arch)"
echo "digest $digest"
echo "size   $size bytes compressed"
