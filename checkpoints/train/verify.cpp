// Answers prompts with llama.cpp itself: verify BASE ADAPTER SCALE FIRST COUNT <prompts
// A line of the input is "KIND<tab>TEXT"; the answer is a line with the token ids that llama.cpp makes of the prompt
// (BOS, kind, text, <A>), a tab, and the logits of the COUNT tokens from FIRST on.
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

static std::vector<llama_token> tokenize(const llama_vocab *v, const std::string &s, bool special) {
    std::vector<llama_token> out(s.size() + 8);
    int n = llama_tokenize(v, s.data(), (int) s.size(), out.data(), (int) out.size(), false, special);
    if (n < 0) { fprintf(stderr, "cannot tokenize %s\n", s.c_str()); exit(1); }
    out.resize(n);
    return out;
}

int main(int argc, char **argv) {
    if (argc != 6) { fprintf(stderr, "usage: verify BASE ADAPTER SCALE FIRST COUNT\n"); return 2; }
    llama_log_set([](ggml_log_level level, const char *text, void *) { if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr); }, nullptr);
    llama_backend_init();
    llama_model_params mp = llama_model_default_params();
    mp.n_gpu_layers = 0;
    llama_model *model = llama_model_load_from_file(argv[1], mp);
    if (!model) return 1;
    llama_adapter_lora *adapter = llama_adapter_lora_init(model, argv[2]);
    if (!adapter) return 1;
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = cp.n_batch = cp.n_ubatch = 256;
    cp.n_threads = cp.n_threads_batch = 1;
    llama_context *ctx = llama_init_from_model(model, cp);
    float scale = (float) atof(argv[3]);
    if (!ctx || llama_set_adapters_lora(ctx, &adapter, 1, &scale)) return 1;
    const llama_vocab *vocab = llama_model_get_vocab(model);
    int first = atoi(argv[4]), count = atoi(argv[5]);
    for (std::string line; std::getline(std::cin, line);) {
        size_t a = line.find('\t');
        std::vector<llama_token> ids = {llama_vocab_bos(vocab)};
        for (llama_token t : tokenize(vocab, line.substr(0, a), true)) ids.push_back(t);
        for (llama_token t : tokenize(vocab, line.substr(a + 1), false)) ids.push_back(t);
        for (llama_token t : tokenize(vocab, "<A>", true)) ids.push_back(t);
        llama_memory_clear(llama_get_memory(ctx), true);
        if (llama_decode(ctx, llama_batch_get_one(ids.data(), (int) ids.size()))) return 1;
        const float *logits = llama_get_logits_ith(ctx, -1);
        for (size_t i = 0; i < ids.size(); i++) printf("%s%d", i ? " " : "", ids[i]);
        for (int i = 0; i < count; i++) printf("%c%.6f", i ? ' ' : '\t', logits[first + i]);
        printf("\n");
    }
    llama_free(ctx);
    llama_model_free(model);
    return 0;
}
