#!/bin/sh
# vulkan.sh DIR puts llama.cpp's prebuilt Vulkan backend, of the release that PIN names, into DIR and prints its path.
# For tests: Mesa's software device stands in for a GPU. The backend must lie beside our libggml-base.so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=@node-llama-cpp/linux-x64-vulkan@3.22.1
integrity=sha512-bBxqU+JOcBu1nb5Qj2zcMci+JByT1E8EajHvYodyNfVIPkEhXh+/HMwR1/BT7xP08YK0hks+kM8fglER0P8JEg==
mkdir -p "$1"
cd "$1"
if [ ! -e libggml-vulkan.so ]; then
	file=$(npm pack --silent "$package")
	got=sha512-$(openssl dgst -sha512 -binary "$file" | openssl base64 -A)
	[ "$got" = "$integrity" ] || { echo "$package has integrity $got, not the pinned value" >&2; exit 1; }
	tar -xzf "$file" --strip-components=3 package/bins/linux-x64-vulkan/libggml-vulkan.so
	rm "$file"
fi
ln -sf "$("$here/build.sh")/lib/bin/libggml-base.so" libggml-base.so
echo "$PWD/libggml-vulkan.so"
