// Answers prompts with llama.cpp itself: verify BASE ADAPTER SCALE FIRST COUNT <prompts
// A line of the input has the token ids of a prompt; the answer is a line with the logits of the COUNT tokens from FIRST on.
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

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
    int first = atoi(argv[4]), count = atoi(argv[5]);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream in(line);
        std::vector<llama_token> ids;
        for (llama_token t; in >> t;) ids.push_back(t);
        llama_memory_clear(llama_get_memory(ctx), true);
        if (llama_decode(ctx, llama_batch_get_one(ids.data(), (int) ids.size()))) return 1;
        const float *logits = llama_get_logits_ith(ctx, -1);
        for (int i = 0; i < count; i++) printf("%.6f ", logits[first + i]);
        printf("\n");
    }
    llama_free(ctx);
    llama_model_free(model);
    return 0;
}
