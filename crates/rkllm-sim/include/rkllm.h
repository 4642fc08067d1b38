/*
 * The C interface of librkllmrt.so in its three generations, as far as callers can see it.
 *
 * Define RKLLM_ABI before including this file:
 *   120  runtime 1.2.0
 *   121  runtimes 1.2.1, 1.2.2 and 1.2.3 (the default)
 *   130  runtime 1.3.0
 *
 * Layouts are those of 64-bit Linux. tests/outsider/layout.c checks every offset.
 */
#ifndef RKLLM_H
#define RKLLM_H

#ifndef RKLLM_ABI
#define RKLLM_ABI 121
#endif

#if RKLLM_ABI != 120 && RKLLM_ABI != 121 && RKLLM_ABI != 130
#error "RKLLM_ABI is 120, 121 or 130"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of enabled_cpus_mask. */
#define CPU0 (1 << 0)
#define CPU1 (1 << 1)
#define CPU2 (1 << 2)
#define CPU3 (1 << 3)
#define CPU4 (1 << 4)
#define CPU5 (1 << 5)
#define CPU6 (1 << 6)
#define CPU7 (1 << 7)

/* A loaded model. */
typedef void *LLMHandle;

/* What a call of the result callback means. */
typedef enum {
    RKLLM_RUN_NORMAL = 0,  /* a token's text, or hidden states, or logits */
    RKLLM_RUN_WAITING = 1, /* a token that leaves a UTF-8 character incomplete: its text comes later */
    RKLLM_RUN_FINISH = 2,  /* the run has ended */
    RKLLM_RUN_ERROR = 3    /* the run has failed */
} LLMCallState;

/* Which member of RKLLMInput is set. */
typedef enum {
    RKLLM_INPUT_PROMPT = 0,
    RKLLM_INPUT_TOKEN = 1,
    RKLLM_INPUT_EMBED = 2,
    RKLLM_INPUT_MULTIMODAL = 3
} RKLLMInputType;

/* What a run computes. */
typedef enum {
    RKLLM_INFER_GENERATE = 0,
    RKLLM_INFER_GET_LAST_HIDDEN_LAYER = 1,
    RKLLM_INFER_GET_LOGITS = 2
} RKLLMInferMode;

/* Settings of the board. */
typedef struct {
    int32_t base_domain_id;     /* first NPU address domain, from 0 */
    int8_t embed_flash;         /* 1 leaves the embedding table on disk */
    int8_t enabled_cpus_num;    /* number of bits in the mask */
    uint32_t enabled_cpus_mask; /* bit i is CPU i */
#if RKLLM_ABI == 120
    uint8_t reserved[106];
#else
    uint8_t n_batch;       /* inputs per run, 1 to 100 */
    int8_t use_cross_attn; /* 1 for encoder-decoder models */
    uint8_t reserved[104];
#endif
} RKLLMExtendParam;

/* Settings of a model. Begin with rkllm_createDefaultParam. */
typedef struct {
    const char *model_path;
    int32_t max_context_len; /* tokens, prompt and answer together */
    int32_t max_new_tokens;  /* tokens of an answer; below 1 there is no limit */
    int32_t top_k;
    int32_t n_keep; /* tokens kept when the context overflows; -1 is the system prompt */
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
    bool skip_special_token;
#if RKLLM_ABI == 130
    bool ignore_eos_token;
    bool is_async;
#else
    bool is_async;
    const char *img_start; /* these three are never NULL */
    const char *img_end;
    const char *img_content;
#endif
    RKLLMExtendParam extend_param;
} RKLLMParam;

typedef struct {
    const char *lora_adapter_path;
    const char *lora_adapter_name;
    float scale;
} RKLLMLoraAdapter;

typedef struct {
    float *embed; /* n_tokens rows of the model's embedding width */
    size_t n_tokens;
} RKLLMEmbedInput;

typedef struct {
    int32_t *input_ids;
    size_t n_tokens;
} RKLLMTokenInput;

/* Text with tags, and what the vision encoder made of the pictures. */
#if RKLLM_ABI == 130
typedef struct {
    char *prompt; /* with <image> or <video> tags */
    struct {
        float *image_embed;
        size_t n_image_tokens;
        size_t n_image;
        const char *image_start;
        const char *image_end;
        const char *image_content;
        size_t image_width;
        size_t image_height;
    } image;
    struct {
        float *video_embed;
        size_t n_frame_tokens;
        size_t n_frame_per_video;
        size_t n_video;
        const char *video_start;
        const char *video_end;
        const char *video_content;
        size_t frame_width;
        size_t frame_height;
    } video;
} RKLLMMultiModalInput;
#else
typedef struct {
    char *prompt; /* with <image> tags */
    float *image_embed;
    size_t n_image_tokens;
#if RKLLM_ABI == 121
    size_t n_image;
    size_t image_width;
    size_t image_height;
#endif
} RKLLMMultiModalInput;
#endif

/* What a run reads. Fill with zeros first. */
typedef struct {
#if RKLLM_ABI != 120
    const char *role;     /* "user" or "tool" */
    bool enable_thinking; /* for prompts */
#endif
    RKLLMInputType input_type;
    union {
        const char *prompt_input;
        RKLLMEmbedInput embed_input;
        RKLLMTokenInput token_input;
        RKLLMMultiModalInput multimodal_input;
    };
} RKLLMInput;

typedef struct {
    const char *lora_adapter_name;
} RKLLMLoraParam;

typedef struct {
    int save_prompt_cache;
    const char *prompt_cache_path;
} RKLLMPromptCacheParam;

#if RKLLM_ABI != 120
typedef struct {
    float *encoder_k_cache;
    float *encoder_v_cache;
    float *encoder_mask;
    int32_t *encoder_pos;
    int num_tokens;
} RKLLMCrossAttnParam;
#endif

#if RKLLM_ABI == 130
/* Sampling of one run; every field counts. */
typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
} RKLLMSamplingParam;
#endif

/* Settings of a run. Fill with zeros first. */
typedef struct {
    RKLLMInferMode mode;
    RKLLMLoraParam *lora_params;
    RKLLMPromptCacheParam *prompt_cache_params;
#if RKLLM_ABI == 130
    RKLLMSamplingParam *sampling_params; /* NULL: as at init */
#endif
    int keep_history; /* 1 appends to the conversation in the cache */
#if RKLLM_ABI == 130
    int32_t max_new_tokens; /* below 1: as at init */
#endif
} RKLLMInferParam;

typedef struct {
    const float *hidden_states;
    int embd_size;
    int num_tokens;
} RKLLMResultLastHiddenLayer;

typedef struct {
    const float *logits;
    int vocab_size;
    int num_tokens;
} RKLLMResultLogits;

#if RKLLM_ABI != 120
typedef struct {
    float prefill_time_ms;
    int prefill_tokens; /* without those found in the cache */
    float generate_time_ms;
    int generate_tokens;
    float memory_usage_mb;
} RKLLMPerfStat;
#endif

/* What the callback gets; valid until it returns. */
typedef struct {
    const char *text; /* may be NULL */
    int32_t token_id;
    RKLLMResultLastHiddenLayer last_hidden_layer;
    RKLLMResultLogits logits;
#if RKLLM_ABI != 120
    RKLLMPerfStat perf; /* with RKLLM_RUN_FINISH */
#endif
} RKLLMResult;

#if RKLLM_ABI == 120
typedef void (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);
#else
/* Returns 0 to go on and 1 to pause; on 1.3.0 also 2 to release the output buffer. */
typedef int (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);
#endif

#if RKLLM_ABI == 130
typedef int (*LLMTokenizerCallback)(void *userdata, const char *text, int32_t text_len, int32_t *tokens,
                                    int32_t n_tokens_max);
typedef int (*LLMGetEmbedCallback)(void *userdata, int32_t *tokens, uint64_t n_tokens, void *embed,
                                   uint64_t embed_size);

typedef struct {
    LLMResultCallback result_callback;
    void *result_userdata; /* of runs that bring none */
    LLMTokenizerCallback tokenizer_callback;
    void *tokenizer_userdata;
    LLMGetEmbedCallback embed_callback;
    void *embed_userdata;
} RKLLMCallback;
#endif

/* All functions but the first return 0, or -1 if they fail. */
RKLLMParam rkllm_createDefaultParam(void);
#if RKLLM_ABI == 130
int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback);
#else
int rkllm_init(LLMHandle *handle, RKLLMParam *param, LLMResultCallback callback);
#endif
int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *lora_adapter);
int rkllm_load_prompt_cache(LLMHandle handle, const char *prompt_cache_path);
int rkllm_release_prompt_cache(LLMHandle handle);
int rkllm_destroy(LLMHandle handle);
int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer_params, void *userdata);
int rkllm_run_async(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer_params, void *userdata);
int rkllm_abort(LLMHandle handle);
/* 1.3.0: 1 during a run. Before: 0 during a run. */
int rkllm_is_running(LLMHandle handle);
#if RKLLM_ABI == 120
int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt);
#else
int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt, int *start_pos, int *end_pos);
int rkllm_get_kv_cache_size(LLMHandle handle, int *cache_sizes);
int rkllm_set_function_tools(LLMHandle handle, const char *system_prompt, const char *tools,
                             const char *tool_response_str);
int rkllm_set_cross_attn_params(LLMHandle handle, RKLLMCrossAttnParam *cross_attn_params);
#endif
int rkllm_set_chat_template(LLMHandle handle, const char *system_prompt, const char *prompt_prefix,
                            const char *prompt_postfix);

#ifdef __cplusplus
}
#endif

#endif
