//go:build llama

#include "shim.h"

#include <dlfcn.h>
#include <llama.h>
#include <llama_lib_dir.h> // written by build.sh

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

extern "C" void lmGoLog(int32_t level, char *line); // log.go

// Every function of libllama and ggml that we call. They are resolved by lm_open, so that a binary
// starts, and can say what is wrong, where the library is missing or is another version.
#define LM_API(F)                                                                                      \
	F(llama_version) F(llama_log_set) F(llama_backend_init)                                            \
	F(llama_model_default_params) F(llama_model_load_from_file) F(llama_model_free)                    \
	F(llama_model_quantize_default_params) F(llama_model_quantize)                                     \
	F(llama_model_get_vocab) F(llama_model_n_params) F(llama_model_size) F(llama_model_n_ctx_train)    \
	F(llama_model_n_layer) F(llama_model_n_embd) F(llama_model_n_head) F(llama_model_n_head_kv)        \
	F(llama_model_desc) F(llama_vocab_n_tokens) F(llama_vocab_bos) F(llama_vocab_eos)                  \
	F(llama_vocab_get_add_bos) F(llama_tokenize) F(llama_detokenize)                                   \
	F(llama_adapter_lora_init) F(llama_adapter_lora_free) F(llama_set_adapters_lora)                   \
	F(llama_context_default_params) F(llama_init_from_model) F(llama_free) F(llama_get_memory)         \
	F(llama_attach_threadpool) F(llama_detach_threadpool) F(llama_memory_seq_rm)                       \
	F(llama_memory_seq_cp) F(llama_decode) F(llama_synchronize) F(llama_get_logits_ith)                \
	F(ggml_threadpool_params_default) F(ggml_threadpool_new) F(ggml_threadpool_free)                   \
	F(ggml_backend_tensor_get) F(ggml_backend_buffer_get_usage) F(ggml_get_type_traits) F(ggml_nbytes) \
	F(ggml_backend_load) F(ggml_backend_dev_count) F(ggml_backend_dev_get) F(ggml_backend_dev_name)    \
	F(ggml_backend_dev_description) F(ggml_backend_dev_memory)

namespace {

struct {
#define LM_FIELD(name) decltype(&::name) name;
	LM_API(LM_FIELD)
#undef LM_FIELD
	decltype(&::ggml_backend_dev_type) dev_type; // its name is also an enum's, which the list cannot express
} api;

// complaint is the last error line that llama.cpp logged on this thread: its functions return only NULL.
thread_local std::string complaint;

std::runtime_error failure(const char *what) {
	return std::runtime_error(complaint.empty() ? what : std::string(what) + ": " + complaint);
}

// guard runs f and turns an exception into a reason; it returns f's value, or failed.
template <typename T, typename F> T guard(char *err, T failed, F f) {
	try {
		complaint.clear();
		return f();
	} catch (const std::exception &e) {
		snprintf(err, LM_ERROR_BYTES, "%s", e.what());
	} catch (...) {
		snprintf(err, LM_ERROR_BYTES, "llama.cpp threw something that is not a std::exception");
	}
	return failed;
}

// on_log collects fragments into lines, each thread its own, and hands whole lines to Go.
void on_log(ggml_log_level level, const char *text, void *) {
	thread_local std::string line;
	thread_local ggml_log_level current = GGML_LOG_LEVEL_INFO;
	try {
		if (level != GGML_LOG_LEVEL_CONT) current = level;
		line += text;
		if (line.empty() || (line.back() != '\n' && line.size() < 4096)) return;
		if (current == GGML_LOG_LEVEL_ERROR) complaint = line.substr(0, line.find('\n'));
		lmGoLog(current, line.data());
		line.clear();
	} catch (...) { // out of memory: the line is lost, the process is not
	}
}

bool aborted(void *flag) { return static_cast<std::atomic<int32_t> *>(flag)->load(std::memory_order_relaxed) != 0; }

llama_model *model_of(const lm_model *m) { return reinterpret_cast<llama_model *>(const_cast<lm_model *>(m)); }
llama_adapter_lora *adapter_of(lm_adapter *a) { return reinterpret_cast<llama_adapter_lora *>(a); }
ggml_threadpool *pool_of(lm_pool *p) { return reinterpret_cast<ggml_threadpool *>(p); }

// Head replaces a model's last layer, the product of the hidden state with a row for each token of the vocabulary,
// by the rows that are asked for. Where the graph ends in that product alone, the first decode notes its two
// factors, and later ones stop before it. Where it does not (a LoRA on the head, a scaled or capped head), or the
// factors are copies on another device, everything is computed as ever.
struct Head {
	const ggml_tensor *weight = nullptr;
	std::string input;          // the hidden state's name in the graph
	std::vector<float> hidden;  // of the output rows
	size_t filled = 0;          // floats of hidden, in this decode
	std::unordered_map<int32_t, std::vector<float>> rows; // of weight, by token

	static bool on_node(ggml_tensor *t, bool ask, void *user) { return static_cast<Head *>(user)->node(t, ask); }

	// node is asked before each node whether it wants its result, and if so called again with it. Returning
	// false then stops the computation.
	bool node(ggml_tensor *t, bool ask) {
		if (!ask) {
			const ggml_tensor *h = input == t->name ? t : t->src[1];
			size_t bytes = api.ggml_nbytes(h);
			if (h->type != GGML_TYPE_F32 || bytes > hidden.size() * sizeof(float)) return true;
			api.ggml_backend_tensor_get(h, hidden.data(), 0, bytes);
			filled = bytes / sizeof(float);
			return false;
		}
		if (weight) return input == t->name;
		if (strcmp(t->name, "result_output") == 0 && t->op == GGML_OP_MUL_MAT && t->src[0]->buffer &&
			api.ggml_backend_buffer_get_usage(t->src[0]->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS &&
			t->src[1]->op != GGML_OP_NONE && t->src[1]->ne[0] == t->src[0]->ne[0]) {
			input.assign(t->src[1]->name); // at most GGML_MAX_NAME, which was reserved
			weight = t->src[0];
			return true;
		}
		return false;
	}

	const std::vector<float> &row(int32_t token) {
		std::vector<float> &r = rows[token];
		if (r.empty()) {
			std::vector<char> raw(weight->nb[1]);
			api.ggml_backend_tensor_get(weight, raw.data(), token * weight->nb[1], raw.size());
			r.resize(weight->ne[0]);
			auto convert = api.ggml_get_type_traits(weight->type)->to_float;
			if (convert) convert(raw.data(), r.data(), r.size());
			else memcpy(r.data(), raw.data(), raw.size()); // f32
		}
		return r;
	}

	float logit(size_t out, int32_t token) {
		const std::vector<float> &r = row(token);
		const float *h = &hidden[out * r.size()];
		float lanes[16] = {0}, sum = 0; // a fixed order, and one that a compiler can vectorise
		size_t i = 0;
		for (; i + 16 <= r.size(); i += 16)
			for (size_t j = 0; j < 16; j++) lanes[j] += h[i + j] * r[i + j];
		for (; i < r.size(); i++) sum += h[i] * r[i];
		for (float lane : lanes) sum += lane;
		return sum;
	}
};

} // namespace

struct lm_context {
	llama_context *llama = nullptr;
	llama_memory_t memory = nullptr;
	std::atomic<int32_t> abort{0};
	Head head;
	std::vector<llama_seq_id *> seq; // llama_batch wants a list of sequences for each row; ours have one entry
	std::vector<int32_t> one;

	~lm_context() {
		if (!llama) return;
		api.llama_detach_threadpool(llama);
		api.llama_free(llama);
	}
};

int lm_open(const char *dir, const char *version, char *err) {
	std::string base = dir ? dir : LLAMA_LIB_DIR;
	std::string path = base + "/libllama.so";
	if (base.empty() || base[0] != '/') {
		snprintf(err, LM_ERROR_BYTES, "no absolute library directory is known (%s)", base.c_str());
		return -1;
	}
	void *lib = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(err, LM_ERROR_BYTES, "%s", dlerror());
		return -1;
	}
	const char *missing = nullptr;
	auto resolve = [&](auto &slot, const char *name) {
		slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(dlsym(lib, name));
		if (!slot && !missing) missing = name;
	};
	resolve(api.llama_version, "llama_version");
	std::string found = api.llama_version ? api.llama_version() : "unknown";
	if (found.substr(0, found.find('-')) != version) {
		snprintf(err, LM_ERROR_BYTES, "%s is llama.cpp %s, this binary needs %s", path.c_str(), found.c_str(), version);
		return -1;
	}
#define LM_RESOLVE(name) resolve(api.name, #name);
	LM_API(LM_RESOLVE)
#undef LM_RESOLVE
	resolve(api.dev_type, "ggml_backend_dev_type");
	if (missing) {
		snprintf(err, LM_ERROR_BYTES, "%s lacks %s", path.c_str(), missing);
		return -1;
	}
	return guard(err, -1, [] {
		api.llama_log_set(on_log, nullptr);
		api.llama_backend_init();
		return 0;
	});
}

int lm_plugin(const char *path, char *err) {
	return guard(err, -1, [&] {
		if (!api.ggml_backend_load(path)) throw failure("ggml could not load it");
		return 0;
	});
}

int32_t lm_devices(void) { return static_cast<int32_t>(api.ggml_backend_dev_count()); }

int lm_device_at(int32_t i, lm_device *out, char *err) {
	return guard(err, -1, [&] {
		ggml_backend_dev_t dev = api.ggml_backend_dev_get(i);
		size_t free = 0, total = 0;
		api.ggml_backend_dev_memory(dev, &free, &total);
		snprintf(out->name, sizeof out->name, "%s", api.ggml_backend_dev_name(dev));
		snprintf(out->description, sizeof out->description, "%s", api.ggml_backend_dev_description(dev));
		out->memory_free = free;
		out->memory_total = total;
		auto type = api.dev_type(dev);
		out->gpu = type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
		return 0;
	});
}

lm_model *lm_model_load(const char *path, int32_t gpu_layers, char *err) {
	return guard(err, static_cast<lm_model *>(nullptr), [&] {
		llama_model_params p = api.llama_model_default_params();
		p.n_gpu_layers = gpu_layers;
		p.check_tensors = true;
		llama_model *m = api.llama_model_load_from_file(path, p);
		if (!m) throw failure("llama.cpp could not load it");
		return reinterpret_cast<lm_model *>(m);
	});
}

void lm_model_info_get(const lm_model *model, lm_model_info *out) {
	llama_model *m = model_of(model);
	const llama_vocab *v = api.llama_model_get_vocab(m);
	out->parameters = static_cast<int64_t>(api.llama_model_n_params(m));
	out->bytes = static_cast<int64_t>(api.llama_model_size(m));
	out->context_train = api.llama_model_n_ctx_train(m);
	out->vocabulary = api.llama_vocab_n_tokens(v);
	out->bos = api.llama_vocab_bos(v);
	out->eos = api.llama_vocab_eos(v);
	out->add_bos = api.llama_vocab_get_add_bos(v);
	out->layers = api.llama_model_n_layer(m);
	out->embedding = api.llama_model_n_embd(m);
	out->heads = api.llama_model_n_head(m);
	out->heads_kv = api.llama_model_n_head_kv(m);
	api.llama_model_desc(m, out->description, sizeof out->description);
}

int lm_quantize(const char *from, const char *to, int32_t type, char *err) {
	return guard(err, 0, [&] {
		llama_model_quantize_params p = api.llama_model_quantize_default_params();
		p.ftype = static_cast<llama_ftype>(type);
		if (api.llama_model_quantize(from, to, &p)) throw failure("llama_model_quantize failed");
		return 1;
	});
}

void lm_model_free(lm_model *m) { api.llama_model_free(model_of(m)); }

int32_t lm_tokenize(const lm_model *m, const char *text, int32_t bytes, int32_t *out, int32_t room, int special, char *err) {
	return guard(err, INT32_MIN, [&] {
		return api.llama_tokenize(api.llama_model_get_vocab(model_of(m)), text, bytes, out, room, false, special != 0);
	});
}

int32_t lm_detokenize(const lm_model *m, const int32_t *tokens, int32_t n, char *out, int32_t room, char *err) {
	return guard(err, INT32_MIN, [&] {
		return api.llama_detokenize(api.llama_model_get_vocab(model_of(m)), tokens, n, out, room, false, true);
	});
}

lm_adapter *lm_adapter_load(lm_model *m, const char *path, char *err) {
	return guard(err, static_cast<lm_adapter *>(nullptr), [&] {
		llama_adapter_lora *a = api.llama_adapter_lora_init(model_of(m), path);
		if (!a) throw failure("llama.cpp could not load it");
		return reinterpret_cast<lm_adapter *>(a);
	});
}

void lm_adapter_free(lm_adapter *a) { api.llama_adapter_lora_free(adapter_of(a)); }

lm_pool *lm_pool_new(int32_t threads, uint32_t poll, char *err) {
	return guard(err, static_cast<lm_pool *>(nullptr), [&] {
		ggml_threadpool_params p = api.ggml_threadpool_params_default(threads);
		p.poll = poll;
		ggml_threadpool *pool = api.ggml_threadpool_new(&p);
		if (!pool) throw std::runtime_error("ggml could not start the threads");
		return reinterpret_cast<lm_pool *>(pool);
	});
}

void lm_pool_free(lm_pool *p) { api.ggml_threadpool_free(pool_of(p)); }

lm_context *lm_context_new(lm_model *m, lm_pool *pool, const lm_context_options *o, char *err) {
	return guard(err, static_cast<lm_context *>(nullptr), [&] {
		auto c = std::make_unique<lm_context>();
		llama_context_params p = api.llama_context_default_params();
		p.n_ctx = o->cells;
		p.n_batch = p.n_ubatch = o->batch;
		p.n_outputs_max = o->outputs;
		p.n_seq_max = o->sequences;
		p.n_threads = p.n_threads_batch = o->threads;
		p.kv_unified = true; // sequences share the prefix's cells
		p.no_perf = true;
		p.abort_callback = aborted;
		p.abort_callback_data = &c->abort;
		if (!o->full_head) {
			p.cb_eval = Head::on_node;
			p.cb_eval_user_data = &c->head;
			c->head.hidden.resize(static_cast<size_t>(o->outputs) * api.llama_model_n_embd(model_of(m)));
			c->head.input.reserve(GGML_MAX_NAME);
		}
		c->llama = api.llama_init_from_model(model_of(m), p);
		if (!c->llama) throw failure("llama.cpp could not make a context");
		c->memory = api.llama_get_memory(c->llama);
		c->seq.resize(o->batch);
		c->one.assign(o->batch, 1);
		api.llama_attach_threadpool(c->llama, pool_of(pool), pool_of(pool));
		return c.release();
	});
}

void lm_context_free(lm_context *c) { delete c; }

int lm_set_adapter(lm_context *c, lm_adapter *adapter, float scale, char *err) {
	return guard(err, -1, [&] {
		llama_adapter_lora *a = adapter_of(adapter);
		if (api.llama_set_adapters_lora(c->llama, &a, a ? 1 : 0, &scale) != 0)
			throw std::runtime_error("llama.cpp refused the adapter");
		c->head.weight = nullptr; // the graph may end in something else now
		return 0;
	});
}

int lm_copy_sequence(lm_context *c, int32_t from, int32_t to, char *err) {
	return guard(err, -1, [&] {
		api.llama_memory_seq_cp(c->memory, from, to, -1, -1);
		return 0;
	});
}

void lm_abort(lm_context *c, int32_t on) { c->abort.store(on, std::memory_order_relaxed); }

int32_t lm_decode(lm_context *c, const int32_t *trim, int32_t trims, int32_t keep,
	const int32_t *token, const int32_t *pos, const int32_t *seq, const int8_t *output, int32_t rows,
	const int32_t *candidate, const int32_t *end, float *logits, char *err) {
	return guard(err, INT32_MIN, [&]() -> int32_t {
		for (int32_t i = 0; i < trims; i++) {
			if (!api.llama_memory_seq_rm(c->memory, trim[i], keep, -1)) throw std::runtime_error("the cache cannot cut a sequence");
		}
		if (rows == 0) return 0;
		for (int32_t i = 0; i < rows; i++) c->seq[i] = const_cast<int32_t *>(seq + i);
		llama_batch batch{};
		batch.n_tokens = rows;
		batch.token = const_cast<int32_t *>(token);
		batch.pos = const_cast<int32_t *>(pos);
		batch.n_seq_id = c->one.data();
		batch.seq_id = c->seq.data();
		batch.logits = const_cast<int8_t *>(output);
		c->head.filled = 0;
		int32_t code = api.llama_decode(c->llama, batch);
		if (code != 0) return code;
		api.llama_synchronize(c->llama);
		for (int32_t row = 0, out = 0, k = 0; row < rows; row++) {
			if (!output[row]) continue;
			const float *all = c->head.filled ? nullptr : api.llama_get_logits_ith(c->llama, row);
			if (!c->head.filled && !all) throw std::runtime_error("llama.cpp kept no logits for a row that asked for them");
			for (; k < end[out]; k++) logits[k] = all ? all[candidate[k]] : c->head.logit(out, candidate[k]);
			out++;
		}
		return 0;
	});
}

int lm_throw(const char *what, char *err) {
	return guard(err, -1, [&]() -> int { throw std::runtime_error(what); });
}
