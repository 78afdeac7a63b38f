// The whole of llama.cpp that Go sees. Every function that can fail takes a buffer for the reason and
// returns 0 or NULL; a C++ exception becomes such a reason and never crosses into Go. Arguments are
// checked in Go first, because a failed assertion inside ggml ends the process.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LM_ERROR_BYTES = 512 };

typedef struct lm_model lm_model;
typedef struct lm_adapter lm_adapter;
typedef struct lm_pool lm_pool;
typedef struct lm_context lm_context;

typedef struct {
	int64_t parameters, bytes;
	int32_t context_train, vocabulary, bos, eos, add_bos;
	int32_t layers, embedding, heads, heads_kv;
	char description[128];
} lm_model_info;

typedef struct {
	char name[64], description[128];
	uint64_t memory_free, memory_total;
	int32_t gpu;
} lm_device;

typedef struct {
	uint32_t cells, batch, outputs, sequences;
	int32_t threads, full_head;
} lm_context_options;

// lm_open loads libllama.so from dir and checks its version; NULL dir means the one baked in at build time.
int lm_open(const char *dir, const char *version, char *err);
int lm_plugin(const char *path, char *err);
int32_t lm_devices(void);
int lm_device_at(int32_t i, lm_device *out, char *err);

lm_model *lm_model_load(const char *path, int32_t gpu_layers, char *err);
void lm_model_info_get(const lm_model *, lm_model_info *out);
void lm_model_free(lm_model *);
int lm_quantize(const char *from, const char *to, int32_t type, char *err);

// Both return the count, or its negative when the room is too small, or INT32_MIN after an exception.
int32_t lm_tokenize(const lm_model *, const char *text, int32_t bytes, int32_t *out, int32_t room, int special, char *err);
int32_t lm_detokenize(const lm_model *, const int32_t *tokens, int32_t n, char *out, int32_t room, char *err);

lm_adapter *lm_adapter_load(lm_model *, const char *path, char *err);
void lm_adapter_free(lm_adapter *);

lm_pool *lm_pool_new(int32_t threads, uint32_t poll, char *err);
void lm_pool_free(lm_pool *);

lm_context *lm_context_new(lm_model *, lm_pool *, const lm_context_options *, char *err);
void lm_context_free(lm_context *);
int lm_set_adapter(lm_context *, lm_adapter *, float scale, char *err);
int lm_copy_sequence(lm_context *, int32_t from, int32_t to, char *err);
void lm_abort(lm_context *, int32_t on);

// One step: cut each sequence in trim back to its first keep cells, decode the rows, and copy the
// logits of the candidates of each output row. Returns llama_decode's code, or INT32_MIN after an exception.
int32_t lm_decode(lm_context *, const int32_t *trim, int32_t trims, int32_t keep,
	const int32_t *token, const int32_t *pos, const int32_t *seq, const int8_t *output, int32_t rows,
	const int32_t *candidate, const int32_t *end, float *logits, char *err);

// lm_throw throws, so that a test can see what an exception becomes.
int lm_throw(const char *what, char *err);

#ifdef __cplusplus
}
#endif
