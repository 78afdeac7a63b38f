#!/bin/sh
# convert_test.sh CHECKPOINT TOKENIZER.model MAPPERCTL: goes the way of llama-3-8b-lora/README.md with a small model in the
# layouts of Hugging Face and PEFT, and wants the same answers from what llama.cpp's converters make of it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 "$here/huggingface.py" "$1" "$2" "$work/hf"
mkdir "$work/stand-in" "$work/out"
cp "$here/transformers.py" "$work/stand-in/"
export PYTHONPATH="$work/stand-in"
run() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
run /usr/bin/python3 "$LLAMA_CPP_SRC/convert_hf_to_gguf.py" "$work/hf/base" --outtype f16 --outfile "$work/out/base-f16.gguf"
for name in mapper verdict; do
	run /usr/bin/python3 "$LLAMA_CPP_SRC/convert_lora_to_gguf.py" "$work/hf/$name" --base "$work/hf/base" --outtype f16 --outfile "$work/out/$name-lora-f16.gguf"
done
for file in manifest.yaml lexicon.tsv golden.jsonl; do cp "$1/$file" "$work/out/"; done
run "$3" checkpoint seal "$work/out"
run "$3" checkpoint verify "$work/out"
run "$3" checkpoint quantise "$work/out" "$work/q8"
